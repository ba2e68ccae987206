/**
 * A condition: what a rule asks of an event. In JSON `{ "all": [..] }`, `{ "any": [..] }`, `{ "not": {..} }`,
 * `{ "macro": "<name>" }` or `{ "<field>": <value>, .. }`, where a value is a scalar (equals) or
 * `{ "<operator>": <operand>, .. }`; all members of an object must hold. Read into a tree that has its fields,
 * operators, lists and macros resolved.
 */

import type { EventType } from '../sensor/event.ts'
import { fits } from '../sensor/schema.ts'
import { type Field, fieldOf, fields, type Scalar } from './fields.ts'
import { isObject } from './json.ts'
import { type Operand, type Operator, operators, operatorsFor } from './operators.ts'
import { type Fault, type JsonPath, nearest, show } from './problem.ts'

export type Condition =
  | { readonly kind: 'all' | 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | {
      readonly kind: 'test'
      readonly field: Field
      readonly operator: Operator
      /** One operand is enough: several are alternatives. */
      readonly operands: readonly Operand[]
    }

/** What a condition is read against. */
export interface Surroundings {
  readonly on: readonly EventType[]
  /** The values of a list of the pack, or undefined if it has none of that name. */
  readonly list: (name: string) => readonly Scalar[] | undefined
  readonly listNames: () => readonly string[]
  /** The condition that a macro stands for; or, where it can't be used, what was found and what was expected. */
  readonly macro: (name: string) => Condition | Omit<Fault, 'path'>
  readonly report: (fault: Fault) => void
}

/** Deeper than anyone can read; and what walks a condition need not fear for its stack. */
const deepest = 32

/** More than anyone can read; macros that use macros would otherwise grow without end. */
const mostTests = 10_000

/** The name of a list, where an array may stand: of this pack, or `@<pack>/<list>` of another. */
export const listReference = /^@([a-z0-9]+(-[a-z0-9]+)*\/)?[a-z][a-z0-9_]*$/

const joins = ['all', 'any', 'not', 'macro'] as const
const knownNames = [...joins, ...fields.keys()]

/** Every test in a condition; of a macro that is used twice, twice. */
export function* testsIn(condition: Condition): Generator<Extract<Condition, { kind: 'test' }>> {
  if (condition.kind === 'test') yield condition
  else if (condition.kind === 'not') yield* testsIn(condition.of)
  else for (const member of condition.of) yield* testsIn(member)
}

/** How many joins stand in one another. */
function depthOf(condition: Condition): number {
  if (condition.kind === 'test') return 0
  return 1 + (condition.kind === 'not' ? depthOf(condition.of) : Math.max(0, ...condition.of.map(depthOf)))
}

/** What is wrong with the size of a condition once its macros are put in their places. */
export function sizeFault(condition: Condition): Omit<Fault, 'path'> | undefined {
  let tests = 0
  for (const _ of testsIn(condition)) {
    if (++tests > mostTests) return { found: `more than ${mostTests} tests`, expected: `at most ${mostTests}` }
  }
  const depth = depthOf(condition)
  return depth > 2 * deepest
    ? { found: `conditions ${depth} deep with their macros`, expected: `at most ${2 * deepest}` }
    : undefined
}

/** The field of that name if the events of the rule can carry it; else reports what is wrong and returns undefined. */
export function readField(name: string, path: JsonPath, { on, report }: Surroundings): Field | undefined {
  const field = fieldOf(name)
  if (field === undefined) {
    const expected = 'the name of a field (rules/schema.json lists them)'
    report({ path, found: `the unknown field ${show(name)}`, expected, suggestion: nearest(name, knownNames) })
    return undefined
  }
  if (on.length > 0 && !on.some((type) => field.eventTypes.includes(type))) {
    const found = `the field ${name}, which events of type ${on.join(', ')} never carry`
    report({ path, found, expected: `a field of theirs; ${name} is on ${field.eventTypes.join(', ')}` })
    return undefined
  }
  return field
}

/** The condition, or undefined if anything in it is wrong: every fault has then been reported. */
export function readCondition(raw: unknown, path: JsonPath, surroundings: Surroundings): Condition | undefined {
  const { report } = surroundings
  const depth = path.filter((part) => part === 'all' || part === 'any' || part === 'not').length
  if (depth > deepest) {
    report({ path, found: `conditions ${depth} deep`, expected: `at most ${deepest}` })
    return undefined
  }
  if (!isObject(raw) || Object.keys(raw).length === 0) {
    const expected = 'a condition such as { "process.name": "curl" } or { "any": [..] }'
    report({ path, found: show(raw), expected })
    return undefined
  }
  const members = Object.entries(raw).map(([key, value]) => {
    const at = [...path, key]
    if (key === 'not') {
      const of = readCondition(value, at, surroundings)
      return of && ({ kind: 'not', of } as const)
    }
    if (key === 'all' || key === 'any') return readJoin(key, value, at, surroundings)
    if (key === 'macro') return readMacro(value, at, surroundings)
    return readTests(key, value, at, surroundings)
  })
  return joined('all', members)
}

/** Undefined if a member is; a join of one is that one. */
function joined(kind: 'all' | 'any', members: readonly (Condition | undefined)[]): Condition | undefined {
  const of = members.filter((member) => member !== undefined)
  if (of.length < members.length) return undefined
  const [first] = of
  return of.length === 1 ? first : { kind, of }
}

function readJoin(
  kind: 'all' | 'any',
  raw: unknown,
  path: JsonPath,
  surroundings: Surroundings,
): Condition | undefined {
  if (!Array.isArray(raw) || raw.length === 0) {
    surroundings.report({ path, found: show(raw), expected: 'an array of at least one condition' })
    return undefined
  }
  return joined(
    kind,
    raw.map((member, index) => readCondition(member, [...path, index], surroundings)),
  )
}

/** `"macro": "<name>"`: the condition of that name, if the events of the rule can carry what it asks for. */
function readMacro(raw: unknown, path: JsonPath, { on, macro, report }: Surroundings): Condition | undefined {
  if (typeof raw !== 'string') {
    report({ path, found: show(raw), expected: 'the name of a macro' })
    return undefined
  }
  const condition = macro(raw)
  if (!('kind' in condition)) {
    report({ path, ...condition })
    return undefined
  }
  for (const { field } of on.length > 0 ? testsIn(condition) : []) {
    if (on.some((type) => field.eventTypes.includes(type))) continue
    const found = `the macro ${raw}, which asks for ${field.name}: events of type ${on.join(', ')} never carry it`
    report({
      path,
      found,
      expected: `a macro about fields of theirs; ${field.name} is on ${field.eventTypes.join(', ')}`,
    })
    return undefined
  }
  return condition
}

/** `"<field>": <scalar>` or `"<field>": { "<operator>": .. }`. */
function readTests(name: string, raw: unknown, path: JsonPath, surroundings: Surroundings): Condition | undefined {
  const { report } = surroundings
  const field = readField(name, path, surroundings)
  if (field === undefined) return undefined
  const names = operatorsFor(field).map((operator) => operator.name)
  const asked = isObject(raw) ? Object.entries(raw) : [['equals', raw] as const]
  if (asked.length === 0 || Array.isArray(raw)) {
    const expected = Array.isArray(raw)
      ? `one value, or { "in": [..] } for a choice`
      : `a value or one of the operators ${names.join(', ')}`
    report({ path, found: show(raw), expected })
    return undefined
  }
  const tests = asked.map(([key, value]) => {
    const at = isObject(raw) ? [...path, key] : path
    const operator = operators.get(key)
    if (operator?.accepts(field)) return readTest(field, operator, value, at, surroundings)
    const found = operator
      ? `the operator ${key} on a field of type ${typeName(field)}`
      : `the unknown operator ${show(key)}`
    report({
      path: at,
      found,
      expected: `one of ${names.join(', ')}`,
      suggestion: operator ? undefined : nearest(key, names),
    })
    return undefined
  })
  return joined('all', tests)
}

const typeName = (field: Field): string => `${field.type}${field.multiple ? ' (several values)' : ''}`

function readTest(
  field: Field,
  operator: Operator,
  raw: unknown,
  path: JsonPath,
  surroundings: Surroundings,
): Condition | undefined {
  const found = operandsOf(operator, field, raw, path, surroundings)
  if (found === undefined) return undefined
  const { type } = field
  const schema = operator.operand(type)
  let sound = true
  const refuse = (at: JsonPath, what: string, expected: string, suggestion?: string): void => {
    sound = false
    surroundings.report({ path: at, found: what, expected, suggestion })
  }
  for (const { value, at, from } of found) {
    const shown = from === undefined ? show(value) : `${show(value)} in ${from}`
    if (!fits(schema, value)) {
      refuse(at, shown, operator.expects(type))
      continue
    }
    const operand = value as Operand
    const fault = operator.fault?.(operand, type)
    if (fault !== undefined) refuse(at, `${shown}: ${fault}`, operator.expects(type))
    else if (field.values && operator.closed && !field.values.includes(String(operand))) {
      refuse(at, shown, `one of ${field.values.join(', ')}`, nearest(String(operand), field.values))
    }
  }
  return sound ? { kind: 'test', field, operator, operands: found.map(({ value }) => value as Operand) } : undefined
}

interface Given {
  readonly value: unknown
  readonly at: JsonPath
  /** The list that it came from. */
  readonly from?: string
}

/** The operands as they stand in the rule or in the list it names; undefined if they can't be told. */
function operandsOf(
  operator: Operator,
  field: Field,
  raw: unknown,
  path: JsonPath,
  { list, listNames, report }: Surroundings,
): readonly Given[] | undefined {
  if (operator.takes === 'one') return [{ value: raw, at: path }]
  if (typeof raw === 'string' && listReference.test(raw)) {
    const values = list(raw.slice(1))
    if (values) return values.map((value) => ({ value, at: path, from: raw }))
    const names = listNames().map((name) => `@${name}`)
    const expected = names.length > 0 ? 'the name of a list in "lists"' : 'a list: the pack has none in "lists"'
    report({ path, found: `the unknown list ${raw}`, expected, suggestion: nearest(raw, names) })
    return undefined
  }
  if (Array.isArray(raw) && raw.length > 0) return raw.map((value, index) => ({ value, at: [...path, index] }))
  if (operator.takes === 'one or many' && !Array.isArray(raw)) return [{ value: raw, at: path }]
  const expected = `an array of at least one, each ${operator.expects(field.type)}, or the name of a list such as "@shells"`
  report({ path, found: show(raw), expected })
  return undefined
}
