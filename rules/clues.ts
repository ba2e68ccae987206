/**
 * What an event must have for a condition to hold, as far as constants say it: `process.name` is one of these, or
 * `process.executable.path` begins with one of those. Never too narrow: where the condition holds, one of its clues does.
 * The engine finds by them the few rules that an event could concern, and `rules explain` tells by them what the
 * sensor has to see.
 */
import type { Event, EventType } from '../sensor/event.ts'
import { canonicalAddress } from './address.ts'
import { type Condition, testsIn } from './condition.ts'
import { compileField, type Field, type Getter, type Scalar } from './fields.ts'
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

/** By operator; one that isn't here gives no clue. */
const given: Readonly<Record<string, (test: Test) => Clue[]>> = {
  equals: whole,
  in: whole,
  subset: whole,
  startsWith: ({ field, operands }) => begins(field, operands.map(String)),
  glob: ({ field, operands }) => begins(field, operands.map(literalStart)),
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

/** How many conditions ask for a clue: the rarer, the fewer rules an event with it concerns. */
export function rarity(conditions: readonly Condition[]): (clue: Clue) => number {
  const asked = new Map<string, number>()
  for (const condition of conditions) {
    for (const test of testsIn(condition)) {
      for (const clue of given[test.operator.name]?.(test) ?? []) {
        const name = nameOf(clue)
        asked.set(name, (asked.get(name) ?? 0) + 1)
      }
    }
  }
  return (clue) => asked.get(nameOf(clue)) ?? 1
}

/** Where the constants of one field lead; those of one length together, so that a text is cut once for each length. */
interface Table<T> {
  readonly field: Field
  readonly get: Getter
  readonly whole: Map<Scalar, T[]>
  readonly starts: Map<number, Map<string, T[]>>
  readonly ends: Map<number, Map<string, T[]>>
  readonly all: Set<T>
}

export interface Index<T> {
  readonly add: (entry: T, clues: readonly Clue[]) => void
  /** Gives the entries with a clue that the event has; one with several clues perhaps several times. */
  readonly find: (event: Event, found: (entry: T) => void) => void
}

const putInto = <K, T>(map: Map<K, T[]>, key: K, entry: T): void => {
  const entries = map.get(key)
  if (entries === undefined) map.set(key, [entry])
  else if (!entries.includes(entry)) entries.push(entry)
}

function at<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}

export function createIndex<T>(): Index<T> {
  const tables = new Map<string, Table<T>>()
  let list: readonly Table<T>[] = []

  const lookUp = ({ field, whole, starts, ends }: Table<T>, value: Scalar, found: (entry: T) => void): void => {
    const exact = whole.size === 0 ? undefined : whole.get(canonical(field, value))
    if (exact) for (const entry of exact) found(entry)
    if (typeof value !== 'string') return
    for (const [length, entries] of starts) {
      if (length <= value.length) for (const entry of entries.get(value.slice(0, length)) ?? []) found(entry)
    }
    for (const [length, entries] of ends) {
      if (length <= value.length) for (const entry of entries.get(value.slice(-length)) ?? []) found(entry)
    }
  }

  return {
    add: (entry, clues) => {
      for (const { field, how, constant } of clues) {
        const table = at(tables, field.name, () => ({
          field,
          get: compileField(field),
          whole: new Map(),
          starts: new Map(),
          ends: new Map(),
          all: new Set<T>(),
        }))
        table.all.add(entry)
        const text = String(constant)
        const byText = () => new Map<string, T[]>()
        if (how === 'is') putInto(table.whole, constant, entry)
        else putInto(at(how === 'begins' ? table.starts : table.ends, text.length, byText), text, entry)
      }
      list = [...tables.values()]
    },
    find: (event, found) => {
      for (const table of list) {
        try {
          const value = table.get(event)
          if (value === undefined) continue
          if (typeof value !== 'object') lookUp(table, value, found)
          else for (const one of value) lookUp(table, one, found)
        } catch {
          // The rules that ask for this field meet the same error, and it is theirs to report.
          for (const entry of table.all) found(entry)
        }
      }
    },
  }
}
