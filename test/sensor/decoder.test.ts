import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type KernelRecord, limits, type RecordName, records } from '../../bpf/records.ts'
import { decodeLine } from '../../sensor/decoder.ts'
import { textOf } from '../../sensor/parts.ts'
import { assembled, decoded } from './heard.ts'
import { argv, bytesOf, execLines, hex, line, type Printing, printings } from './kernel.ts'

const printing = fc.constantFrom(...printings)

/** Any record of the table. Numbers are those that bpftrace can print and a double can hold. */
const recordOf = (name: RecordName): fc.Arbitrary<KernelRecord> => {
  const kinds = {
    number: fc.maxSafeInteger(),
    upper: fc.nat(2 ** 32 - 1),
    lower: fc.nat(2 ** 32 - 1),
    id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
    words: fc.uint8Array({ minLength: limits.CHUNK, maxLength: limits.CHUNK }).map((bytes) => Buffer.from(bytes)),
    bytes: fc.uint8Array({ maxLength: 256 }).map((bytes) => Buffer.from(bytes)),
  }
  const fields = Object.entries<keyof typeof kinds>(records[name].fields)
  return fc
    .record(Object.fromEntries(fields.map(([field, kind]) => [field, kinds[kind] as fc.Arbitrary<unknown>])))
    .map((values) => ({ record: name, ...values }) as KernelRecord)
}
const record = fc.oneof(...(Object.keys(records) as RecordName[]).map(recordOf))
const printed = (value: KernelRecord, how: Printing) => line(value.record, value, how)

/** A stream with its pieces: the bytes, cut at any places. */
const cut = (stream: Buffer, places: number[]): Buffer[] => {
  const sorted = places.map((place) => place % (stream.length + 1)).toSorted((a, b) => a - b)
  return [0, ...sorted].map((start, at) => stream.subarray(start, sorted[at] ?? stream.length))
}
const places = fc.array(fc.nat(), { maxLength: 20 })

describe('what the kernel side prints is read back', () => {
  test('every record, whatever its values, with and without spaces in its bytes', () => {
    fc.assert(
      fc.property(record, printing, (value, how) => {
        expect(decodeLine(printed(value, how).slice(0, -1))).toEqual(value)
      }),
    )
  })

  test('a cgroup id beyond 2^53 keeps every digit', () => {
    expect(decodeLine('R 5 18446744073709551615')).toEqual({
      record: 'cgroup_removed',
      time: 5,
      id: '18446744073709551615',
    })
  })

  test('no bytes at all are a record too', () => {
    expect(decodeLine('v 1 200000008 ')).toMatchObject({ record: 'name', bytes: Buffer.alloc(0) })
  })

  test('a space behind the last byte ends nothing', () => {
    expect(decodeLine('v 1 200000008 73 68 ')).toMatchObject({ record: 'name', bytes: Buffer.from('sh') })
  })

  test('a negative number stays one: what a failed call returned', () => {
    expect(decodeLine('u 1 200000000 300000001 4 0 18 -13')).toMatchObject({ opcode: 18, returned: -13 })
  })

  test('wherever the stream is cut, the records are the same', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 8 }), printing, places, (values, how, at) => {
        const stream = Buffer.from(values.map((value) => printed(value, how)).join(''))
        const heard = decoded(cut(stream, at))
        expect(heard).toEqual({ records: values, lost: [], rejected: [], told: [] })
      }),
    )
  })

  test('a byte at a time as well', () => {
    const stream = Buffer.from(execLines({ args: ['sh', '-c', 'id'] }).join(''))
    const whole = decoded([stream])
    expect(whole.records.length).toBeGreaterThan(4)
    expect(decoded([...stream].map((byte) => Buffer.of(byte)))).toEqual(whole)
  })
})

