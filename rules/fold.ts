/**
 * Folds the repeats of a match: the first alerts at once, those that follow within the window are counted. When their
 * count has reached a power of ten it is told, but not within a minute of the last telling: the burst of one act (a
 * shell that wires up its descriptors) is one alert. Time is the time of the events, so a replay folds as the live run.
 * After the minute the next match tells the count, or the time itself if none comes.
 */
import { LRUCache } from 'lru-cache'
import { mostLate } from './steady-time.ts'

/** What one alert stands for: how many matches, and the times (Unix, milliseconds) of the first and the last. */
export interface Folded {
  readonly count: number
  readonly firstSeen: number
  readonly lastSeen: number
}

export interface Fold<T> {
  /**
   * Takes a match; gives what to report now, or undefined if it's only counted. A match that itself stands for several
   * (a threshold that was reached) says so in `match`.
   */
  readonly add: (key: string, time: number, window: number, one: T, match?: Folded) => Folded | undefined
  /** When it is that time: the counts whose minute is over and that no match has told, each with its last match. */
  readonly due: (time: number) => readonly (readonly [T, Folded])[]
}

/** Keys that are remembered. A key that falls out alerts anew: too many alerts rather than too few. */
const mostKeys = 10_000
/** Groups whose count waits for the end of a minute; of one that finds no place only its next match can tell. */
const mostWaiting = 1_000

/** Between two tellings of one group; milliseconds. */
const quiet = 60_000
/** What waits is looked through no more often than that. */
const second = 1_000

interface Group {
  count: number
  firstSeen: number
  lastSeen: number
  /** The count from which it is told next, and when it was told last. */
  next: number
  toldAt: number
}

/** A fold with a memory of its own. `window` is in milliseconds, from the first match on. */
export function createFold<T extends object>(): Fold<T> {
  const groups = new LRUCache<string, Group>({ max: mostKeys })
  /** Their last matches. A group whose window is over waits on beside the one that has its key. */
  const waiting = new Map<Group, T>()
  let lookedAt = -Infinity

  const tell = (group: Group, time: number): Folded => {
    const { count, firstSeen, lastSeen } = group
    waiting.delete(group)
    group.next = powerAbove(count)
    group.toldAt = time
    return { count, firstSeen, lastSeen }
  }

  return {
    add(key, time, window, one, match = { count: 1, firstSeen: time, lastSeen: time }) {
      const group = groups.get(key)
      // Events of several processors may come a little out of order: an older one belongs to the group as well.
      if (group === undefined || Math.abs(time - group.firstSeen) >= window) {
        groups.set(key, { ...match, next: powerAbove(match.count), toldAt: time })
        return match
      }
      group.count += match.count
      group.firstSeen = Math.min(group.firstSeen, match.firstSeen)
      group.lastSeen = Math.max(group.lastSeen, match.lastSeen)
      if (group.count < group.next) return undefined
      if (time - group.toldAt >= quiet) return tell(group, time)
      if (waiting.size < mostWaiting || waiting.has(group)) waiting.set(group, one)
      return undefined
    },
    due(time) {
      if (waiting.size === 0 || Math.abs(time - lookedAt) < second) return []
      lookedAt = time
      // A match that comes late still tells by itself. A clock that was set back must not stretch the minute.
      const isOver = ({ toldAt }: Group) => Math.abs(time - toldAt) >= quiet + mostLate
      return [...waiting].filter(([group]) => isOver(group)).map(([group, one]) => [one, tell(group, time)] as const)
    },
  }
}

const powerAbove = (count: number): number => 10 ** (Math.floor(Math.log10(count)) + 1)
