/**
 * Folds the repeats of a match: the first alerts at once, those that follow within the window are counted. When their
 * count has reached a power of ten it is told, but not within a minute of the last telling: the burst of one act (a
 * shell that wires up its descriptors) is one alert. Time is the time of the events, so a replay folds as the live run.
 */
import { LRUCache } from 'lru-cache'

/** What one alert stands for: how many matches, and the times (Unix, milliseconds) of the first and the last. */
export interface Folded {
  readonly count: number
  readonly firstSeen: number
  readonly lastSeen: number
}

/**
 * Takes a match; gives what to report now, or undefined if it's only counted. A match that itself stands for several
 * (a threshold that was reached) says so in `match`.
 */
export type Fold = (key: string, time: number, window: number, match?: Folded) => Folded | undefined

/** Keys that are remembered. A key that falls out alerts anew: too many alerts rather than too few. */
const mostKeys = 10_000

/** Between two tellings of one group; milliseconds. */
const quiet = 60_000

interface Group extends Folded {
  /** The count from which it is told next, and when it was told last. */
  readonly next: number
  readonly toldAt: number
}

/** A fold with a memory of its own. `window` is in milliseconds, from the first match on. */
export function createFold(): Fold {
  const groups = new LRUCache<string, Group>({ max: mostKeys })
  return (key, time, window, match = { count: 1, firstSeen: time, lastSeen: time }) => {
    const group = groups.get(key)
    // Events of several processors may come a little out of order: an older one belongs to the group as well.
    if (group === undefined || Math.abs(time - group.firstSeen) >= window) {
      groups.set(key, { ...match, next: powerAbove(match.count), toldAt: time })
      return match
    }
    const grown = {
      count: group.count + match.count,
      firstSeen: Math.min(group.firstSeen, match.firstSeen),
      lastSeen: Math.max(group.lastSeen, match.lastSeen),
    }
    const isTold = grown.count >= group.next && time - group.toldAt >= quiet
    const { next, toldAt } = isTold ? { next: powerAbove(grown.count), toldAt: time } : group
    groups.set(key, { ...grown, next, toldAt })
    return isTold ? grown : undefined
  }
}

const powerAbove = (count: number): number => 10 ** (Math.floor(Math.log10(count)) + 1)
