import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rfc3339 } from '../../sensor/alerts.ts'
import { CaptureError, type CaptureRead, createCapture, readCapture } from '../../sensor/capture.ts'
import type { Event, Process } from '../../sensor/event.ts'
import { version } from '../../sensor/version.ts'
import { anyEvent } from './any-event.ts'

let folder: string
let file: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightjar-capture-'))
  file = join(folder, 'events.nightjar')
})
afterAll(() => rmSync(folder, { recursive: true }))

const write = async (events: Event[]): Promise<Buffer> => {
  const capture = await createCapture(file)
  for (const event of events) capture.write(event)
  await capture.close()
  return readFileSync(file)
}
const read = async (path = file): Promise<CaptureRead & { given: Event[] }> => {
  const given: Event[] = []
  const result = await readCapture(path, (event) => given.push(event))
  return { ...result, given }
}
const readBytes = (bytes: Uint8Array) => {
  writeFileSync(file, bytes)
  return read()
}
/** What reading it fails with. */
const failure = async (path: string): Promise<Error> => {
  const given: Event[] = []
  try {
    await readCapture(path, (event) => given.push(event))
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error(`${path} was read`)
}
/** Where each entry ends: the header, the events, the end. */
const boundaries = (bytes: Buffer): number[] => {
  const reader = new protobuf.Reader(bytes)
  const ends: number[] = []
  while (reader.pos < reader.len) {
    const length = reader.uint32()
    reader.skip(length)
    ends.push(reader.pos)
  }
  return ends
}

const time = Date.UTC(2026, 2, 1)
const sample: Event[] = [
  {
    type: 'exec',
    time: time + 0.125,
    process: {
      pid: 4711,
      ppid: 1,
      start_time: time - 1,
      name: 'sh',
      command_args: ['sh', '-i', ''],
      stdin: { type: 'socket', peer: { ip: '203.0.113.9', port: 4444 }, direction: 'outbound' },
      ancestors: [{ pid: 1, name: 'init', start_time: time - 9 }],
    },
    k8s: { pod: { name: 'p', label: { app: 'web', 'app.kubernetes.io/name': '' } } },
  },
  { type: 'connect', time: time + 1, destination: { ip: '2001:db8::9', port: 443 }, network: { transport: 'tcp' } },
  { type: 'exit', time: time + 2, process: { pid: 4711, exit_code: 0 } },
  { type: 'gap', time: time + 3, gap: { reason: 'probe_exited', seconds: 0.5, lost_events: 0 } },
]

describe('what is written is read', () => {
  test('any events that there can be, in their order, with nothing added', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { maxLength: 5 }), async (events) => {
        await write(events)
        expect(await read()).toStrictEqual({ given: events, events: events.length })
      }),
      { numRuns: 200 },
    )
  })

  test('zero, false and empty text are values, and stay apart from what is absent', async () => {
    const event: Event = {
      type: 'exit',
      time: 0,
      process: { pid: 0, exit_code: 0, name: '', args_truncated: false, start_time: 0, command_args: ['', ''] },
      gap: {},
      identity: {},
    }
    await write([event])
    expect((await read()).given).toStrictEqual([event])
  })

  test('undefined is absent', async () => {
    await write([{ type: 'exec', time, process: { pid: 1, working_directory: undefined }, k8s: undefined }])
    expect((await read()).given).toStrictEqual([{ type: 'exec', time, process: { pid: 1 } }])
  })

  test('a list without elements is absent: the format has none', async () => {
    await write([{ type: 'exec', time, process: { pid: 1, command_args: [] }, k8s: { pod: { label: {} } } }])
    expect((await read()).given).toStrictEqual([{ type: 'exec', time, process: { pid: 1 }, k8s: { pod: {} } }])
  })

  test('numbers beyond 32 bits, and fractions of a millisecond', async () => {
    const event: Event = { type: 'exec', time: time + 0.0009765625, process: { pid: 2 ** 40, exit_code: -(2 ** 40) } }
    await write([event])
    expect((await read()).given).toStrictEqual([event])
  })

  test('more than one piece of the file’s reading holds', async () => {
    const long = Array.from({ length: 3000 }, (_, at): Event => {
      return { type: 'exec', time: time + at, process: { pid: at, command_args: ['x'.repeat(at % 500)] } }
    })
    const bytes = await write(long)
    expect(bytes.length).toBeGreaterThan(5 * 65_536)
    expect((await read()).given).toEqual(long)
  })

  test('an event that is larger than a piece', async () => {
    const event: Event = { type: 'exec', time, process: { command_args: Array(1000).fill('y'.repeat(1000)) } }
    await write([event, event])
    expect((await read()).given).toEqual([event, event])
  })

  test('no events at all', async () => {
    await write([])
    expect(await read()).toEqual({ given: [], events: 0 })
  })

  test('the header says what it is and which version wrote it', async () => {
    const bytes = (await write([])).toString('latin1')
    expect(bytes).toContain('nightjar-capture')
    expect(bytes).toContain(version)
  })
})

