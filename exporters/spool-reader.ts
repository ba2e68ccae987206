/**
 * One receiver's way through the spool: the alerts of all severities that it reads, merged in the order in which they were
 * raised. It holds 64 KiB of a severity in memory, however much there is on disk.
 */
import type { Alert, Severity } from '../sensor/alert.ts'
import type { Cursor } from './cursor.ts'
import type { Segment } from './segment.ts'
import { type Damage, type DecodedRecord, decodeRecords } from './spool-record.ts'

export interface Entry {
  readonly sequence: number
  /** When it came into the spool, Unix time in milliseconds. */
  readonly time: number
  readonly alert: Alert
  /** The length of the alert as JSON, in characters. */
  readonly size: number
}

export interface SpoolReader {
  /** Alerts in the spool that are not done with, those under way included. */
  readonly behind: number
  /** The next alert; undefined if there is none now. Not to be called again before it has answered. */
  next(): Promise<Entry | undefined>
  /** Resolves when alerts may have come since the last `next`, when woken, and after `milliseconds` at the latest. */
  more(milliseconds?: number): Promise<void>
  wake(): void
  /** All up to this sequence number are done with, `alerts` more than before. */
  done(sequence: number, alerts: number): void
  /** Writes the cursor. */
  close(): void
}

/** What the spool itself needs of a reader. */
export interface AttachedReader extends SpoolReader {
  readonly name: string
  /** Up to where everything is done with. */
  readonly position: number
  reads(severity: Severity): boolean
  wants(alert: Alert): boolean
  added(): void
  /** The segment is removed: how many alerts of it were never handed out. */
  lose(segment: Segment): number
}

export interface Source {
  /** The segments of a severity, the oldest first. */
  segments(severity: Severity): readonly Segment[]
  /** The sequence number of the alert that came last. */
  sequence(): number
  onDamage(segment: Segment, damaged: readonly Damage[], missing: number): void
  /** The reader has come further. */
  onDone(): void
}

interface Lane {
  readonly severity: Severity
  segment: Segment | undefined
  offset: number
  /** Of that segment. */
  alertsRead: number
  /** The highest sequence number that was read, or can't be read any more. */
  readUpTo: number
  buffered: readonly DecodedRecord[]
  taken: number
}

const chunk = 64 * 1024

/** What a reader is for, and the sequence number after which it begins. */
export interface Subscription {
  readonly name: string
  readonly severities: readonly Severity[]
  readonly wants: (alert: Alert) => boolean
  readonly first: number
  readonly cursor: Cursor
}

/** Looks up where the reader begins. What the function that it resolves to makes has missed nothing until then. */
export async function prepareReader(subscription: Subscription, source: Source): Promise<() => AttachedReader> {
  const { severities, first } = subscription
  const lanes = await Promise.all(severities.map((severity) => begin(severity, first, source)))
  return () => createReader(subscription, lanes, source)
}