describe('what is no record is counted', () => {
  const cases: [name: string, text: string][] = [
    ['an unknown tag', 'Z 1 2'],
    ['a tag without fields', 'H'],
    ['a tag and a space', 'H '],
    ['a field too few', 'F 1 200000003'],
    ['a field too many', 'F 1 200000003 4 5'],
    ['two numbers as one of 17 digits', 'F 1 10000000200000003 4'],
    ['two numbers as one in upper case', 'F 1 20000000A 4'],
    ['a space at the end', 'H 1 '],
    ['a space at the beginning', ' H 1'],
    ['two spaces', 'F 1  200000003 4'],
    ['a tab', 'H\t1'],
    ['a carriage return', 'H 1\r'],
    ['a number that is none', 'H one'],
    ['a hexadecimal number', 'H 0x10'],
    ['a number with a fraction', 'H 1.5'],
    ['a negative id', 'R 1 -1'],
    ['a number of 21 digits', 'H 123456789012345678901'],
    ['half a byte', 'v 1 200000008 6'],
    ['upper case hex', 'v 1 200000008 6A'],
    ['bytes with two spaces between', 'v 1 200000008 61  62'],
    ['bytes both with and without spaces', 'v 1 200000008 61 6263'],
    ['bytes as text', 'v 1 200000008 sh'],
    ['bytes missing, with their space', 'v 1 200000008'],
    ['a notice with something behind it', 'Lost 5 events E 1 2 0 1 1 1 0 0 0 1'],
    ['a negative loss', 'Lost -5 events'],
    ['a warning', 'WARNING: something'],
  ]
  test.each(cases)('%s', (_, text) => {
    expect(decoded([`${text}\nH 7\n`])).toEqual({
      records: [{ record: 'heartbeat', time: 7 }],
      lost: [],
      told: [],
      rejected: [text],
    })
  })

  test('a last line without its newline', () => {
    expect(decoded(['H 1\nH 2'])).toEqual({
      records: [{ record: 'heartbeat', time: 1 }],
      lost: [],
      rejected: ['H 2'],
      told: [],
    })
  })

  test.each([['Attaching 10 probes...'], ['Attaching 1 probe...'], ['Attached 12 probes'], ['']])(
    'but not what bpftrace says of itself: %j',
    (notice) => {
      expect(decoded([`${notice}\n`])).toEqual({ records: [], lost: [], rejected: [], told: [] })
    },
  )

  test('nor up to when all has been told', () => {
    expect(decoded(['H 1\n61893369203403\n'])).toMatchObject({ told: [61893369203403], rejected: [] })
    expect(decoded(['-1\n', '1 2\n', '123456789012345678901\n'])).toMatchObject({
      told: [],
      rejected: ['-1', '1 2', '123456789012345678901'],
    })
  })

  test('a loss that bpftrace reports is told with its number', () => {
    expect(decoded(['Lost 12 events\nH 1\nLost 3 events\n'])).toMatchObject({ lost: [12, 3], rejected: [] })
  })
})

describe('whatever comes, nothing throws and every line is accounted for', () => {
  const kinds = ({ records, lost, rejected, told }: ReturnType<typeof decoded>) =>
    records.length + lost.length + rejected.length + told.length

  test('random bytes in random pieces: as many rejects as lines', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (pieces) => {
        const lines = Buffer.concat(pieces).toString('latin1').split('\n')
        expect(kinds(decoded(pieces))).toBe(lines.filter((text) => text !== '').length)
      }),
    )
  })

  test('text made of what records are made of', () => {
    const alphabet = fc.constantFrom(...'tdspEFXCIGRH', ' ', '0', '1', '61', '-', '\n', 'Lost ', ' events')
    const text = fc.array(alphabet, { maxLength: 60 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, places, (stream, at) => {
        const heard = decoded(cut(bytesOf(stream), at))
        expect(heard).toEqual(decoded([stream]))
        expect(kinds(heard)).toBe(stream.split('\n').filter((line) => line !== '').length)
      }),
    )
  })

  test('garbage between the lines hides no record and makes none', () => {
    // No garbage begins with a tag and a space: that is what the test above is for.
    const garbage = fc.uint8Array({ maxLength: 80 }).map((bytes) => `!${hex(bytes, false)}`)
    const lines = fc.array(fc.oneof(record, garbage), { maxLength: 12 })
    fc.assert(
      fc.property(lines, printing, places, (mixed, how, at) => {
        const text = mixed.map((one) => (typeof one === 'string' ? `${one}\n` : printed(one, how)))
        const heard = decoded(cut(bytesOf(text.join('')), at))
        expect(heard.records).toEqual(mixed.filter((one) => typeof one !== 'string'))
        expect(heard.rejected).toEqual(mixed.filter((one) => typeof one === 'string'))
      }),
    )
  })

  test.each([1, 100, 4096, 16_384, 65_536])(
    'a line of a megabyte is rejected once, and its end is not taken for a record (pieces of %i bytes)',
    (size) => {
      const stream = Buffer.from(`${'x'.repeat(size === 1 ? 40_000 : 1 << 20)}\nH 1\n`)
      const pieces = Array.from({ length: Math.ceil(stream.length / size) }, (_, at) =>
        stream.subarray(at * size, (at + 1) * size),
      )
      const { records, rejected } = decoded(pieces)
      expect(records).toEqual([{ record: 'heartbeat', time: 1 }])
      expect(rejected).toHaveLength(1)
    },
  )

  test('the end of a line that is too long forges no record', () => {
    const { records, rejected } = decoded(['x'.repeat(20_000), 'E 1 2 0 3 4 5 0 0 6 1\n', 'H 1\n'])
    expect(records).toEqual([{ record: 'heartbeat', time: 1 }])
    expect(rejected).toHaveLength(1)
  })
})

