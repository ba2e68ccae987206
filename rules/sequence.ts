/**
 * Follows sequences: step after step, by events that have the same key or are of one tree of processes. Time is the
 * time of the events, so a replay follows as the live run.
 *
 * An alert says: there were events for all the steps in their order, the last no later than `within` after the first,
 * and none that a negated step asks for between the two steps around it. For each number of steps done, only the run
 * that began last is remembered: whatever an older one could become in time, that one can too. When the last step has
 * come, all runs of that key are forgotten, so that each alert tells of new events.
 */
import { LRUCache } from 'lru-cache'
import type { Event } from '../sensor/event.ts'
import { type Shared, type Test, testFor } from './compile.ts'
import { compileField } from './fields.ts'
import { keyOf } from './key.ts'
import type { Sequence } from './rule.ts'

/** The events of all steps but the last, oldest first. */
export type Earlier = readonly Event[]

/**
 * Takes an event; gives the events before it when it completes the sequence. `accepts` is asked only then, and once: if it
 * says no, the event counts as none that completes.
 */
export type Follow = (event: Event, accepts: () => boolean) => Earlier | undefined

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

function stagesOf({ steps }: Sequence, shared: Shared): Stage[] {
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
  return stages
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
): Follow {
  const { by, within } = sequence
  const stages = stagesOf(sequence, shared)
  const last = stages.length - 1
  let latest = -Infinity
  const memory = new LRUCache<string, Runs>({
    maxSize: most,
    sizeCalculation: (runs) => runs.reduce((sum, run) => sum + (run?.events.length ?? 0), 1),
    dispose: (runs, _, reason) => {
      if (reason === 'evict' && runs.some((run) => run && latest - run.start <= within)) onEvicted()
    },
  })
  const getters = by === 'process_tree' ? [] : by.fields.map(compileField)
  const placesOf = (event: Event) => {
    if (by === 'process_tree') return treesOf(event)
    const key = keyOf(getters, event)
    return { of: [key], root: key }
  }

  /** The runs after an event that completes none of them. */
  const grow = (runs: Runs, event: Event, holds: readonly boolean[], begins: boolean): Runs =>
    stages.map((stage, done) => {
      if (done === 0) return undefined
      const before = done === 1 ? begins && { start: event.time, events: [] } : runs[done - 1]
      const grown =
        holds[done - 1] && before && event.time - before.start <= within
          ? { start: before.start, events: [...before.events, event] }
          : undefined
      const kept = runs[done] && stage.breaks.some((breaks) => breaks(event)) ? undefined : runs[done]
      return grown && (kept === undefined || grown.start >= kept.start) ? grown : kept
    })

  return (event, accepts) => {
    const holds = stages.map((stage) => stage.holds(event))
    const concerns = holds.includes(true) || stages.some(({ breaks }) => breaks.some((test) => test(event)))
    if (!concerns) return undefined
    latest = Math.max(latest, event.time)
    const { of, root } = placesOf(event)
    let completed: Earlier | undefined
    let accepted: boolean | undefined
    for (const key of of) {
      const runs = memory.get(key) ?? []
      const whole = holds[last] ? runs[last] : undefined
      if (whole && event.time - whole.start <= within) {
        accepted ??= accepts()
        if (accepted) {
          completed ??= whole.events
          memory.delete(key)
          continue
        }
      }
      const grown = grow(runs, event, holds, key === root)
      if (grown.some((run) => run !== undefined)) memory.set(key, grown)
      else memory.delete(key)
    }
    return completed
  }
}