function createReader(subscription: Subscription, lanes: readonly Lane[], source: Source): AttachedReader {
  const { name, cursor, wants, severities } = subscription
  let position = subscription.first
  let behind = lanes.reduce((sum, lane) => sum + unreadIn(lane, source), 0)
  let notify = () => {}
  let news = false

  const reader: AttachedReader = {
    name,
    get behind() {
      return behind
    },
    get position() {
      return position
    },
    reads: (severity) => severities.includes(severity),
    wants: (alert) => severities.includes(alert.severity) && wants(alert),
    added() {
      behind++
      reader.wake()
    },
    wake() {
      news = true
      notify()
    },
    lose(segment) {
      const lane = lanes.find(({ severity }) => severity === segment.severity)
      if (lane === undefined) return 0
      const lost =
        segment === lane.segment ? segment.alerts - lane.alertsRead : segment.first > lane.readUpTo ? segment.alerts : 0
      behind -= lost
      return lost
    },
    async next() {
      news = false
      // What comes while a lane is read may be newer than what comes later in a lane that was found empty.
      const limit = source.sequence()
      for (const lane of lanes) while (lane.taken === lane.buffered.length && (await fill(lane))) {}
      let first: { lane: Lane; record: DecodedRecord } | undefined
      for (const lane of lanes) {
        const record = lane.buffered[lane.taken]
        if (record === undefined || record.sequence > limit) continue
        if (first === undefined || record.sequence < first.record.sequence) first = { lane, record }
      }
      if (first === undefined) return undefined
      first.lane.taken++
      const { sequence, time, json } = first.record
      // Its checksum is right: it's what `append` wrote.
      return { sequence, time, alert: JSON.parse(json) as Alert, size: json.length }
    },
    more: (milliseconds) =>
      new Promise((resolve) => {
        if (news) return resolve()
        const timer = milliseconds === undefined ? undefined : setTimeout(() => notify(), milliseconds)
        notify = () => {
          clearTimeout(timer)
          notify = () => {}
          resolve()
        }
      }),
    done(sequence, alerts) {
      position = sequence
      behind -= alerts
      cursor.move(sequence)
      source.onDone()
    },
    close() {
      cursor.close()
    },
  }

  /** Reads on in a lane whose buffer is used up. False if there is nothing more. */
  async function fill(lane: Lane): Promise<boolean> {
    const current = lane.segment
    if (current === undefined || current.removed || lane.offset >= current.bytes) {
      const next = source.segments(lane.severity).find(({ last }) => last > lane.readUpTo)
      if (next === undefined) return false
      if (next !== current) Object.assign(lane, { segment: next, offset: 0, alertsRead: 0 })
    }
    const segment = lane.segment
    if (segment === undefined) return false
    for (let length = chunk; ; length *= 4) {
      const { bytes: size, last, alerts } = segment
      const wanted = Math.min(length, size - lane.offset)
      const reading = segment.store.read(lane.offset, wanted)
      const bytes = reading instanceof Promise ? await reading : reading
      // Evicted in the meantime: what was not read before is counted as lost.
      if (segment.removed) return true
      const { records, damaged, rest } = decodeRecords(bytes)
      const isEnd = wanted < length || bytes.length < wanted
      if (rest === 0 && !isEnd) continue
      const from = lane.offset
      lane.offset = isEnd ? size : from + rest
      lane.alertsRead += records.length
      lane.buffered = records.filter(({ sequence }) => sequence > lane.readUpTo)
      lane.taken = 0
      behind -= records.length - lane.buffered.length
      lane.readUpTo = isEnd ? last : Math.max(lane.readUpTo, records.at(-1)?.sequence ?? 0)
      const missing = isEnd ? alerts - lane.alertsRead : 0
      lane.alertsRead += missing
      behind -= missing
      if (isEnd && rest < wanted) damaged.push({ from: rest, to: wanted })
      if (damaged.length > 0)
        source.onDamage(
          segment,
          damaged.map((at) => ({ from: from + at.from, to: from + at.to })),
          missing,
        )
      return true
    }
  }

  return reader
}

/** A lane as it stands after `first`. */
async function begin(severity: Severity, first: number, source: Source): Promise<Lane> {
  const lane: Lane = {
    severity,
    segment: undefined,
    offset: 0,
    alertsRead: 0,
    readUpTo: first,
    buffered: [],
    taken: 0,
  }
  const segment = source.segments(severity).find((segment) => segment.first <= first && segment.last > first)
  if (segment === undefined) return lane
  const { records } = decodeRecords(await segment.store.read(0, segment.bytes))
  const before = records.filter(({ sequence }) => sequence <= first)
  return { ...lane, segment, offset: before.at(-1)?.end ?? 0, alertsRead: before.length }
}

function unreadIn({ severity, segment, alertsRead, readUpTo }: Lane, source: Source): number {
  const unread = source.segments(severity).filter(({ last }) => last > readUpTo)
  return unread.reduce((sum, one) => sum + one.alerts - (one === segment ? alertsRead : 0), 0)
}
