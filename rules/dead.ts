/** What can never hold: a condition that contradicts itself, or asks for what its events never carry. */
import type { EventType } from '../sensor/event.ts'
import { cluesOf } from './clues.ts'
import type { Condition } from './condition.ts'
import type { Scalar } from './fields.ts'
import type { Predicate } from './operators.ts'

type Test = Extract<Condition, { kind: 'test' }>

/** A test, and what it must say for the condition to hold. */
interface Asked {
  readonly test: Test
  readonly holds: boolean
}

/** What all must be so: the condition itself, what "all" joins, and the contrary of what "not" denies. */
function* together(condition: Condition, holds = true): Generator<Asked> {
  if (condition.kind === 'test') yield { test: condition, holds }
  else if (condition.kind === 'not') yield* together(condition.of, !holds)
  else if ((condition.kind === 'all') === holds) for (const member of condition.of) yield* together(member, holds)
}

const predicates = new WeakMap<Test, Predicate>()

/** Compiled once: an exception is asked about in many conditions. */
function predicateOf(test: Test): Predicate {
  const predicate = predicates.get(test) ?? test.operator.compile(test.operands, test.field.type)
  predicates.set(test, predicate)
  return predicate
}

/** The only values that a test lets pass, where it names them. */
function allowed(test: Test, type: EventType): ReadonlySet<Scalar> | undefined {
  if (test.operator.name !== 'equals' && test.operator.name !== 'in') return undefined
  const clues = cluesOf(test, type)
  return typeof clues === 'object' ? new Set(clues.map(({ constant }) => constant)) : undefined
}

const isAbsence = ({ operator, operands }: Test): boolean => operator.name === 'exists' && operands[0] === false

/** Numbers between which the values must lie, as far as gt, gte, lt and lte say it. */
const limits: Readonly<Record<string, (limit: number) => { above?: number; below?: number; strict: boolean }>> = {
  gt: (above) => ({ above, strict: true }),
  gte: (above) => ({ above, strict: false }),
  lt: (below) => ({ below, strict: true }),
  lte: (below) => ({ below, strict: false }),
}

function isEmptyRange(tests: readonly Test[]): boolean {
  const given = tests.flatMap(({ operator, operands }) => {
    const [limit] = operands
    return typeof limit === 'number' ? (limits[operator.name]?.(limit) ?? []) : []
  })
  return given.some(({ above, strict }) =>
    given.some(({ below, strict: also }) => {
      if (above === undefined || below === undefined) return false
      return above > below || (above === below && (strict || also))
    }),
  )
}

/** Tests of one field that can't all say what they must. */
function contradicts(condition: Condition, type: EventType): boolean {
  // A list without values is its own matter: other packs may add to it.
  const filled = [...together(condition)].filter(({ test }) => test.operands.length > 0)
  const byField = Map.groupBy(filled, ({ test }) => test.field.name)
  return [...byField.values()].some((asked) => {
    const tests = asked.filter(({ holds }) => holds).map(({ test }) => test)
    if (tests.length > 1 && tests.some(isAbsence) && !tests.every(isAbsence)) return true
    // Of several values each test may be met by another.
    if (asked.length < 2 || tests[0]?.field.multiple !== false) return false
    const sets = tests.flatMap((test) => allowed(test, type) ?? [])
    const [smallest] = sets.sort((one, other) => one.size - other.size)
    if (smallest === undefined) return isEmptyRange(tests)
    return ![...smallest].some((value) => asked.every(({ test, holds }) => predicateOf(test)(value) === holds))
  })
}

/**
 * Could the condition hold of an event of that type? In doubt, yes. `emptyLists` says whether a list without values
 * counts: other packs may add to it.
 */
export function canHold(condition: Condition, type: EventType, emptyLists: 'dead' | 'open' = 'dead'): boolean {
  const walk = (one: Condition): boolean => {
    switch (one.kind) {
      case 'all':
        return one.of.every(walk) && !contradicts(one, type)
      case 'any':
        return one.of.some(walk)
      case 'not':
        return cluesOf(one.of, type) !== 'always'
      case 'test': {
        if (one.operands.length === 0) return emptyLists === 'open'
        const isCarried = one.field.eventTypes.includes(type) || isAbsence(one)
        return isCarried && cluesOf(one, type) !== 'never'
      }
    }
  }
  return walk(condition)
}

/** The alternatives in a condition that never hold, whichever of these types the event has. */
export function* deadBranches(
  condition: Condition,
  types: readonly EventType[],
  emptyLists: 'dead' | 'open' = 'dead',
): Generator<Condition> {
  if (condition.kind === 'test' || condition.kind === 'not') return
  for (const member of condition.of) {
    const isDead = !types.some((type) => canHold(member, type, emptyLists))
    if (isDead && condition.kind === 'any') yield member
    else yield* deadBranches(member, types, emptyLists)
  }
}
