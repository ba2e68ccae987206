/**
 * How an alert lies in the spool: `RS crc32 SP sequence SP time SP alert LF`, the frame of RFC 7464 with a checksum.
 *
 * RS (0x1e) and LF begin and end a record and are nowhere inside one, because JSON escapes control characters. So after
 * any damage the next record is found for certain, and no text that a process controls can pass for a record.
 */
import { crc32 } from 'node:zlib'

const recordSeparator = 0x1e
const lineFeed = 0x0a

export interface SpoolRecord {
  /** Grows by the order in which alerts were raised, over all severities. */
  readonly sequence: number
  /** When it came into the spool, Unix time in milliseconds. */
  readonly time: number
  /** The alert, as JSON. */
  readonly json: string
}

export interface DecodedRecord extends SpoolRecord {
  /** Where the next record begins: an offset in what was read. */
  readonly end: number
}

/** A stretch of bytes that holds no intact record: offsets in what was read, `to` not included. */
export interface Damage {
  readonly from: number
  readonly to: number
}

export function encodeRecord({ sequence, time, json }: SpoolRecord): Buffer {
  const text = `${sequence} ${time} ${json}`
  return Buffer.from(`\x1e${checksum(text)} ${text}\n`)
}

const checksum = (data: string | Buffer): string => crc32(data).toString(16).padStart(8, '0')

/**
 * All intact records, and what is between them. Bytes from `rest` on may be the beginning of a record whose end was not
 * read.
 */
export function decodeRecords(bytes: Buffer): { records: DecodedRecord[]; damaged: Damage[]; rest: number } {
  const records: DecodedRecord[] = []
  const damaged: Damage[] = []
  let at = 0
  while (at < bytes.length) {
    const next = indexOr(bytes.length, bytes.indexOf(recordSeparator, at + 1))
    const end = bytes.indexOf(lineFeed, at)
    const isWhole = bytes[at] === recordSeparator && end !== -1 && end < next
    if (bytes[at] === recordSeparator && end === -1 && next === bytes.length) break
    const record = isWhole ? decodeRecord(bytes.subarray(at + 1, end)) : undefined
    const after = isWhole ? end + 1 : next
    if (record !== undefined) records.push({ ...record, end: after })
    else damage(damaged, at, after, bytes[at] === recordSeparator)
    at = after
  }
  return { records, damaged, rest: at }
}

/** What does not begin as a record does belongs to the damaged record before it. */
function damage(damaged: Damage[], from: number, to: number, isRecord: boolean): void {
  const last = damaged.at(-1)
  if (last !== undefined && last.to === from && !isRecord) damaged[damaged.length - 1] = { from: last.from, to }
  else damaged.push({ from, to })
}

const indexOr = (otherwise: number, index: number): number => (index === -1 ? otherwise : index)

function decodeRecord(bytes: Buffer): SpoolRecord | undefined {
  if (bytes[8] !== 0x20 || bytes.toString('latin1', 0, 8) !== checksum(bytes.subarray(9))) return undefined
  const text = bytes.toString('utf8', 9)
  const afterSequence = text.indexOf(' ')
  const afterTime = text.indexOf(' ', afterSequence + 1)
  const sequence = Number(text.slice(0, afterSequence))
  const time = Number(text.slice(afterSequence + 1, afterTime))
  if (!Number.isSafeInteger(sequence) || !Number.isFinite(time) || afterTime < 0) return undefined
  return { sequence, time, json: text.slice(afterTime + 1) }
}
