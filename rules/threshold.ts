/**
 * Counts matches, or distinct values in them, by key within a time: the time of the events, so that a replay counts as
 * the live run. When the number is reached, the count of that key begins anew.
 */
import { LRUCache } from 'lru-cache'
import type { Event } from '../sensor/event.ts'
import { compileField } from './fields.ts'
import type { Folded } from './fold.ts'
import { keyOf, shortKey } from './key.ts'
import type { Threshold } from './rule.ts'

/**
 * Takes an event that matches, and its time, which must not be set back; gives what has come together when the number is
 * reached, by that time, else undefined.
 */
export type Count = (event: Event, time: number) => Folded | undefined

/** Matches, or values, that are remembered for one rule, all keys together. */
const mostRemembered = 50_000

/** Value to the time when it was last seen, in the order of arrival; a plain count makes each match a value. */
type Seen = Map<string | number, number>

/** A memory of its own. `onEvicted` is told of each key that was forgotten while it might still have counted. */
export function createThreshold(threshold: Threshold, onEvicted: () => void, most: number = mostRemembered): Count {
  const { count, within } = threshold
  const by = threshold.by.map(compileField)
  const distinct = threshold.distinct && compileField(threshold.distinct)
  let latest = -Infinity
  let serial = 0
  const keys = new LRUCache<string, Seen>({
    maxSize: most,
    sizeCalculation: (seen) => Math.max(1, seen.size),
    dispose: (seen, _, reason) => {
      if (reason === 'evict' && [...seen.values()].some((time) => latest - time <= within)) onEvicted()
    },
  })

  const valuesOf = (event: Event): (string | number)[] => {
    if (distinct === undefined) return [serial++]
    const found = distinct(event)
    if (found === undefined) return []
    return typeof found === 'object' ? found.map((value) => shortKey(String(value))) : [shortKey(String(found))]
  }

  return (event, time) => {
    latest = Math.max(latest, time)
    const values = valuesOf(event)
    if (values.length === 0) return undefined
    const key = keyOf(by, event)
    const known = keys.get(key)
    const seen: Seen = known ?? new Map()
    const size = seen.size
    for (const value of values) {
      const before = seen.get(value) ?? time
      seen.delete(value)
      seen.set(value, Math.max(before, time))
    }
    for (const [value, at] of seen) {
      // Events of several processors may come a little out of order: all are looked at only when it matters. The time
      // that counts is the latest that was seen, which never goes back.
      if (latest - at <= within && seen.size < count) break
      if (latest - at > within) seen.delete(value)
    }
    if (known !== undefined && seen.size === size && size < count) return undefined
    // It changed in place, and the cache takes the size of what is new to it alone.
    keys.delete(key)
    if (seen.size < count) {
      keys.set(key, seen)
      return undefined
    }
    return { count: seen.size, firstSeen: Math.min(...seen.values()), lastSeen: Math.max(...seen.values()) }
  }
}
