/** Reads one rule of a pack: from what stands in the file to what can be compiled. */
import type { Severity } from '../sensor/alert.ts'
import { parseDuration } from '../sensor/duration.ts'
import { type EventType, eventTypes } from '../sensor/event.ts'
import { readCondition, readField, type Surroundings, sizeFault } from './condition.ts'
import { type Draft, type Shelf, surroundingsOf } from './draft.ts'
import { looksLikeExpiry, parseExpiry } from './expiry.ts'
import type { Field } from './fields.ts'
import { isObject } from './json.ts'
import { type Template, templateParts } from './message.ts'
import { type Fault, type JsonPath, show } from './problem.ts'
import type { Exception, Rule, RuleTest } from './rule.ts'
import type { RuleSource } from './schema.ts'

const isEventType = (value: unknown): value is EventType => eventTypes.some((type) => type === value)
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The rule, or undefined if there is none to speak of; every fault has been reported. */
export function readRule(
  raw: unknown,
  path: JsonPath,
  draft: Draft,
  shelf: Shelf,
  report: (fault: Fault) => void,
): Rule | undefined {
  if (!isObject(raw)) return undefined
  const on = Array.isArray(raw.on) ? raw.on.filter(isEventType) : []
  const surroundings = surroundingsOf(draft, shelf, on, report)
  const when = 'when' in raw ? readSized(raw.when, [...path, 'when'], surroundings) : undefined
  const unless = readExceptions(raw.unless, [...path, 'unless'], draft.file, surroundings)
  const message = readTemplate(raw.message, [...path, 'message'], surroundings)
  const groupBy = readFields(raw.groupBy, [...path, 'groupBy'], surroundings)
  const window = readWindow(raw, path, report)
  if (when === undefined) return undefined
  const source = raw as RuleSource
  return {
    id: source.id,
    name: source.name,
    ...(source.description !== undefined && { description: source.description }),
    falsePositives: source.false_positives ?? [],
    on: source.on,
    completedOn: source.on,
    when,
    unless,
    severity: source.severity as Severity,
    message,
    tags: { mitre: [], owasp_nhi: [], nist_csf: [], maestro: [], ...source.tags },
    ...(source.runbook !== undefined && { runbook: source.runbook }),
    enabled: source.enabled ?? true,
    groupBy,
    window: window ?? 0,
    tests: (source.tests ?? []) as RuleTest[],
    pack: draft.pack,
    version: draft.version,
    file: draft.file,
    path,
    changedBy: [],
  }
}

/** A condition that is not too large, whatever macros are in it. */
function readSized(raw: unknown, path: JsonPath, surroundings: Surroundings) {
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
    return [
      {
        when,
        reason: textOf(exception.reason),
        ...(typeof owner === 'string' && { owner }),
        ...(expires !== undefined && { expires }),
        file,
        path: at,
      },
    ]
  })
}

function readTemplate(raw: unknown, path: JsonPath, surroundings: Surroundings): Template {
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

/** Milliseconds; undefined where there is none. */
function readWindow(raw: Record<string, unknown>, path: JsonPath, report: (fault: Fault) => void): number | undefined {
  const hasGroups = 'groupBy' in raw
  if (hasGroups !== 'window' in raw) {
    const [has, lacks] = hasGroups ? ['groupBy', 'window'] : ['window', 'groupBy']
    report({
      path: [...path, has],
      found: `"${has}" without "${lacks}"`,
      expected: `both: "${lacks}" says how far to fold`,
    })
    return undefined
  }
  return readDuration(raw.window, [...path, 'window'], report)
}

/** Milliseconds, or undefined. That the text is a duration is checked with the shape. */
export function readDuration(raw: unknown, path: JsonPath, report: (fault: Fault) => void): number | undefined {
  const milliseconds = parseDuration(textOf(raw))
  if (milliseconds === 0) {
    report({ path, found: show(raw), expected: 'a duration longer than nothing, such as 10m' })
  }
  return milliseconds
}
