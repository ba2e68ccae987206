/** Reads what makes a rule remember: the steps of a sequence, and a threshold. */
import { type EventType, eventTypes } from '../sensor/event.ts'
import { type Condition, readField, type Surroundings } from './condition.ts'
import { type Field, fieldOf } from './fields.ts'
import { isObject } from './json.ts'
import { operators } from './operators.ts'
import { type Fault, type JsonPath, nearest, show } from './problem.ts'
import { readDuration, readFields, readSized } from './read-parts.ts'
import type { Join, Sequence, Step, Threshold } from './rule.ts'

const isEventType = (value: unknown): value is EventType => eventTypes.some((type) => type === value)

/** The types that stand in `on`; what else stands there is a fault of the shape. */
export const typesIn = (raw: unknown): EventType[] => (Array.isArray(raw) ? [...new Set(raw.filter(isEventType))] : [])

/** The sequence, or undefined if anything in it is wrong: that has then been reported, or is a fault of the shape. */
export function readSequence(
  raw: unknown,
  path: JsonPath,
  around: (on: readonly EventType[]) => Surroundings,
  report: (fault: Fault) => void,
): Sequence | undefined {
  if (!isObject(raw) || !Array.isArray(raw.steps)) return undefined
  const steps = raw.steps.flatMap((step, index): Step[] => {
    if (!isObject(step) || !('when' in step)) return []
    const on = typesIn(step.on)
    const when = readSized(step.when, [...path, 'steps', index, 'when'], around(on))
    return when ? [{ on, when, negated: step.negated === true }] : []
  })
  const within = readDuration(raw.within, [...path, 'within'], report)
  const on = [...new Set(steps.flatMap((step) => step.on))]
  const by = readJoin(raw.by, [...path, 'by'], around(on))
  if (steps.length < raw.steps.length || within === undefined || by === undefined) return undefined
  if (steps.every(({ negated }) => negated)) {
    const expected = 'one step at least that is not: an alert is about something that happened'
    report({ path: [...path, 'steps'], found: 'negated steps alone', expected })
    return undefined
  }
  return { steps, by, within }
}

const joins = ['container', 'process_tree']

function readJoin(raw: unknown, path: JsonPath, surroundings: Surroundings): Join | undefined {
  if (raw === 'process_tree') return raw
  if (raw === 'container') return { fields: readFields(['container.id'], path, surroundings) }
  if (Array.isArray(raw) && raw.length > 0 && raw.every((name) => typeof name === 'string')) {
    const fields = readFields(raw, path, surroundings)
    return fields.length === raw.length ? { fields } : undefined
  }
  const expected = `${joins.join(', ')} or an array of fields`
  const suggestion = typeof raw === 'string' ? nearest(raw, joins) : undefined
  surroundings.report({ path, found: show(raw), expected, suggestion })
  return undefined
}

/** The threshold, or undefined if anything in it is wrong. */
export function readThreshold(raw: unknown, path: JsonPath, surroundings: Surroundings): Threshold | undefined {
  if (!isObject(raw)) return undefined
  const by = readFields(raw.by, [...path, 'by'], surroundings)
  const within = readDuration(raw.within, [...path, 'within'], surroundings.report)
  const distinct =
    typeof raw.distinct === 'string' ? readField(raw.distinct, [...path, 'distinct'], surroundings) : undefined
  const isSound = distinct !== undefined || !('distinct' in raw)
  if (!isSound || within === undefined || typeof raw.count !== 'number') return undefined
  return { count: raw.count, by, within, ...(distinct && { distinct }) }
}

/** Which events matter to a sequence: those of any step. */
export function whenOf({ steps }: Sequence): Condition {
  return { kind: 'any', of: steps.map(({ on, when }) => ({ kind: 'all', of: [isOneOf(on), when] })) }
}

function isOneOf(types: readonly EventType[]): Condition {
  const [field, operator]: [Field | undefined, ReturnType<typeof operators.get>] = [
    fieldOf('type'),
    operators.get('in'),
  ]
  if (field === undefined || operator === undefined)
    throw new Error('the event has a type, and there is an operator in')
  return { kind: 'test', field, operator, operands: types }
}
