/**
 * bpftrace's standard output -> records.
 *
 * A line is a record if it matches the table in bpf/records.ts to the letter, a notice of lost events, or rejected and
 * counted. Lines are cut at newlines only: all bytes that a process controls come as hex, so it can't make one.
 */
import { type KernelRecord, limits, type RecordOf, records } from '../bpf/records.ts'

export interface DecoderEvents {
  record(record: KernelRecord): void
  /** All that happened before this time of the kernel, in nanoseconds, stands in lines before this one (bpf/flush.bt). */
  told(time: number): void
  /** bpftrace could not read its buffer in time: so many events were overwritten in the kernel. */
  lost(count: number): void
  /** A line that is neither. */
  reject(line: string): void
}

export interface Decoder {
  push(chunk: Uint8Array): void
  /** The stream has ended; an unfinished line is rejected. */
  end(): void
}

interface Layout {
  /** The record before its fields are read. Its copies have all properties in one order: V8 keeps one shape for them. */
  blank: Record<string, unknown>
  fields: [name: string, kind: 'number' | 'upper' | 'lower' | 'id' | 'words' | 'bytes'][]
}

/** By the first byte of a line, its tag. */
const layouts = new Map<number, Layout>(
  Object.entries(records).map(([record, { tag, fields }]) => {
    const names = Object.entries<Layout['fields'][number][1]>(fields)
    return [tag.charCodeAt(0), { blank: { record, ...Object.fromEntries(names) }, fields: names }]
  }),
)

/** No record is longer: an exec, the one with most fields, is a tenth of it. Guards memory against a stream without newlines. */
const longestLine = 16_384
const newline = 0x0a
/** What bpftrace says by itself. */
const notices = /^(?:Attaching \d+ probes?\.\.\.|Attached \d+ probes?|)$/
/** printed by bpftrace itself (src/output.cpp, lost_events) */
const lostNotice = /^Lost (\d+) events$/
/** How many events a line says that the kernel's buffer had no room for; undefined if it says nothing of it. */
export const lostIn = (line: string): number | undefined => {
  const [, count] = lostNotice.exec(line) ?? []
  return count === undefined ? undefined : Number(count)
}

export function createDecoder(events: DecoderEvents): Decoder {
  let rest: Buffer = Buffer.alloc(0)
  /** Within a line that was rejected for its length: what is left of it is no line of its own. */
  let skipping = false

  const line = (data: Buffer, start: number, end: number) => {
    const decoded = decode(data, start, end)
    if (decoded) return events.record(decoded)
    const told = timeAlone(data, start, end)
    if (told !== undefined) return events.told(told)
    const text = data.toString('latin1', start, end)
    const lost = lostIn(text)
    if (lost !== undefined) return events.lost(lost)
    if (!notices.test(text)) events.reject(text)
  }

  return {
    push(chunk) {
      const data =
        rest.length > 0 ? Buffer.concat([rest, chunk]) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      let start = 0
      for (let at = data.indexOf(newline); at >= 0; at = data.indexOf(newline, start)) {
        if (!skipping) line(data, start, at)
        skipping = false
        start = at + 1
      }
      rest = skipping ? Buffer.alloc(0) : data.subarray(start)
      if (rest.length > longestLine) {
        events.reject(rest.toString('latin1', 0, 100))
        rest = Buffer.alloc(0)
        skipping = true
      }
    },
    end() {
      if (rest.length > 0) events.reject(rest.toString('latin1'))
      rest = Buffer.alloc(0)
    },
  }
}

/** One line without its newline -> a record, or undefined where the line is not exactly one. */
export const decodeLine = (line: string): KernelRecord | undefined => {
  const data = Buffer.from(line, 'latin1')
  return decode(data, 0, data.length)
}

const space = 0x20
const minus = 0x2d
const zero = 0x30
const textTag = records.text.tag.charCodeAt(0)

/** Where the next field begins. One after another the fields are read off a line, each byte of it once. */
let cursor = 0

/**
 * As decodeLine, from the bytes themselves: an exec is some twenty lines of ten fields, and a string for each field
 * would be most of what reading them costs.
 */
function decode(data: Buffer, start: number, end: number): KernelRecord | undefined {
  const layout = layouts.get(data[start] ?? 0)
  if (!layout || data[start + 1] !== space || start + 1 >= end) return undefined
  cursor = start + 2
  if (data[start] === textTag) return decodeText(data, end)
  const record = { ...layout.blank }
  for (const [name, kind] of layout.fields) {
    if (cursor > end && kind !== 'lower') return undefined
    const value =
      kind === 'number'
        ? integer(data, end)
        : kind === 'upper'
          ? pair(data, end)
          : kind === 'lower'
            ? lower
            : kind === 'id'
              ? id(data, end)
              : kind === 'words'
                ? words(data, end)
                : bytes(data, end)
    if (value === undefined) return undefined
    record[name] = value
  }
  return cursor === end + 1 ? (record as unknown as KernelRecord) : undefined
}

