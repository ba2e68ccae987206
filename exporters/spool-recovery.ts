/** What a sensor finds in the spool's directory: another sensor, the alerts of the one before, damage. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { allCursors } from './cursor.ts'
import type { Metrics } from './metrics.ts'
import { recoverSegment, type Segment, segmentName, segmentOf } from './segment.ts'
import { lockSpool, type SpoolLock } from './spool-lock.ts'
import type { Damage } from './spool-record.ts'

/** The directory is this sensor's alone until it's released. */
export interface Claim extends SpoolLock {
  /** That an earlier sensor has left, the oldest first. */
  readonly segments: readonly Segment[]
  /** The highest sequence number that was ever used. */
  readonly sequence: number
}

/**
 * Makes the directory, takes its lock, for which it waits as long as it's told, and reads what is there. Undefined if that
 * can't be; then the log says why, and what to do, once for each reason.
 *
 * @param options.unread a sequence number that none in a file that can't be read exceeds
 */
export function directoryClaim(
  directory: string,
  { memory, unread, onDamage, log }: { memory: number; unread: number; onDamage: OnDamage; log: Pick<Logger, 'error'> },
): (patience: number) => Promise<Claim | undefined> {
  const instead = `alerts wait in memory (${memory} bytes at most) until it can be used, and are lost if the sensor ends before`
  const told = new Set<string>()

  function tell(advice: string, about: object = {}) {
    if (!told.has(advice)) log.error({ directory, ...about }, `${advice}: set exporters.spool.directory; ${instead}`)
    told.add(advice)
  }

  return async (patience) => {
    let lock: SpoolLock | undefined
    try {
      makeDirectory(directory)
      lock = await lockSpool(directory, patience)
      if (lock !== undefined) return { ...(await recoverSegments(directory, unread, onDamage)), release: lock.release }
      tell('another sensor has the spool, expected one of its own')
    } catch (error) {
      lock?.release()
      tell("the spool can't be written, expected a directory that can", { err: error })
    }
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

async function recoverSegments(
  directory: string,
  unread: number,
  onDamage: OnDamage,
): Promise<{ segments: readonly Segment[]; sequence: number }> {
  let sequence = Math.max(0, ...allCursors(directory))
  const segments: Segment[] = []
  const found = readdirSync(directory)
    .flatMap((name) => segmentOf(name) ?? [])
    .sort((one, other) => one.first - other.first)
  for (const named of found) {
    try {
      const { segment, damaged } = await recoverSegment(directory, named)
      sequence = Math.max(sequence, segment?.last ?? named.first)
      if (damaged.length > 0) onDamage(named, damaged)
      if (segment === undefined) removeFile(join(directory, segmentName(named)))
      else segments.push(segment)
    } catch (error) {
      // It stays, for a person or a disk that gets well: then no alert after it may have a number of its own.
      sequence = Math.max(sequence, named.first, unread)
      onDamage(named, [{ from: 0, to: 0 }], error)
    }
  }
  return { segments, sequence }
}

function removeFile(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The volume can't be written: then it's found again by the next sensor.
  }
}

type SegmentName = Parameters<typeof segmentName>[0]
/** The error, if the file can't be read at all. */
type OnDamage = (segment: SegmentName, damaged: readonly Damage[], error?: unknown) => void

/** Counts and logs each damaged stretch once, however many readers come across it. */
export function damageReport(
  directory: string,
  { metrics, log }: { metrics: Pick<Metrics, 'spoolDamaged'>; log: Pick<Logger, 'warn'> },
): OnDamage {
  const reported = new Set<string>()
  return (segment, damaged, err) => {
    const file = segmentName(segment)
    const news = damaged.filter(({ from }) => !reported.has(`${file} ${from}`))
    const [first] = news
    if (first === undefined) return
    for (const { from } of news.slice(0, mostReported)) reported.add(`${file} ${from}`)
    metrics.spoolDamaged.inc(news.length)
    const bytes = news.reduce((sum, { from, to }) => sum + to - from, 0)
    log.warn(
      { directory, file, stretches: news.length, bytes, from: first.from, err },
      'damage in the spool: the alerts there are lost, all others are delivered',
    )
  }
}

/** Of one file at a time. */
const mostReported = 1000
