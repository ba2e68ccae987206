/**
 * Keeps a storm from the receivers. Where a rule doesn't say what belongs together (`groupBy`), the repeats of a match are
 * folded that come from the same workload and the same programs, from the process up: a shell that starts ten thousand
 * downloads is one act. Where it does, this is the second line: of what it tells apart, ten alerts of one lineage in ten
 * minutes go out one by one, so nobody floods the receivers by varying an argument.
 */
import { LRUCache } from 'lru-cache'
import type { Match } from '../rules/engine.ts'
import { createFold } from '../rules/fold.ts'
import { shortKey } from '../rules/key.ts'
import type { Event, ProcessBase } from './event.ts'

/** Milliseconds of event time. */
const window = 600_000
/** Of a rule with `groupBy`: alerts of one lineage that go out as they come. */
const atOnce = 10
/** Lineages that are remembered; one that falls out alerts anew. */
const mostKeys = 10_000

/** What to report for a match now; undefined if it's only counted. */
export function createStormFold(): (match: Match) => Match | undefined {
  const fold = createFold()
  const begun = new LRUCache<string, { since: number; alerts: number }>({ max: mostKeys })

  function isAmongFirst(key: string, time: number): boolean {
    const before = begun.get(key)
    const current = before && Math.abs(time - before.since) < window ? before : { since: time, alerts: 0 }
    begun.set(key, { ...current, alerts: current.alerts + 1 })
    return current.alerts < atOnce
  }

  return (match) => {
    const { rule, event, count, firstSeen, lastSeen } = match
    const key = `${rule.id} ${lineageOf(event)}`
    if (rule.groupBy.length > 0 && isAmongFirst(key, event.time)) return match
    const folded = fold(key, event.time, window, { count, firstSeen, lastSeen })
    return folded && { ...match, ...folded }
  }
}

function lineageOf({ container, process }: Event): string {
  const programs = [process, ...(process?.ancestors ?? [])].map((one) => one && programOf(one))
  return shortKey(JSON.stringify([container?.id, ...programs]))
}

const programOf = ({ executable, name }: ProcessBase) => executable?.path ?? name