describe('a capture that was cut', () => {
  test('at every byte: what is whole is given, the rest is reported with file and place', async () => {
    const bytes = await write(sample)
    const [headerEnd = 0, ...ends] = boundaries(bytes)
    const eventEnds = ends.slice(0, -1)
    for (let length = bytes.length - 1; length >= 0; length--) {
      truncateSync(file, length)
      if (length < headerEnd) {
        const error = await failure(file)
        expect(error, `cut at ${length}`).toBeInstanceOf(CaptureError)
        expect(error.message).toContain(`${file}: at byte 0: found `)
        continue
      }
      const whole = eventEnds.filter((end) => end <= length)
      const { given, events, truncated } = await read()
      expect(given, `cut at ${length}`).toEqual(sample.slice(0, whole.length))
      expect(events).toBe(whole.length)
      const place = whole.at(-1) ?? headerEnd
      const found = length > place ? `${length - place} bytes of an unfinished entry` : 'the end of the file'
      expect(truncated).toBe(`${file}: at byte ${place}: found ${found}, expected an event or the end of the capture`)
    }
  })

  test('and one that was not has nothing to report', async () => {
    await write(sample)
    expect(await read()).not.toHaveProperty('truncated')
  })
})

describe('a capture that is damaged', () => {
  /** Either the reader refuses the file, or each event that it gives can be told in an alert. */
  const survives = async (bytes: Uint8Array, what: string) => {
    try {
      const { given, events } = await readBytes(bytes)
      expect(events, what).toBe(given.length)
      for (const { type, time, process } of given) {
        expect(typeof type, what).toBe('string')
        rfc3339(time)
        const told: Process[] = [process ?? {}, ...(process?.ancestors ?? [])]
        for (const { start_time } of told) if (start_time !== undefined) rfc3339(start_time)
      }
    } catch (error) {
      expect(error, what).toBeInstanceOf(CaptureError)
      expect(String(error)).toContain(file)
    }
  }

  test('by any one bit, anywhere', async () => {
    const bytes = await write(sample)
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Buffer.from(bytes)
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit)
        await survives(damaged, `byte ${at}, bit ${bit}`)
      }
    }
  })

  test('by several bytes, by bytes that are missing and by bytes that are too many', async () => {
    const bytes = await write(sample)
    const place = fc.nat(bytes.length)
    const damage = fc.record({ at: place, remove: fc.nat(20), insert: fc.uint8Array({ maxLength: 20 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        const damaged = damages.reduce<Buffer>(
          (bytes, { at, remove, insert }) =>
            Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]),
          bytes,
        )
        await survives(damaged, JSON.stringify(damages))
      }),
      { numRuns: 500 },
    )
  })

  test('behind its header by anything at all', async () => {
    const bytes = await write([])
    const [headerEnd] = boundaries(bytes)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (rest) => {
        await survives(Buffer.concat([bytes.subarray(0, headerEnd), rest]), 'random')
      }),
      { numRuns: 300 },
    )
  })

  const double = (value: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    return bytes
  }
  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300, 253_402_300_800_000])(
    'in a time, so that it is %f: refused, as no alert could tell it',
    async (wrong) => {
      const bytes = await write(sample)
      for (const right of [time + 0.125, time - 1, time - 9]) {
        const at = bytes.indexOf(double(right))
        const damaged = Buffer.concat([bytes.subarray(0, at), double(wrong), bytes.subarray(at + 8)])
        await expect(readBytes(damaged)).rejects.toThrow(/^.*: at byte \d+: found an event .*time.*, expected /)
      }
    },
  )

  test('that lacks an event says how many there should be', async () => {
    const bytes = await write(sample)
    const [first = 0, second = 0] = boundaries(bytes)
    const less = Buffer.concat([bytes.subarray(0, first), bytes.subarray(second)])
    await expect(readBytes(less)).rejects.toThrow(`${file}: at byte `)
    await expect(readBytes(less)).rejects.toThrow('found an end after 3 events, expected 4 events')
  })

  test('by another one behind it says where the first one ends', async () => {
    const bytes = await write(sample)
    const error = readBytes(Buffer.concat([bytes, bytes]))
    await expect(error).rejects.toThrow(`${file}: at byte ${bytes.length}: found more data after the end`)
    await expect(error).rejects.toBeInstanceOf(CaptureError)
  })

  test('by a few bytes behind its end: all is given, and they are reported', async () => {
    const bytes = await write(sample)
    const { given, truncated } = await readBytes(Buffer.concat([bytes, Buffer.of(100, 1, 2)]))
    expect(given).toEqual(sample)
    expect(truncated).toContain(`${file}: at byte ${bytes.length}: found 3 bytes of an unfinished entry`)
  })

  test('by a length that no event has, without asking for the memory', async () => {
    const bytes = await write([])
    const [headerEnd] = boundaries(bytes)
    for (const length of [
      [0xff, 0xff, 0xff, 0xff, 0x0f],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      [0x81, 0x80, 0x80, 0x08],
    ])
      await expect(readBytes(Buffer.concat([bytes.subarray(0, headerEnd), Buffer.from(length)]))).rejects.toThrow(
        `${file}: at byte ${headerEnd}: found an entry of `,
      )
  })
})