/** Most lines are texts: written out, they take half the time. */
function decodeText(data: Buffer, end: number): RecordOf<'text'> | undefined {
  const time = integer(data, end)
  const tid = pair(data, end)
  const section = lower
  const index = pair(data, end)
  const length = lower
  const at = integer(data, end)
  if (time === undefined || tid === undefined || index === undefined || at === undefined) return undefined
  const bytes = words(data, end)
  if (bytes === undefined || cursor !== end + 1) return undefined
  return { record: 'text', time, tid, section, index, length, at, bytes }
}

/** Up to so many digits add up without rounding. */
const exactDigits = 15
const mostDigits = 20

function integer(data: Buffer, end: number): number | undefined {
  const start = cursor
  const first = data[start] === minus ? start + 1 : start
  let at = first
  let value = 0
  for (; at < end && data[at] !== space; at++) {
    const digit = (data[at] ?? 0) - zero
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  const digits = at - first
  if (digits <= 0 || digits > mostDigits) return undefined
  cursor = at + 1
  if (digits > exactDigits) return Number(data.toString('latin1', start, at))
  return first === start ? value : -value
}

/** A line that is one number. */
function timeAlone(data: Buffer, start: number, end: number): number | undefined {
  cursor = start
  const time = integer(data, end)
  return cursor === end + 1 && time !== undefined && time >= 0 ? time : undefined
}

/** The lower one of the pair that was read last. */
let lower = 0
const lowerDigits = 8

/** Two numbers of 32 bits, as one in hex: gives the upper one. */
function pair(data: Buffer, end: number): number | undefined {
  const start = cursor
  let at = start
  while (at < end && data[at] !== space) at++
  if (at === start || at - start > 2 * lowerDigits) return undefined
  const split = Math.max(start, at - lowerDigits)
  const upper = hexNumber(data, start, split)
  lower = hexNumber(data, split, at)
  if (!(upper >= 0 && lower >= 0)) return undefined
  cursor = at + 1
  return upper
}

/** NaN where there is something else between. */
function hexNumber(data: Buffer, start: number, end: number): number {
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = digitAt(data, at)
    value = digit > 15 ? Number.NaN : value * 16 + digit
  }
  return value
}

/** Digits alone, as they stand there. */
function id(data: Buffer, end: number): string | undefined {
  const start = cursor
  let at = start
  for (; at < end && data[at] !== space; at++) {
    const digit = (data[at] ?? 0) - zero
    if (digit < 0 || digit > 9) return undefined
  }
  if (at <= start || at - start > mostDigits) return undefined
  cursor = at + 1
  return data.toString('latin1', start, at)
}

/** Values of the hex digits; 255 for any other byte. */
const hexDigits = new Uint8Array(256).fill(255)
for (const [value, digit] of [...'0123456789abcdef'].entries()) hexDigits[digit.charCodeAt(0)] = value

/** The value of a hex digit at this place; more than 15 where there is none. */
const digitAt = (data: Buffer, at: number): number => hexDigits[data[at] ?? 0] ?? 255

/** limits.CHUNK bytes, as words of 8 in hex with a space between them. */
function words(data: Buffer, end: number): Buffer | undefined {
  const read = Buffer.allocUnsafe(limits.CHUNK)
  let at = cursor
  for (let word = 0; word < limits.CHUNK; word += 8) {
    let until = at
    while (until < end && data[until] !== space) until++
    if (until === at || until - at > 16) return undefined
    // The last digits are the first byte; leading zeros are not printed.
    for (let byte = word, last = until - 1; byte < word + 8; byte++, last -= 2) {
      const low = last >= at ? digitAt(data, last) : 0
      const high = last > at ? digitAt(data, last - 1) : 0
      if (low > 15 || high > 15) return undefined
      read[byte] = high * 16 + low
    }
    at = until + 1
  }
  cursor = at
  return at === end + 1 ? read : undefined
}

/** Pairs of hex digits with a space between them (older bpftrace) or without; none at all for no bytes. */
function bytes(data: Buffer, end: number): Buffer | undefined {
  const start = cursor
  cursor = end + 1
  if (end <= start) return Buffer.alloc(0)
  const step = end - start > 2 && data[start + 2] === space ? 3 : 2
  const count = Math.ceil((end - start) / step)
  const left = end - start - count * step
  if (left !== 0 && !(step === 3 && left === -1)) return undefined // a last space may be there or not
  const read = Buffer.allocUnsafe(count)
  for (let n = 0, at = start; n < count; n++, at += step) {
    const [high, low] = [digitAt(data, at), digitAt(data, at + 1)]
    if (high > 15 || low > 15 || (step === 3 && at + 2 < end && data[at + 2] !== space)) return undefined
    read[n] = high * 16 + low
  }
  return read
}
