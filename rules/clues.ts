/**
 * What an event must have for a condition to hold, as far as constants say it: `process.name` is one of these, or
 * `process.executable.path` begins with one of those. Never too narrow: where the condition holds, one of its clues does.
 * The engine finds by them the few rules that an event could concern, and `rules explain` tells by them what the
 * sensor has to see.
 */
import type { EventType } from '../sensor/event.ts'
import { canonicalAddress } from './address.ts'
import { type Condition, testsIn } from './condition.ts'
import type { Field, Scalar } from './fields.ts'
import { literalStarts } from './literal-starts.ts'
import type { Operand } from './operators.ts'

export interface Clue {
  readonly field: Field
  readonly how: 'is' | 'begins' | 'ends'
  readonly constant: Scalar
}

/** Clues of which one must be there; or the condition never holds, always holds, or has no clue. */
export type Clues = readonly Clue[] | 'never' | 'always' | 'unknown'

type Test = Extract<Condition, { kind: 'test' }>

/** A longer text is as good as its first or last so many characters. */
const longestConstant = 64

const isScalar = (operand: Operand): operand is Scalar => typeof operand !== 'object'

/** The text before the first character with a meaning. */
const literalStart = (glob: Operand): string => /^[^*?\\]*/.exec(String(glob))?.[0] ?? ''

/** An address in its one form; anything else is itself. */
const canonical = (field: Field, constant: Scalar): Scalar =>
  field.type === 'ip' ? (canonicalAddress(String(constant)) ?? constant) : constant

const whole = ({ field, operands }: Test): Clue[] =>
  operands.filter(isScalar).map((constant) => ({ field, how: 'is', constant: canonical(field, constant) }))

const begins = (field: Field, texts: readonly string[]): Clue[] =>
  texts.map((text) => ({ field, how: 'begins', constant: text.slice(0, longestConstant) }))

/** None where one of the patterns could begin with anything. */
function beginsAsMatched({ field, operands }: Test): Clue[] {
  const starts = operands.map((pattern) => literalStarts(String(pattern)))
  const known = starts.filter((one) => one !== undefined)
  return known.length < starts.length ? [] : begins(field, known.flat())
}

/** By operator; one that isn't here gives no clue. */
const given: Readonly<Record<string, (test: Test) => Clue[]>> = {
  equals: whole,
  in: whole,
  subset: whole,
  startsWith: ({ field, operands }) => begins(field, operands.map(String)),
  glob: ({ field, operands }) => begins(field, operands.map(literalStart)),
  regex: beginsAsMatched,
  endsWith: ({ field, operands }) =>
    operands.map((text) => ({ field, how: 'ends', constant: String(text).slice(-longestConstant) })),
}

/** Every text begins and ends with nothing: no clue. */
const isEmpty = ({ how, constant }: Clue): boolean => how !== 'is' && constant === ''

function cluesOfTest(test: Test, type: EventType): Clues {
  const { field, operator, operands } = test
  if (field.name === 'type' || field.name === 'event.type') {
    if (operator.name === 'equals' || operator.name === 'in') return operands.includes(type) ? 'always' : 'never'
    return 'unknown'
  }
  const clues = given[operator.name]?.(test) ?? []
  return clues.length === 0 || clues.some(isEmpty) ? 'unknown' : clues
}

const areClues = (clues: Clues): clues is readonly Clue[] => typeof clues === 'object'

/**
 * The clues of a condition about events of one type. Where each of several would do, the ones that `weigh` finds
 * lightest are taken.
 */
export function cluesOf(condition: Condition, type: EventType, weigh: (clue: Clue) => number = () => 1): Clues {
  const weightOf = (clues: readonly Clue[]): number => clues.reduce((sum, clue) => sum + weigh(clue), 0)
  const walk = (one: Condition): Clues => {
    if (one.kind === 'test') return cluesOfTest(one, type)
    if (one.kind === 'not') {
      const of = walk(one.of)
      if (of === 'never') return 'always'
      return of === 'always' ? 'never' : 'unknown'
    }
    const members = one.of.map(walk)
    if (one.kind === 'any') {
      if (members.includes('always')) return 'always'
      if (members.includes('unknown')) return 'unknown'
      const clues = members.filter(areClues)
      return clues.length === 0 ? 'never' : clues.flat()
    }
    if (members.includes('never')) return 'never'
    if (members.every((member) => member === 'always')) return 'always'
    const [first, ...rest] = members.filter(areClues)
    if (first === undefined) return 'unknown'
    return rest.reduce((best, clues) => (weightOf(clues) < weightOf(best) ? clues : best), first)
  }
  return walk(condition)
}

const nameOf = ({ field, how, constant }: Clue): string => `${field.name} ${how} ${typeof constant} ${constant}`

/** How likely a text is to begin or end with so many given characters. */
const likelihoodOfLength = [1, 0.5, 0.1, 0.03] as const

/**
 * A guess at how many of the events with the field have the clue. What is one of a few values (a kind of descriptor, true
 * or false, root's number) is ordinary; a name, a path or an address is one of very many.
 */
function likelihood({ field, how, constant }: Clue): number {
  if (how !== 'is') return likelihoodOfLength[String(constant).length] ?? 0.01
  if (field.values !== undefined || typeof constant === 'boolean') return 0.3
  return typeof constant === 'number' && constant <= 2 ? 0.3 : 0.005
}

/**
 * A weight that grows with the share of events that a clue is likely to find, as far as the conditions tell: a constant
 * that many of them ask for (`sh`) is an ordinary one. It is the logarithm of how seldom an event has it not, so that
 * the weights of several clues add up to that of having any of them.
 */
export function commonness(conditions: readonly Condition[]): (clue: Clue) => number {
  const asked = new Map<string, number>()
  for (const condition of conditions) {
    for (const test of testsIn(condition)) {
      for (const clue of given[test.operator.name]?.(test) ?? []) {
        const name = nameOf(clue)
        asked.set(name, (asked.get(name) ?? 0) + 1)
      }
    }
  }
  return (clue) => {
    const share = likelihood(clue) * (1 + Math.log2(asked.get(nameOf(clue)) ?? 1))
    return -Math.log1p(-Math.min(share, 0.95))
  }
}
