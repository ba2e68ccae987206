/**
 * Keeps a storm from the receivers. Where a rule doesn't say what belongs together (`groupBy`), the repeats of a match are
 * folded: the same workload, the same programs from the process up, the same command line. What is told apart, by the rule
 * or so, is limited: of one lineage ten alerts in ten minutes go out one by one, and then their number, so that nobody
 * floods the receivers by varying an argument.
 */
import { LRUCache } from 'lru-cache'
import type { Match } from '../rules/engine.ts'
import { createFold } from '../rules/fold.ts'
import { shortKey } from '../rules/key.ts'
import type { Event, ProcessBase } from './event.ts'

/** Milliseconds of event time. */
const window = 600_000
/** Alerts of one rule and lineage that go out as they come. */
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

  const folded = (match: Match, key: string): Match | undefined => {
    const { event, count, firstSeen, lastSeen } = match
    const told = fold(key, event.time, window, { count, firstSeen, lastSeen })
    return told && { ...match, ...told }
  }

  return (match) => {
    const { rule, event } = match
    const lineage = `${rule.id} ${lineageOf(event)}`
    const repeats = `${lineage} ${shortKey(event.process?.command_line ?? '')}`
    const told = rule.groupBy.length > 0 ? match : folded(match, repeats)
    if (told === undefined || isAmongFirst(lineage, event.time)) return told
    return folded(told, lineage)
  }
}

function lineageOf({ container, process }: Event): string {
  const programs = [process, ...(process?.ancestors ?? [])].map((one) => one && programOf(one))
  return shortKey(JSON.stringify([container?.id, ...programs]))
}

const programOf = ({ executable, name }: ProcessBase) => executable?.path ?? name
