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
  /** Looks up where it begins in the past. What the function does is to be done when that is in the source. */
  precede(past: Past): Promise<() => void>
}

/** What an earlier sensor has left, and is found while the reader reads already: it comes before all that is unread. */
export interface Past {
  readonly segments: readonly Segment[]
  /** The sequence number after which the reader begins. */
  readonly first: number
  /** A sequence number that none of the past exceeds, and all others do. */
  readonly until: number
  /** From then on the reader's place is kept there. */
  openCursor(first: number): Cursor
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
  /** A sequence number: later segments don't belong to it. */
  readonly until: number
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
  const lanes = await Promise.all(severities.map((severity) => begin(severity, first, source.segments(severity))))
  return () => createReader(subscription, lanes, source)
}

function createReader(subscription: Subscription, present: readonly Lane[], source: Source): AttachedReader {
  const { name, wants, severities } = subscription
  let { cursor, first: position } = subscription
  let lanes = present
  /** Until it's done with. `after` is what was handed out last before any of it, `handedOut` what was of it. */
  let past: { position: number; handedOut: number; readonly until: number; after: number | undefined } | undefined
  let handedOut = position
  let behind = lanes.reduce((sum, lane) => sum + unreadIn(lane, source.segments(lane.severity)), 0)
  let notify = () => {}
  let news = false

  const reader: AttachedReader = {
    name,
    get behind() {
      return behind
    },
    get position() {
      return past?.position ?? position
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
      const lane = lanes.find(({ severity, until }) => severity === segment.severity && segment.first <= until)
      if (lane === undefined) return 0
      const lost =
        segment === lane.segment ? segment.alerts - lane.alertsRead : segment.first > lane.readUpTo ? segment.alerts : 0
      behind -= lost
      return lost
    },
    async next() {
      news = false
      const reading = lanes
      if (past !== undefined) past.after ??= handedOut
      // What comes while a lane is read may be newer than what comes later in a lane that was found empty.
      const limit = source.sequence()
      for (const lane of reading) while (lane.taken === lane.buffered.length && (await fill(lane))) {}
      let first: { lane: Lane; record: DecodedRecord } | undefined
      for (const lane of reading) {
        const record = lane.buffered[lane.taken]
        if (record === undefined || record.sequence > limit) continue
        if (first === undefined || record.sequence < first.record.sequence) first = { lane, record }
      }
      if (first === undefined) return undefined
      first.lane.taken++
      const { sequence, time, json } = first.record
      if (past !== undefined && sequence <= past.until) past.handedOut = sequence
      else handedOut = sequence
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
      if (past !== undefined && sequence <= past.until) {
        position = past.after ?? position
        past.position = sequence
      } else position = sequence
      if (isPastOver()) {
        past = undefined
        lanes = present
      }
      behind -= alerts
      cursor.move(reader.position)
      source.onDone()
    },
    async precede({ segments, first, until, openCursor }) {
      const segmentsOf = (severity: Severity) => segments.filter((segment) => segment.severity === severity)
      const begun = await Promise.all(severities.map((severity) => begin(severity, first, segmentsOf(severity), until)))
      const unread = begun.reduce((sum, lane) => sum + unreadIn(lane, segmentsOf(lane.severity)), 0)
      return () => {
        if (unread > 0) {
          past = { position: first, handedOut: first, until, after: undefined }
          lanes = [...begun, ...present]
          behind += unread
        }
        cursor = openCursor(reader.position)
        reader.wake()
      }
    },
    close() {
      cursor.close()
    },
  }

  /** Something that was handed out after the past is done with, or all that was of it, and there is no more. */
  function isPastOver(): boolean {
    if (past?.after === undefined) return false
    return position > past.after || (past.position === past.handedOut && !lanes.some(hasPast))
  }

  const hasPast = (lane: Lane): boolean =>
    lane.until < Number.POSITIVE_INFINITY &&
    (lane.taken < lane.buffered.length || source.segments(lane.severity).some((segment) => isUnread(segment, lane)))

  /** Reads on in a lane whose buffer is used up. False if there is nothing more. */
  async function fill(lane: Lane): Promise<boolean> {
    const current = lane.segment
    if (current === undefined || current.removed || lane.offset >= current.bytes) {
      const next = source.segments(lane.severity).find((segment) => isUnread(segment, lane))
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
async function begin(
  severity: Severity,
  first: number,
  segments: readonly Segment[],
  until = Number.POSITIVE_INFINITY,
): Promise<Lane> {
  const lane: Lane = {
    severity,
    until,
    segment: undefined,
    offset: 0,
    alertsRead: 0,
    readUpTo: first,
    buffered: [],
    taken: 0,
  }
  const segment = segments.find((segment) => segment.first <= first && segment.last > first)
  if (segment === undefined) return lane
  const { records } = decodeRecords(await segment.store.read(0, segment.bytes))
  const before = records.filter(({ sequence }) => sequence <= first)
  return { ...lane, segment, offset: before.at(-1)?.end ?? 0, alertsRead: before.length }
}

const isUnread = ({ first, last }: Segment, { readUpTo, until }: Lane): boolean => last > readUpTo && first <= until

function unreadIn(lane: Lane, segments: readonly Segment[]): number {
  const unread = segments.filter((segment) => isUnread(segment, lane))
  return unread.reduce((sum, one) => sum + one.alerts - (one === lane.segment ? lane.alertsRead : 0), 0)
}
