/**
 * bpftrace's standard output -> records.
 *
 * A line is a record if it matches the table in bpf/records.ts to the letter, a notice of lost events, or rejected and
 * counted. Lines are cut at newlines only: all bytes that a process controls come as hex, so it can't make one.
 */
import { type KernelRecord, type RecordName, records } from '../bpf/records.ts'

export interface DecoderEvents {
  record(record: KernelRecord): void
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
  record: RecordName
  fields: [name: string, kind: 'number' | 'id' | 'bytes'][]
}

const layouts = new Map<string, Layout>(
  Object.entries(records).map(([record, { tag, fields }]) => [
    tag,
    { record: record as RecordName, fields: Object.entries(fields) },
  ]),
)

/** No record is longer: the largest text chunk in hex is a tenth of it. Guards memory against a stream without newlines. */
const longestLine = 16_384
const newline = 0x0a
/** What bpftrace says by itself, and the 0 of bpf/flush.bt. */
const notices = /^(?:Attaching \d+ probes?\.\.\.|Attached \d+ probes?|0|)$/
/** printed by bpftrace itself (src/output.cpp, lost_events) */
const lostNotice = /^Lost (\d+) events$/

export function createDecoder(events: DecoderEvents): Decoder {
  let rest: Buffer = Buffer.alloc(0)
  /** Within a line that was rejected for its length: what is left of it is no line of its own. */
  let skipping = false

  const line = (text: string) => {
    const decoded = decodeLine(text)
    if (decoded) return events.record(decoded)
    const lost = lostNotice.exec(text)
    if (lost) return events.lost(Number(lost[1]))
    if (!notices.test(text)) events.reject(text)
  }

  return {
    push(chunk) {
      const data =
        rest.length > 0 ? Buffer.concat([rest, chunk]) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      let start = 0
      for (let at = data.indexOf(newline); at >= 0; at = data.indexOf(newline, start)) {
        if (!skipping) line(data.toString('latin1', start, at))
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
export function decodeLine(line: string): KernelRecord | undefined {
  const tagEnd = line.indexOf(' ')
  const layout = layouts.get(line.slice(0, Math.max(tagEnd, 0)))
  if (!layout) return undefined
  const record: Record<string, unknown> = { record: layout.record }
  let at = tagEnd + 1
  for (const [name, kind] of layout.fields) {
    if (at > line.length) return undefined
    const space = kind === 'bytes' ? -1 : line.indexOf(' ', at)
    const end = space < 0 ? line.length : space
    const text = line.slice(at, end)
    const value = kind === 'bytes' ? bytes(text) : kind === 'number' ? integer(text) : id(text)
    if (value === undefined) return undefined
    record[name] = value
    at = end + 1
  }
  return at === line.length + 1 ? (record as unknown as KernelRecord) : undefined
}

const integer = (text: string) => (/^-?\d{1,20}$/.test(text) ? Number(text) : undefined)
const id = (text: string) => (/^\d{1,20}$/.test(text) ? text : undefined)

/** Pairs of hex digits with a space between them (older bpftrace) or without; none at all for no bytes. */
function bytes(text: string): Uint8Array | undefined {
  if (!/^(?:[0-9a-f]{2}(?: [0-9a-f]{2})* ?|(?:[0-9a-f]{2})+|)$/.test(text)) return undefined
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}
