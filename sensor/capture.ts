/**
 * A capture: the enriched event stream in a file, to be judged again anywhere (`nightjar replay`).
 *
 * Length-delimited protobuf (a varint, then so many bytes): a header, the events, an end with their number. The message
 * types are built from the event's schema, `n` of a property being its field number; a capture without its end was cut.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import protobuf from 'protobufjs'
import { Event } from './event.ts'
import type { TProperties, TSchema } from './schema.ts'
import { version } from './version.ts'

const magic = 'nightjar-capture'
const format = 1
/** No event is larger; a length beyond it is damage. */
const largestEntry = 1 << 24

interface Shape {
  type?: string
  n?: number
  enum?: unknown[]
  properties?: Record<string, Shape>
  patternProperties?: Record<string, Shape>
  items?: Shape
}

const scalars: Record<string, string> = { string: 'string', integer: 'int64', number: 'double', boolean: 'bool' }

/** An object schema -> the protobuf message of the same shape. */
function message(name: string, properties: TProperties | Record<string, Shape>): protobuf.Type {
  const type = new protobuf.Type(name)
  for (const [key, property] of Object.entries(properties as Record<string, Shape>)) {
    const many = property.type === 'array'
    const shape = many && property.items ? property.items : property
    if (property.n === undefined) throw new Error(`${name}.${key} has no field number`)
    if (shape.patternProperties) type.add(new protobuf.MapField(key, property.n, 'string', 'string'))
    else if (shape.properties) {
      const nested = `${key[0]?.toUpperCase()}${key.slice(1)}`
      type.add(message(nested, shape.properties))
      type.add(new protobuf.Field(key, property.n, nested, many ? 'repeated' : undefined))
    } else {
      const scalar = scalars[shape.enum ? 'string' : (shape.type ?? '')]
      if (!scalar) throw new Error(`${name}.${key}: no protobuf type for ${JSON.stringify(shape)}`)
      type.add(new protobuf.Field(key, property.n, scalar, many ? 'repeated' : undefined))
    }
  }
  return type
}

const root = new protobuf.Root()
const Entry = new protobuf.Type('Entry')
Entry.add(
  new protobuf.Type('Header')
    .add(new protobuf.Field('magic', 1, 'string'))
    .add(new protobuf.Field('format', 2, 'uint32'))
    .add(new protobuf.Field('version', 3, 'string')),
)
Entry.add(message('Event', (Event as TSchema & { properties: TProperties }).properties))
Entry.add(new protobuf.Type('End').add(new protobuf.Field('events', 1, 'uint32')))
Entry.add(new protobuf.Field('header', 1, 'Header'))
Entry.add(new protobuf.Field('event', 2, 'Event'))
Entry.add(new protobuf.Field('end', 3, 'End'))
root.add(Entry)
root.resolveAll()

interface EntryObject {
  header?: { magic?: string; format?: number; version?: string }
  event?: Event
  end?: { events?: number }
}

const encode = (entry: EntryObject): Uint8Array => Entry.encodeDelimited(entry).finish()
const decode = (bytes: Uint8Array): EntryObject => Entry.toObject(Entry.decode(bytes), { longs: Number })

export interface CaptureWriter {
  write(event: Event): void
  /** Writes the end and waits until all is in the file. Rejects with what went wrong since the start. */
  close(): Promise<void>
}

/** Rejects if the file can't be made. An error while writing is given to `onError`, and again by close(). */
export async function createCapture(path: string, onError: (error: Error) => void = () => {}): Promise<CaptureWriter> {
  const stream = createWriteStream(path)
  await new Promise<void>((resolve, reject) => stream.once('open', () => resolve()).once('error', reject))
  let failure: Error | undefined
  let events = 0
  stream.on('error', (error) => {
    failure = error
    onError(error)
  })
  stream.write(encode({ header: { magic, format, version } }))
  return {
    write(event) {
      if (failure) return
      events++
      stream.write(encode({ event }))
    },
    close: () =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failure)
        stream.once('error', reject)
        stream.end(encode({ end: { events } }), () => resolve())
      }),
  }
}

