/** A condition in words, for people who read rules and don't write them. */
import { type EventType, eventTypes } from '../sensor/event.ts'
import type { Condition } from './condition.ts'
import type { Field } from './fields.ts'
import type { Operand } from './operators.ts'

const shown = 6

const phrases: Readonly<Record<string, string>> = {
  equals: 'is',
  in: 'is one of',
  subset: 'has no other values than',
  startsWith: 'begins with',
  endsWith: 'ends with',
  contains: 'has in it',
  glob: 'is like',
  regex: 'matches',
  cidr: 'lies in',
  gt: 'is greater than',
  gte: 'is at least',
  lt: 'is less than',
  lte: 'is at most',
  length: 'has the length',
}

const literal = (operand: Operand): string => JSON.stringify(operand)

/** Up to six values, and how many more there are. */
export function listed(values: readonly string[]): string {
  if (values.length === 0) return 'nothing (an empty list)'
  const rest = values.length - shown
  return rest > 0 ? `${values.slice(0, shown).join(', ')} and ${rest} more` : values.join(', ')
}

/** Types of event; of nearly all of them, those that are not among them. */
export function typesInWords(types: readonly EventType[]): string {
  const others = eventTypes.filter((type) => !types.includes(type))
  if (others.length === 0) return 'every event'
  return others.length < types.length / 4 ? `every event but ${others.join(', ')}` : types.join(', ')
}

function testInWords({ field, operator, operands }: Extract<Condition, { kind: 'test' }>): string {
  if (operator.name === 'exists') return `${field.name} is ${operands[0] === true ? 'known' : 'absent'}`
  return `${field.name} ${phrases[operator.name] ?? operator.name} ${listed(operands.map(literal))}`
}

/** The values that a field can be, where its description doesn't say them all already. */
export function valuesBeside({ description, values = [] }: Pick<Field, 'description' | 'values'>): readonly string[] {
  return values.every((value) => description.includes(value)) ? [] : values
}

const joins = { all: 'all of these:', any: 'one of these:' }

/** Lines, what stands below a join indented by two spaces. */
export function inWords(condition: Condition): string[] {
  const below = (lines: readonly string[]) => lines.map((line) => `  ${line}`)
  if (condition.kind === 'test') return [testInWords(condition)]
  if (condition.kind === 'not') {
    const [first = '', ...rest] = inWords(condition.of)
    return rest.length === 0 ? [`not: ${first}`] : [`not ${first}`, ...rest]
  }
  return [joins[condition.kind], ...below(condition.of.flatMap(inWords))]
}
