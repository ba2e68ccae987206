/**
 * Follows sequences: step after step, by events that have the same key or are of one tree of processes. Time is the
 * time of the events, so a replay follows as the live run.
 *
 * An alert says: there were events for all the steps in their order, the last no later than `within` after the first,
 * and none that a negated step asks for between the two steps around it. For each number of steps done, only the run
 * that began last is remembered: whatever an older one could become in time, that one can too. When the last step has
 * come, all runs of that key are forgotten, so that each alert tells of new events.
 *
 * A negated first step asks for none of its kind in the time `within` before the second. With a negated last step what
 * has happened is awaited to stay alone: until `within` after the first, one at a time for a key; when that time is
 * over, it is due, and all runs of its key that began until then are forgotten.
 */
import { LRUCache } from 'lru-cache'
import type { Event } from '../sensor/event.ts'
import { type Shared, type Test, testFor } from './compile.ts'
import { compileField } from './fields.ts'
import { keyOf } from './key.ts'
import type { Sequence } from './rule.ts'

/** The events of all steps that happened but the last, oldest first. */
export type Earlier = readonly Event[]

/** What came about, and was followed by nothing that it shouldn't. */
export interface Due {
  readonly event: Event
  readonly earlier: Earlier
  /** When that was certain, by the time that the events came with. */
  readonly end: number
}

export interface Follower {
  /**
   * Takes an event, and its time, which must not be set back; gives the events before it when it completes the sequence.
   * `accepts` is asked only then, and once: if it says no, the event counts as none that completes.
   */
  readonly follow: (event: Event, time: number, accepts: () => boolean) => Earlier | undefined
  /** Does it end with a negated step? Only then is anything ever due. */
  readonly awaits: boolean
  /** What was awaited until a moment before `time`: no event of an earlier time will come. Each is given once. */
  readonly due: (time: number) => readonly Due[]
}

/** Events that are remembered for one rule, all keys together; each has its process with up to 16 ancestors. */
const mostRemembered = 5_000

interface Run {
  readonly start: number
  readonly events: Earlier
}

/** By how many steps are done; none at 0. */
type Runs = readonly (Run | undefined)[]

interface Stage {
  readonly holds: Test
  /** Negated: what may not come between the stage before and this one. */
  readonly breaks: readonly Test[]
}

/** The steps that happen, and what may not come after the last of them. */
function stagesOf({ steps }: Sequence, shared: Shared): { stages: Stage[]; after: readonly Test[] } {
  const stages: Stage[] = []
  let breaks: Test[] = []
  for (const step of steps) {
    const holds = testFor(step.on, step.when, shared)
    if (step.negated) breaks.push(holds)
    else {
      stages.push({ holds, breaks })
      breaks = []
    }
  }
  return { stages, after: breaks }
}

interface Awaited extends Due {
  /** The keys of the runs that it came from. */
  readonly keys: readonly string[]
}

type Somebody = { readonly pid?: number; readonly start_time?: number }

/** A process id is used again; with the start time it names one process. */
const idOf = ({ pid, start_time }: Somebody): string | undefined =>
  pid === undefined ? undefined : `${pid}/${start_time ?? ''}`

/** init and kthreadd (kernel/fork.c, init/main.c): what they started has nothing in common. */
const isEveryonesParent = ({ pid }: Somebody): boolean => pid === undefined || pid <= 2

/**
 * The tree that a sequence grows in is the parent of the process of its first step with all that descends from it: so
 * the commands of one script belong together. `of` are the trees that an event is in, `root` the one it begins.
 */
function treesOf({ process }: Event): { of: string[]; root: string | undefined } {
  if (process === undefined) return { of: [], root: undefined }
  const lineage = [process, ...(process.ancestors ?? [])]
  const parent = lineage[1]
  const root = parent === undefined || isEveryonesParent(parent) ? process : parent
  return { of: [...new Set(lineage.flatMap((one) => idOf(one) ?? []))], root: idOf(root) }
}

