/**
 * Finds by their clues the few rules that an event could concern. The fields that clues are about share their steps
 * (`process`, `process.executable` ...): so the event is walked once, along a tree of these steps, and what is found at a
 * leaf is looked up among the constants that rules ask for there.
 */
import type { Event } from '../sensor/event.ts'
import { canonicalAddress } from './address.ts'
import { type Affixes, createAffixes } from './affixes.ts'
import type { Clue } from './clues.ts'
import { type Field, jsonTypes, type Scalar } from './fields.ts'

export interface Index<T> {
  readonly add: (entry: T, clues: readonly Clue[]) => void
  /** Gives the entries with a clue that the event has; one with several clues perhaps several times. */
  readonly find: (event: Event, found: (entry: T) => void) => void
}

/** Where the constants of one field lead. */
interface Constants<T> {
  readonly type: 'string' | 'number' | 'boolean'
  readonly isAddress: boolean
  readonly whole: Map<Scalar, T[]>
  begins?: Affixes<T>
  ends?: Affixes<T>
}

/** A place in the event: what is asked of the value itself, of its members, its elements, or each of its elements. */
interface Place<T> {
  constants?: Constants<T>
  readonly members: { readonly key: string | number; readonly place: Place<T> }[]
  each?: Place<T>
}

const emptyPlace = <T>(): Place<T> => ({ members: [] })

function placeOf<T>(root: Place<T>, { steps }: Field): Place<T> {
  let place = root
  for (const step of steps) {
    if (step === 'each') {
      place.each ??= emptyPlace()
      place = place.each
      continue
    }
    const key = 'key' in step ? step.key : step.index
    let member = place.members.find((one) => one.key === key)
    if (member === undefined) {
      member = { key, place: emptyPlace() }
      place.members.push(member)
    }
    place = member.place
  }
  return place
}

function put<T>(constants: Constants<T>, { how, constant }: Clue, entry: T): void {
  if (how === 'begins' || how === 'ends') {
    const affixes = constants[how] ?? createAffixes<T>(how)
    constants[how] = affixes
    affixes.add(String(constant), entry)
    return
  }
  const entries = constants.whole.get(constant)
  if (entries === undefined) constants.whole.set(constant, [entry])
  else if (!entries.includes(entry)) entries.push(entry)
}

function lookUp<T>(constants: Constants<T>, value: Scalar, found: (entry: T) => void): void {
  const { whole, begins, ends, isAddress } = constants
  const entries = whole.get(isAddress ? (canonicalAddress(String(value)) ?? value) : value)
  if (entries !== undefined) for (const entry of entries) found(entry)
  if (typeof value !== 'string') return
  begins?.find(value, found)
  ends?.find(value, found)
}

function walk<T>(place: Place<T>, value: unknown, found: (entry: T) => void): void {
  if (typeof value !== 'object') {
    const { constants } = place
    if (constants !== undefined && typeof value === constants.type) lookUp(constants, value as Scalar, found)
    return
  }
  if (value === null) return
  for (const { key, place: next } of place.members) {
    const member = (value as Record<string | number, unknown>)[key]
    if (member !== undefined) walk(next, member, found)
  }
  const { each } = place
  if (each !== undefined && Array.isArray(value)) for (const element of value) walk(each, element, found)
}

export function createIndex<T>(): Index<T> {
  const root = emptyPlace<T>()
  const all = new Set<T>()
  return {
    add: (entry, clues) => {
      all.add(entry)
      for (const clue of clues) {
        const { field } = clue
        const place = placeOf(root, field)
        place.constants ??= { type: jsonTypes[field.type], isAddress: field.type === 'ip', whole: new Map() }
        put(place.constants, clue, entry)
      }
    },
    find: (event, found) => {
      try {
        walk(root, event, found)
      } catch {
        // The rules that ask for the field meet the same error, and it is theirs to report.
        for (const entry of all) found(entry)
      }
    },
  }
}