describe('what is no capture is refused, with its name', () => {
  const text =
    'There was once a text that was longer than a hundred and thirty characters, so that its first letter, \
taken for a length, is not longer than it.\n'
  test.each<[string, Uint8Array | string, string]>([
    ['an empty file', '', 'an empty file'],
    ['a short text', 'hello\n', 'another kind of file'],
    ['a long text', text.repeat(100), 'another kind of file'],
    ['JSON lines', '{"type":"exec","time":1}\n'.repeat(100), 'another kind of file'],
    ['zeros', Buffer.alloc(1000), 'another kind of file'],
    ['0xff', Buffer.alloc(1000, 0xff), 'another kind of file'],
    ['an empty entry', Buffer.of(0), 'another kind of file'],
    ['gzip', Buffer.from('1f8b0800000000000003', 'hex'), 'another kind of file'],
  ])('%s', async (_, bytes, found) => {
    writeFileSync(file, bytes)
    const error = await failure(file)
    expect(error).toBeInstanceOf(CaptureError)
    expect(error.message).toBe(`${file}: at byte 0: found ${found}, expected the header of a Nightjar capture`)
  })

  test('a program (ELF)', async () => {
    const error = await failure(process.execPath)
    expect(error).toBeInstanceOf(CaptureError)
    expect(error.message).toContain(`${process.execPath}: at byte 0: found another kind of file`)
  })

  test('any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        writeFileSync(file, bytes)
        expect(await failure(file)).toBeInstanceOf(CaptureError)
      }),
      { numRuns: 300 },
    )
  })

  test('a folder', async () => {
    const error = await failure(folder)
    expect(error).toBeInstanceOf(CaptureError)
    expect(error.message).toContain(`${folder}: `)
  })

  test('a file that is not there: the error of opening it', async () => {
    const path = join(folder, 'none')
    await expect(failure(path)).resolves.toMatchObject({ code: 'ENOENT', path })
  })

  test('a capture in a later format: it says which one, and what to do', async () => {
    const bytes = await write([])
    const later = Buffer.from(bytes)
    const at = later.indexOf('nightjar-capture') + 'nightjar-capture'.length
    expect(later[at + 1]).toBe(1)
    later[at + 1] = 2
    await expect(readBytes(later)).rejects.toThrow(
      `${file}: at byte 0: found capture format 2, expected format 1; use the version that wrote it`,
    )
  })
})

describe('a capture that can not be written', () => {
  test('to a folder that is not there: refused at once', async () => {
    await expect(createCapture(join(folder, 'none', 'x'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.skipIf(!existsSync('/dev/full'))('to a full disk: told when it happens, and again at the end', async () => {
    const { promise, resolve } = Promise.withResolvers<Error>()
    const capture = await createCapture('/dev/full', resolve)
    capture.write({ type: 'exec', time })
    await expect(promise).resolves.toMatchObject({ code: 'ENOSPC' })
    capture.write({ type: 'exec', time })
    await expect(capture.close()).rejects.toMatchObject({ code: 'ENOSPC' })
  })
})