/** The file is no capture, or damaged: nothing from the damage on can be read. */
export class CaptureError extends Error {}

export interface CaptureRead {
  events: number
  /** Why the capture isn't whole, if it isn't: what came before was given to `onEvent`. */
  truncated?: string
}

/** The last millisecond of the year 9999: RFC 3339 can write none that is later. */
const latestTime = 253_402_300_799_999

/** Whether every time in the event is one that an alert can tell. */
function hasTimes({ time, process, container }: Event): boolean {
  const starts = [process, container, ...(process?.ancestors ?? [])].map((started) => started?.start_time)
  return typeof time === 'number' && [time, ...starts].every((at = 0) => at >= 0 && at <= latestTime)
}

async function* pieces(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path)
  } catch (error) {
    if (!(error instanceof Error) || 'path' in error) throw error
    throw new CaptureError(`${path}: can't be read: ${error.message}`) // a folder: opening it works
  }
}

/** Gives every event of the capture to `onEvent`, in order. Throws CaptureError, or the error of opening the file. */
export async function readCapture(path: string, onEvent: (event: Event) => void): Promise<CaptureRead> {
  const damaged = (at: number, found: string, expected: string) =>
    new CaptureError(`${path}: at byte ${at}: found ${found}, expected ${expected}`)
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0 // of rest in the file
  let header = false
  let events = 0
  let end: number | undefined

  const take = (entry: EntryObject, at: number) => {
    if (!header) {
      if (entry.header?.magic !== magic) throw damaged(at, 'another kind of file', 'the header of a Nightjar capture')
      if (entry.header.format !== format)
        throw damaged(at, `capture format ${entry.header.format}`, `format ${format}; use the version that wrote it`)
      header = true
    } else if (end !== undefined) throw damaged(at, 'more data after the end', 'nothing')
    else if (entry.event) {
      if (typeof entry.event.type !== 'string' || !hasTimes(entry.event))
        throw damaged(at, 'an event without a type, or with a time that is none', 'a whole event')
      events++
      onEvent(entry.event)
    } else if (entry.end) {
      end = entry.end.events ?? 0
      if (end !== events) throw damaged(at, `an end after ${events} events`, `${end} events`)
    } else throw damaged(at, 'an empty entry', 'an event or the end')
  }

  for await (const chunk of pieces(path)) {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    let used = 0
    for (;;) {
      const length = varint(rest, used)
      if (!length) break
      if (length.value > largestEntry || length.value === 0)
        throw header
          ? damaged(offset + used, `an entry of ${length.value} bytes`, `1 to ${largestEntry}`)
          : damaged(0, 'another kind of file', 'the header of a Nightjar capture')
      const start = used + length.size
      if (start + length.value > rest.length) break
      take(decodeEntry(rest.subarray(start, start + length.value), offset + used), offset + used)
      used = start + length.value
    }
    rest = rest.subarray(used)
    offset += used
  }

  function decodeEntry(bytes: Uint8Array, at: number): EntryObject {
    try {
      return decode(bytes)
    } catch {
      throw header
        ? damaged(at, 'bytes that are no entry', 'an event or the end')
        : damaged(0, 'another kind of file', 'the header of a Nightjar capture')
    }
  }

  if (!header)
    throw damaged(0, rest.length === 0 ? 'an empty file' : 'another kind of file', 'the header of a Nightjar capture')
  if (end !== undefined && rest.length === 0) return { events }
  const found = rest.length > 0 ? `${rest.length} bytes of an unfinished entry` : 'the end of the file'
  return {
    events,
    truncated: `${path}: at byte ${offset}: found ${found}, expected an event or the end of the capture`,
  }
}

/** The varint at an offset: up to 5 bytes, 32 bits; undefined where the bytes end before it does. */
function varint(bytes: Buffer, at: number): { value: number; size: number } | undefined {
  let value = 0
  for (let size = 0; size < 5; size++) {
    const byte = bytes[at + size]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * size)
    if (byte < 0x80) return { value, size: size + 1 }
  }
  return { value: Number.POSITIVE_INFINITY, size: 5 }
}