describe('what a process controls can forge, split or hide nothing', () => {
  const impostor = execLines({ args: ['forged'], pid: 666 }).join('')
  const hostile = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 300 }),
    fc.constantFrom(
      '\n',
      'H 1\n',
      impostor,
      `\n${impostor}`,
      'Lost 1000 events\n',
      'Attaching 1 probe...\n',
      '" \' \\ $(id) `id` ; | &',
      '\r\n\t\v\f\u001b[2J',
      '\u202e\u2028\u{1f980}',
      '{{emit exec}}',
      '%s%n%rh',
      ' ',
    ),
    fc
      .constantFrom([0xff, 0xfe], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80])
      .map((bytes) => Uint8Array.from(bytes)),
  )
  /** An argument holds no NUL, a name neither NUL nor slash: the kernel sees to that. */
  const without = (value: string | Uint8Array, ...bytes: number[]) =>
    bytesOf(value).filter((byte) => !bytes.includes(byte))
  const argument = hostile.map((value) => without(value, 0))
  const name = hostile.map((value) => Buffer.concat([Buffer.of(0x78), without(value, 0, 0x2f)]).subarray(0, 255))
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

  test('any arguments, executable and directory: one exec, with exactly these', () => {
    const exec = fc.record({
      args: fc.array(argument, { minLength: 1, maxLength: 6 }).filter((args) => argv(args).length <= 4096),
      path: fc.array(name, { minLength: 1, maxLength: 6 }),
      directory: fc.array(name, { maxLength: 6 }),
    })
    fc.assert(
      fc.property(exec, printing, places, ({ args, path, directory }, how, at) => {
        const stream = Buffer.from(execLines({ args, path, directory }, how).join(''))
        const pieces = cut(stream, at)
        expect(decoded(pieces)).toMatchObject({ lost: [], rejected: [] })
        const heard = assembled(execLines({ args, path, directory }, how))
        expect(heard).toMatchObject({ rejected: [], incomplete: [], heartbeats: [], waiting: 0 })
        expect(heard.acts).toHaveLength(1)
        expect(heard.acts[0]).toMatchObject({
          act: 'exec',
          pid: 100,
          incomplete: false,
          argsCut: false,
          args: args.map((arg) => decoder.decode(arg)),
          path: `/${path.map((name) => decoder.decode(name)).join('/')}`,
          directory: `/${directory.map((name) => decoder.decode(name)).join('/')}`,
        })
      }),
      { numRuns: 200 },
    )
  })

  test('any bytes at all where the arguments lie: the decoder hands over these, in their order', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), printing, (bytes, how) => {
        const { records } = decoded(execLines({ args: bytes }, how))
        const chunks = records.filter((record) => record.record === 'text').filter(({ section }) => section === 2)
        expect(textOf(chunks).bytes).toEqual(Buffer.from(bytes))
        expect(records.filter(({ record }) => record === 'exec')).toHaveLength(1)
      }),
    )
  })
})