/** A memory of its own. `onEvicted` is told of each key that was forgotten while its sequence might have gone on. */
export function createSequence(
  sequence: Sequence,
  onEvicted: () => void,
  shared: Shared = new Map(),
  most: number = mostRemembered,
): Follower {
  const { by, within } = sequence
  const { stages, after } = stagesOf(sequence, shared)
  const before = stages[0]?.breaks ?? []
  const last = stages.length - 1
  /** An event of which none of these holds changes nothing. */
  const asked = [...stages.flatMap((stage) => [stage.holds, ...stage.breaks]), ...after]
  let latest = -Infinity
  const memory = new LRUCache<string, Runs>({
    maxSize: most,
    sizeCalculation: (runs) => runs.reduce((sum, run) => sum + (run?.events.length ?? 0), 1),
    dispose: (runs, _, reason) => {
      if (reason === 'evict' && runs.some((run) => run && latest - run.start <= within)) onEvicted()
    },
  })
  /** What a negated first step asks for: by key, when it came last. */
  const seen = new LRUCache<string, number>({
    max: most,
    dispose: (time, _, reason) => {
      if (reason === 'evict' && latest - time <= within) onEvicted()
    },
  })
  const awaited = new LRUCache<string, Awaited>({
    maxSize: most,
    sizeCalculation: ({ earlier }) => earlier.length + 1,
    dispose: (_, __, reason) => {
      if (reason === 'evict') onEvicted()
    },
  })
  /** Nothing is due before; what was awaited until then may be awaited no longer. */
  let nextEnd = Infinity
  const getters = by === 'process_tree' ? [] : by.fields.map(compileField)
  const placesOf = (event: Event) => {
    if (by === 'process_tree') return treesOf(event)
    const key = keyOf(getters, event)
    return { of: [key], root: key }
  }

  /** Does a sequence begin with this event, for that key: has nothing come that a negated first step asks for? */
  const canBegin = (key: string, time: number): boolean => time - (seen.get(key) ?? -Infinity) > within

  /** The runs after an event that completes none of them. */
  const grow = (runs: Runs, event: Event, time: number, holds: readonly boolean[], begins: boolean): Runs =>
    stages.map((stage, done) => {
      if (done === 0) return undefined
      const before = done === 1 ? begins && { start: time, events: [] } : runs[done - 1]
      const grown =
        holds[done - 1] && before && time - before.start <= within
          ? { start: before.start, events: [...before.events, event] }
          : undefined
      const kept = runs[done] && stage.breaks.some((breaks) => breaks(event)) ? undefined : runs[done]
      return grown && (kept === undefined || grown.start >= kept.start) ? grown : kept
    })

  /** The run that an event of that time completes. */
  const wholeOf = (runs: Runs, time: number, begins: boolean): Run | undefined => {
    const whole = last > 0 ? runs[last] : begins ? { start: time, events: [] } : undefined
    return whole && time - whole.start <= within ? whole : undefined
  }

  const awaitEnd = (event: Event, { start, events }: Run, keys: readonly string[]): void => {
    const [key] = keys
    if (key === undefined || awaited.has(key)) return
    const end = start + within
    awaited.set(key, { event, earlier: events, end, keys })
    nextEnd = Math.min(nextEnd, end)
  }

  const follow = (event: Event, time: number, accepts: () => boolean): Earlier | undefined => {
    if (!asked.some((test) => test(event))) return undefined
    const holds = stages.map((stage) => stage.holds(event))
    latest = Math.max(latest, time)
    const { of, root } = placesOf(event)
    const isUnwanted = after.some((test) => test(event))
    const isForewarning = before.some((test) => test(event))
    const whole: { key: string; run: Run }[] = []
    let accepted: boolean | undefined
    for (const key of of) {
      if (isUnwanted && time <= (awaited.get(key)?.end ?? -Infinity)) awaited.delete(key)
      const runs = memory.get(key) ?? []
      const begins = key === root && canBegin(key, time)
      if (isForewarning) seen.set(key, Math.max(time, seen.get(key) ?? time))
      const run = holds[last] ? wholeOf(runs, time, begins) : undefined
      if (run) {
        accepted ??= accepts()
        if (accepted) whole.push({ key, run })
        if (accepted && after.length === 0) {
          memory.delete(key)
          continue
        }
      }
      const grown = grow(runs, event, time, holds, begins)
      if (grown.some((one) => one !== undefined)) memory.set(key, grown)
      else memory.delete(key)
    }
    const [first] = whole
    if (first === undefined) return undefined
    if (after.length === 0) return first.run.events
    awaitEnd(
      event,
      first.run,
      whole.map(({ key }) => key),
    )
    return undefined
  }

  /** Forgets the runs that began until then. */
  const forget = (key: string, until: number): void => {
    const left = memory.get(key)?.map((run) => (run && run.start > until ? run : undefined)) ?? []
    if (left.some((run) => run !== undefined)) memory.set(key, left)
    else memory.delete(key)
  }

  const due = (time: number): readonly Due[] => {
    if (time <= nextEnd) return []
    const over: Awaited[] = []
    nextEnd = Infinity
    for (const [key, one] of [...awaited.entries()]) {
      if (one.end >= time) nextEnd = Math.min(nextEnd, one.end)
      else {
        over.push(one)
        awaited.delete(key)
        for (const each of one.keys) forget(each, one.end)
      }
    }
    return over.sort((one, other) => one.end - other.end)
  }

  return { follow, awaits: after.length > 0, due }
}
