/**
 * The alerts that wait for their receivers, on disk: one log for all of them, and a cursor for each.
 *
 * An alert has been handed to the kernel when `append` returns, so killing the sensor costs none; it's on the disk itself
 * a fifth of a second later, which is what a power cut can cost. Each severity has its own files of at most 1 MiB, so that
 * the oldest of the least severe can make room. Where nothing can be written (a read-only volume, a full disk, a directory
 * that another sensor still has) alerts wait in memory, fewer of them, and go to disk when that works again.
 */
import { closeSync, fsync, openSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { type Alert, type Severity, severities } from '../sensor/alert.ts'
import { type Cursor, openCursor, readCursor } from './cursor.ts'
import type { FailureReason, Metrics } from './metrics.ts'
import { append, createSegment, remove, type Segment, seal, toDisk } from './segment.ts'
import { type AttachedReader, prepareReader, type Source, type SpoolReader } from './spool-reader.ts'
import { encodeRecord } from './spool-record.ts'
import { damageReport, directoryClaim } from './spool-recovery.ts'

export interface SpoolOptions {
  directory: string
  maxBytes: number
  /** Milliseconds. */
  maxAge: number
  /** What may wait in memory, in bytes; default 32 MiB, and never more than `maxBytes`. */
  maxMemory?: number
  /** Milliseconds to wait for a sensor that still has the directory; default 5 s. */
  patience?: number
  metrics: Metrics
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Unix time in milliseconds; default Date.now. */
  now?: () => number
}

/** Someone who reads the spool. */
export interface SpoolSubscriber {
  readonly name: string
  readonly minSeverity: Severity
  readonly wants?: (alert: Alert) => boolean
}

export interface Spool {
  /** Where it is, if alerts are on disk; undefined as long as the directory can't be used. */
  readonly directory: string | undefined
  /** Takes the alert, if a reader wants it. Never throws. */
  append(alert: Alert): void
  /**
   * Readers for these, in place of those before, each beginning where the one of its name had come to; a new one begins
   * with the alerts to come.
   */
  attach(subscribers: readonly SpoolSubscriber[]): Promise<SpoolReader[]>
  /** Resolves to the number of alerts that are in memory alone, and so are lost. Never rejects. */
  close(): Promise<number>
}

/** Milliseconds between an alert and its being on the disk itself. */
const syncWithin = 200
/** Milliseconds between two looks for what is too old, and for whether the directory can be had, and written, by now. */
const tidyEvery = 10_000

const segmentBytes = (limit: number) => Math.min(1024 * 1024, Math.max(64 * 1024, Math.floor(limit / 64)))

export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const { maxBytes, maxAge, metrics, log, now = Date.now, patience = 5000 } = options
  const limits = { disk: maxBytes, memory: Math.min(maxBytes, options.maxMemory ?? 32 * 1024 * 1024) }
  const used = { disk: 0, memory: 0 }
  const lanes = new Map<Severity, Segment[]>(severities.map((severity) => [severity, []]))
  const leastSevereFirst = [...severities].reverse()
  let readers: readonly AttachedReader[] = []
  let evicted = 0
  let closing: Promise<number> | undefined
  let isNewFile = false
  let isSyncFailing = false
  let syncTimer: NodeJS.Timeout | undefined
  let turn: Promise<unknown> = Promise.resolve()

  // Nobody raises an alert a microsecond: numbers that are not known yet, or can't be read, are lower than this.
  const start = now() * 1000
  const damage = damageReport(options.directory, { metrics, log })
  const claim = directoryClaim(options.directory, { memory: limits.memory, unread: start, onDamage: damage, log })
  let claimed = await claim(patience)
  let directory = claimed && options.directory
  let isWritable = directory !== undefined
  let sequence = claimed?.sequence ?? start
  if (claimed) addPast(claimed.segments)
  const tidying = setInterval(() => inTurn(tidy), tidyEvery).unref()
  const source: Source = { segments: laneOf, sequence: () => sequence, onDamage: damage, onDone: release }
  show()

  /** One after the other: a reader that comes while the directory is taken over misses nothing of what is there. */
  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = turn.then(step)
    turn = done.catch(() => {})
    return done
  }

  function addPast(segments: readonly Segment[]) {
    for (const segment of [...segments].reverse()) laneOf(segment.severity).unshift(segment)
    used.disk += segments.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  function laneOf(severity: Severity): Segment[] {
    const lane = lanes.get(severity)
    if (lane === undefined) throw new Error(`no severity ${severity}`)
    return lane
  }

  function show() {
    metrics.spoolBytes.set(used.disk + used.memory)
    for (const { name, behind } of readers) metrics.exportQueueAlerts.set({ exporter: name }, behind)
    metrics.spoolAlerts.set(Math.max(0, ...readers.map(({ behind }) => behind)))
    metrics.spoolDurable.set(isWritable ? 1 : 0)
  }

  /** For readers that wanted them and will never get them. */
  function lose(reader: { name: string }, reason: FailureReason, alerts: number) {
    if (alerts > 0) metrics.exportFailures.inc({ exporter: reader.name, reason }, alerts)
  }

  const placeOf = (segment: Segment) => (segment.inMemory ? 'memory' : 'disk')

  function discard(segment: Segment) {
    const lane = laneOf(segment.severity)
    lane.splice(lane.indexOf(segment), 1)
    used[placeOf(segment)] -= segment.bytes
    remove(segment)
  }

  /** Removes what readers may still have wanted. */
  function evict(segment: Segment, reason: 'spool_full' | 'expired') {
    discard(segment)
    const losses = readers.map((reader) => ({ reader, alerts: reader.lose(segment) }))
    for (const { reader, alerts } of losses) lose(reader, reason, alerts)
    const alerts = Math.max(0, ...losses.map(({ alerts }) => alerts))
    if (alerts === 0) return
    evicted++
    if (reason === 'expired' || Number.isInteger(Math.log10(evicted)))
      log.warn(
        {
          reason,
          severity: segment.severity,
          alerts,
          exporters: losses.filter(({ alerts }) => alerts > 0).map(({ reader }) => reader.name),
        },
        reason === 'expired'
          ? 'alerts that nobody took for longer than exporters.spool.maxAge are dropped'
          : 'the spool is full: the oldest alerts of the lowest severity are dropped',
      )
  }

  /** Makes room at the cost of what is not more severe. False if all that is there is. */
  function makeRoom(place: 'disk' | 'memory', bytes: number, severity: Severity): boolean {
    const atMost = leastSevereFirst.slice(0, leastSevereFirst.indexOf(severity) + 1)
    while (used[place] + bytes > limits[place]) {
      const victim = atMost.flatMap((severity) => laneOf(severity)).find((segment) => placeOf(segment) === place)
      if (victim === undefined) return false
      evict(victim, 'spool_full')
    }
    return true
  }

  /** The segment that takes the next alert. Throws if there can be no new file. */
  function open(severity: Severity, place: 'disk' | 'memory', bytes: number): Segment {
    const lane = laneOf(severity)
    const last = lane.at(-1)
    if (last && !last.sealed && placeOf(last) === place) {
      if (last.bytes === 0 || last.bytes + bytes <= segmentBytes(limits[place])) return last
    }
    if (last) seal(last)
    const segment = createSegment(severity, sequence, place === 'disk' ? directory : undefined)
    if (place === 'disk') isNewFile = true
    lane.push(segment)
    return segment
  }

  function store(record: Buffer, severity: Severity, time: number): boolean {
    const place = isWritable ? 'disk' : 'memory'
    if (!makeRoom(place, record.length, severity)) return false
    try {
      append(open(severity, place, record.length), record, sequence, time)
      used[place] += record.length
      return true
    } catch (error) {
      if (place === 'memory') return false
      isWritable = false
      const last = laneOf(severity).at(-1)
      if (last && last.alerts === 0) discard(last)
      else if (last) seal(last)
      log.error(
        { directory: options.directory, err: error },
        'the spool can not be written: alerts wait in memory until it can, and are lost if the sensor ends before',
      )
      return store(record, severity, time)
    }
  }

  function syncSoon() {
    if (isWritable) syncTimer ??= setTimeout(sync, syncWithin)
  }

  async function sync(): Promise<void> {
    clearTimeout(syncTimer)
    syncTimer = undefined
    const written = [...lanes.values()].flatMap((lane) => lane.filter(({ sealed }) => !sealed))
    const syncs = written.map(({ store }) => store.sync())
    if (isNewFile && directory !== undefined) syncs.push(syncDirectory(directory))
    isNewFile = false
    const failed = (await Promise.allSettled(syncs)).find((result) => result.status === 'rejected')
    if (failed && !isSyncFailing)
      log.error({ err: failed.reason }, 'the spool could not be synced to the disk: a power cut may cost alerts')
    isSyncFailing = failed !== undefined
  }

  /** Removes the segments that all their readers are done with; while there are none at all, they may be back soon. */
  function release() {
    if (readers.length === 0) return show()
    for (const [severity, lane] of lanes) {
      const done = Math.min(...readers.filter((reader) => reader.reads(severity)).map(({ position }) => position))
      for (let oldest = lane[0]; oldest?.sealed && oldest.last <= done; oldest = lane[0]) discard(oldest)
    }
    show()
  }

  function expire() {
    for (const lane of lanes.values())
      for (const segment of lane.filter(({ newest }) => newest < now() - maxAge)) evict(segment, 'expired')
  }

  /** The directory could not be used until now. */
  async function takeOver(): Promise<void> {
    claimed = await claim(0)
    if (claimed === undefined) return
    if (claimed.sequence > start) {
      const why =
        'the spool has later alerts than this sensor, because the clock was set back: they wait for its next start'
      return log.error({ directory: options.directory }, `${why}, and its own wait in memory`)
    }
    const { segments } = claimed
    const preceding = readers.map((reader) => {
      const first = cursorOf(reader.name, options.directory) ?? start
      return reader.precede({ segments, first, until: start, openCursor: (at) => cursorAt(reader.name, at) })
    })
    const found = await Promise.all(preceding)
    directory = options.directory
    addPast(segments)
    // Cursors first: what goes to disk without one would be nobody's after a kill.
    for (const precede of found) precede()
    release()
  }

  async function tidy(): Promise<void> {
    if (claimed === undefined) await takeOver()
    expire()
    if (directory === undefined || isWritable) return show()
    try {
      // New alerts go to disk meanwhile; if that fails, it fails here as well.
      isWritable = true
      for (const segment of [...lanes.values()].flat().filter(({ inMemory }) => inMemory)) {
        await toDisk(segment, directory)
        if (segment.removed) continue
        used.memory -= segment.bytes
        used.disk += segment.bytes
      }
      log.info({ directory }, 'the spool can be written again: alerts wait on disk')
    } catch (error) {
      isWritable = false
      log.warn({ directory, err: error }, 'the spool still can not be written')
    }
    show()
  }

  function startOf(name: string): number {
    const before = readers.find((reader) => reader.name === name)
    if (before) return before.position
    return (directory === undefined ? undefined : cursorOf(name, directory)) ?? sequence
  }

  /** Undefined if the receiver is new there. */
  function cursorOf(name: string, directory: string): number | undefined {
    const found = readCursor(directory, name)
    if (found === 'damaged') {
      metrics.spoolDamaged.inc()
      log.warn({ directory, exporter: name }, 'the cursor is damaged: all alerts that are there are delivered again')
      return 0
    }
    return found === 'none' ? undefined : found
  }

  function cursorAt(name: string, first: number): Cursor {
    const failed = (err: unknown) =>
      log.warn({ exporter: name, err }, 'the cursor can not be written: alerts may be delivered twice')
    return openCursor(directory, name, first, failed)
  }

  async function attach(subscribers: readonly SpoolSubscriber[]): Promise<SpoolReader[]> {
    const prepared = await Promise.all(
      subscribers.map(({ name, minSeverity, wants = () => true }) => {
        const first = startOf(name)
        const wanted = severities.slice(0, severities.indexOf(minSeverity) + 1)
        return prepareReader({ name, severities: wanted, wants, first, cursor: cursorAt(name, first) }, source)
      }),
    )
    readers = prepared.map((create) => create())
    expire()
    release()
    return [...readers]
  }

  return {
    get directory() {
      return directory
    },

    append(alert) {
      const takers = readers.filter((reader) => reader.wants(alert))
      if (takers.length === 0) return
      if (closing !== undefined) {
        for (const taker of takers) lose(taker, 'shutdown', 1)
        return
      }
      const time = now()
      sequence++
      const record = encodeRecord({ sequence, time, json: JSON.stringify(alert) })
      if (store(record, alert.severity, time)) {
        for (const reader of readers) if (reader.reads(alert.severity)) reader.added()
        syncSoon()
      } else {
        for (const taker of takers) lose(taker, 'spool_full', 1)
      }
      show()
    },

    attach: (subscribers) => inTurn(() => attach(subscribers)),

    close() {
      closing ??= close()
      return closing
    },
  }

  async function close(): Promise<number> {
    clearInterval(tidying)
    await inTurn(tidy)
    await sync()
    for (const lane of lanes.values()) for (const segment of lane) seal(segment)
    const losses = readers.map((reader) => ({ reader, alerts: inMemoryAlone(reader) }))
    for (const { reader, alerts } of losses) lose(reader, 'shutdown', alerts)
    for (const reader of readers) reader.close()
    claimed?.release()
    return Math.max(0, ...losses.map(({ alerts }) => alerts))
  }

  /** Of what it is behind, the alerts that are in memory alone. */
  function inMemoryAlone(reader: AttachedReader): number {
    const ahead = [...lanes.values()].flat().filter(({ inMemory, last }) => inMemory && last > reader.position)
    return Math.min(
      reader.behind,
      ahead.reduce((sum, { alerts }) => sum + alerts, 0),
    )
  }
}

const fsyncLater = promisify(fsync)

/** Makes the names of new files last, which syncing the files themselves does not. */
async function syncDirectory(directory: string): Promise<void> {
  const descriptor = openSync(directory, 'r')
  await fsyncLater(descriptor).finally(() => closeSync(descriptor))
}
