/** What a sensor finds in the spool's directory when it starts: another sensor, the alerts of the one before, damage. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { allCursors } from './cursor.ts'
import type { Metrics } from './metrics.ts'
import { recoverSegment, type Segment, segmentName, segmentOf } from './segment.ts'
import { lockSpool, type SpoolLock } from './spool-lock.ts'
import type { Damage } from './spool-record.ts'

/** Makes the directory and takes its lock. Undefined if that can't be; then the log says why, and what to do. */
export async function claimDirectory(
  directory: string,
  { patience, memory, log }: { patience: number; memory: number; log: Pick<Logger, 'error'> },
): Promise<SpoolLock | undefined> {
  const instead = `alerts wait in memory (${memory} bytes at most) and are lost when the sensor ends`
  try {
    makeDirectory(directory)
    const lock = await lockSpool(directory, patience)
    if (lock === undefined) {
      const advice = 'another sensor has the spool, expected one of its own: set exporters.spool.directory'
      log.error({ directory }, `${advice}; ${instead}`)
    }
    return lock
  } catch (error) {
    const advice = "the spool can't be written, expected a directory that can: set exporters.spool.directory"
    log.error({ directory, err: error }, `${advice}; ${instead}`)
    return undefined
  }
}

/** With its parents. Node's own `recursive` never returns where a directory is there that takes no other (/proc). */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || existsSync(dirname(directory))) throw error
    makeDirectory(dirname(directory))
    mkdirSync(directory, { mode: 0o700 })
  }
}

/** The segments that are there, the oldest first, and the highest sequence number that was ever used. */
export function recoverSegments(
  directory: string,
  onDamage: (segment: SegmentName, damaged: readonly Damage[]) => void,
): { segments: Segment[]; sequence: number } {
  let sequence = Math.max(0, ...allCursors(directory))
  const found = readdirSync(directory)
    .flatMap((name) => segmentOf(name) ?? [])
    .sort((one, other) => one.first - other.first)
  const segments = found.flatMap((named) => {
    const { segment, damaged } = recoverSegment(directory, named)
    sequence = Math.max(sequence, segment?.last ?? named.first)
    if (damaged.length > 0) onDamage(named, damaged)
    if (segment === undefined) rmSync(join(directory, segmentName(named)), { force: true })
    return segment ?? []
  })
  return { segments, sequence }
}

type SegmentName = Parameters<typeof segmentName>[0]

/** Counts and logs each damaged stretch once, however many readers come across it. */
export function damageReport(
  directory: string,
  { metrics, log }: { metrics: Pick<Metrics, 'spoolDamaged'>; log: Pick<Logger, 'warn'> },
): (segment: SegmentName, damaged: readonly Damage[]) => void {
  const reported = new Set<string>()
  return (segment, damaged) => {
    const file = segmentName(segment)
    const news = damaged.filter(({ from }) => !reported.has(`${file} ${from}`))
    const [first] = news
    if (first === undefined) return
    for (const { from } of news.slice(0, mostReported)) reported.add(`${file} ${from}`)
    metrics.spoolDamaged.inc(news.length)
    const bytes = news.reduce((sum, { from, to }) => sum + to - from, 0)
    log.warn(
      { directory, file, stretches: news.length, bytes, from: first.from },
      'damage in the spool: the alerts there are lost, all others are delivered',
    )
  }
}

/** Of one file at a time. */
const mostReported = 1000
