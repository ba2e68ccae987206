/** Reads the parts that rules and overrides are made of. Every fault is reported; its part is then left out. */
import { parseDuration } from '../sensor/duration.ts'
import { type Condition, readCondition, readField, type Surroundings, sizeFault } from './condition.ts'
import { looksLikeExpiry, parseExpiry } from './expiry.ts'
import type { Field } from './fields.ts'
import { isObject } from './json.ts'
import { type Template, templateParts } from './message.ts'
import { fieldOfPhase, type Phase, parsePhase, phaseNames } from './phase.ts'
import { type Fault, type JsonPath, nearest, show } from './problem.ts'
import type { Exception } from './rule.ts'

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** A condition that is not too large, whatever macros are in it. */
export function readSized(raw: unknown, path: JsonPath, surroundings: Surroundings): Condition | undefined {
  const condition = readCondition(raw, path, surroundings)
  const fault = condition && sizeFault(condition)
  if (fault) surroundings.report({ path, ...fault })
  return fault ? undefined : condition
}

export function readExceptions(raw: unknown, path: JsonPath, file: string, surroundings: Surroundings): Exception[] {
  if (!Array.isArray(raw)) return []
  return raw.flatMap((exception, index) => {
    if (!isObject(exception) || !('when' in exception)) return []
    const at = [...path, index]
    const when = readSized(exception.when, [...at, 'when'], surroundings)
    const expires = parseExpiry(textOf(exception.expires))
    if (looksLikeExpiry(textOf(exception.expires)) && expires === undefined) {
      const expected = 'a day of the calendar such as 2027-03-31, or a time such as 2027-03-31T12:00:00Z'
      surroundings.report({ path: [...at, 'expires'], found: show(exception.expires), expected })
    }
    if (when === undefined) return []
    const { owner } = exception
    const phase = readPhase(exception.phase, [...at, 'phase'], surroundings)
    return [
      {
        when,
        reason: textOf(exception.reason),
        ...(typeof owner === 'string' && { owner }),
        ...(expires !== undefined && { expires }),
        ...(phase && { phase }),
        file,
        path: at,
      },
    ]
  })
}

/** The phase, if there is one and the events can tell it. */
export function readPhase(raw: unknown, path: JsonPath, surroundings: Surroundings): Phase | undefined {
  if (raw === undefined) return undefined
  const phase = parsePhase(raw)
  if (phase) return readField(fieldOfPhase(phase), path, surroundings) && phase
  const expected = `${phaseNames.join(', ')}, or a startup of another length such as { "startup": "2m" }, { "steady": "2m" }`
  const suggestion = typeof raw === 'string' ? nearest(raw, [...phaseNames]) : undefined
  surroundings.report({ path, found: show(raw), expected, suggestion })
  return undefined
}

export function readTemplate(raw: unknown, path: JsonPath, surroundings: Surroundings): Template {
  if (typeof raw !== 'string') return []
  return templateParts(raw).flatMap((part): Template => {
    if ('text' in part) return [part.text]
    if ('field' in part) {
      const field = readField(part.field, path, surroundings)
      return field ? [field] : []
    }
    const expected = `a field in braces such as {process.name}, or ${part.stray}${part.stray} for the brace itself`
    surroundings.report({ path, found: `a single ${part.stray} in ${show(raw)}`, expected })
    return []
  })
}

export function readFields(raw: unknown, path: JsonPath, surroundings: Surroundings): Field[] {
  if (!Array.isArray(raw)) return []
  return raw.flatMap((name, index) => {
    return typeof name === 'string' ? (readField(name, [...path, index], surroundings) ?? []) : []
  })
}

/** Milliseconds, or undefined. That the text is a duration is checked with the shape. */
export function readDuration(raw: unknown, path: JsonPath, report: (fault: Fault) => void): number | undefined {
  const milliseconds = parseDuration(textOf(raw))
  if (milliseconds === 0) {
    report({ path, found: show(raw), expected: 'a duration longer than nothing, such as 10m' })
  }
  return milliseconds
}
