/**
 * Keeps a storm from the receivers. Where a rule doesn't say what belongs together (`groupBy`), the repeats of a match are
 * folded: the same workload, the same programs from the process up, the same command line. What is told apart, by the rule
 * or so, is limited: of one lineage ten alerts in ten minutes go out one by one, and then their number, so that nobody
 * floods the receivers by varying an argument. What has no process (a gap, a finding) has no lineage: what its rule groups
 * by stands for it, so that one kind of gap does not hide another.
 */
import { LRUCache } from 'lru-cache'
import type { Match } from '../rules/engine.ts'
import { createFold, type Fold, type Folded } from '../rules/fold.ts'
import { shortKey } from '../rules/key.ts'
import type { ProcessBase } from './event.ts'

/** Milliseconds of event time. */
const window = 600_000
/** Alerts of one rule and lineage that go out as they come. */
const atOnce = 10
/** Lineages that are remembered; one that falls out alerts anew. */
const mostKeys = 10_000

export interface StormFold {
  /** What to report for a match now; undefined if it's only counted. */
  readonly fold: (match: Match) => Match | undefined
  /** It is that time (Unix, milliseconds): counts that no further match has told. */
  readonly due: (time: number) => Match[]
}

export function createStormFold(): StormFold {
  const repeats = createFold<Match>()
  const lineages = createFold<Match>()
  const begun = new LRUCache<string, { since: number; alerts: number }>({ max: mostKeys })

  function isAmongFirst(key: string, time: number): boolean {
    const before = begun.get(key)
    const current = before && Math.abs(time - before.since) < window ? before : { since: time, alerts: 0 }
    begun.set(key, { ...current, alerts: current.alerts + 1 })
    return current.alerts < atOnce
  }

  const limited = (match: Match): Match | undefined => {
    const lineage = lineageOf(match)
    return isAmongFirst(lineage, match.event.time) ? match : folded(lineages, match, lineage)
  }

  return {
    fold(match) {
      const { rule, event } = match
      if (rule.groupBy.length > 0) return limited(match)
      const told = folded(repeats, match, `${lineageOf(match)} ${shortKey(event.process?.command_line ?? '')}`)
      return told && limited(told)
    },
    due: (time) => [
      ...repeats.due(time).flatMap((told) => limited(withCount(told)) ?? []),
      ...lineages.due(time).map(withCount),
    ],
  }
}

function folded(fold: Fold<Match>, match: Match, key: string): Match | undefined {
  const { event, count, firstSeen, lastSeen } = match
  const told = fold.add(key, event.time, window, match, { count, firstSeen, lastSeen })
  return told && withCount([match, told])
}

const withCount = ([match, told]: readonly [Match, Folded]): Match => ({ ...match, ...told })

function lineageOf({ rule, event: { container, process }, group }: Match): string {
  if (process === undefined) return `${rule.id} ${group ?? ''}`
  const programs = [process, ...(process.ancestors ?? [])].map(programOf)
  return `${rule.id} ${shortKey(JSON.stringify([container?.id, ...programs]))}`
}

const programOf = ({ executable, name }: ProcessBase) => executable?.path ?? name
