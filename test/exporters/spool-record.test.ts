import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRecords, encodeRecord, type SpoolRecord } from '../../exporters/spool-record.ts'
import { hostile } from './hostile.ts'

const record = fc
  .record({ sequence: fc.nat(), time: fc.nat(2 ** 41), text: fc.oneof(hostile, fc.constant('\x1e0 0 {}\n')) })
  .map(({ sequence, time, text }): SpoolRecord => ({ sequence, time, json: JSON.stringify({ text }) }))

const plain = ({ sequence, time, json }: SpoolRecord) => ({ sequence, time, json })

test('whatever an alert says, it is read as it was written, and nothing in it passes for a record', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 20 }), (records) => {
      const bytes = Buffer.concat(records.map(encodeRecord))
      const { records: read, damaged, rest } = decodeRecords(bytes)
      expect(read.map(plain)).toEqual(records)
      expect(read.map(({ end }) => end).at(-1) ?? 0).toBe(bytes.length)
      expect([damaged, rest]).toEqual([[], bytes.length])
    }),
  )
})

/** Bytes overwritten, cut out, put in, or all after a point gone. */
type Blow =
  | { kind: 'overwrite' | 'insert'; at: number; bytes: Uint8Array }
  | { kind: 'cut'; at: number; length: number }
  | { kind: 'truncate'; at: number }

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
  fc.constantFrom(...['\x1e', '\n', '\n\x1e', '\x1e\n'].map((text) => Uint8Array.from(Buffer.from(text)))),
)
const blow: fc.Arbitrary<Blow> = fc.oneof(
  fc.record({ kind: fc.constantFrom('overwrite' as const, 'insert' as const), at: fc.nat(), bytes }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 100 }) }),
  fc.record({ kind: fc.constant('truncate' as const), at: fc.nat() }),
)

function strike(contents: Buffer, blow: Blow): Buffer {
  const at = blow.at % (contents.length + 1)
  const [before, after] = [contents.subarray(0, at), contents.subarray(at)]
  if (blow.kind === 'truncate') return before
  if (blow.kind === 'cut') return Buffer.concat([before, after.subarray(blow.length)])
  return Buffer.concat([before, blow.bytes, blow.kind === 'insert' ? after : after.subarray(blow.bytes.length)])
}

test('after any damage every record that is still whole is read, nothing else is, and the damage is told', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 12 }),
      fc.array(blow, { maxLength: 4 }),
      (records, blows) => {
        const frames = records.map(encodeRecord)
        const damagedBytes = blows.reduce(strike, Buffer.concat(frames))
        const { records: read, damaged, rest } = decodeRecords(damagedBytes)
        const text = damagedBytes.toString('latin1')
        const whole = new Set(frames.map((frame) => frame.toString('latin1')).filter((frame) => text.includes(frame)))
        const readFrames = read.map((one) => encodeRecord(one).toString('latin1'))
        for (const frame of whole) expect(readFrames).toContain(frame)
        for (const frame of readFrames) expect(whole).toContain(frame)
        const accounted = readFrames.reduce((sum, frame) => sum + frame.length, 0)
        const told = damaged.reduce((sum, { from, to }) => sum + to - from, 0)
        expect(accounted + told + damagedBytes.length - rest).toBe(damagedBytes.length)
      },
    ),
    { numRuns: 2000 },
  )
})

test('what was cut in the middle of a record is no damage yet: its end may not have been read', () => {
  const frame = encodeRecord({ sequence: 1, time: 2, json: '{"a":"b"}' })
  expect(decodeRecords(frame.subarray(0, -1))).toEqual({ records: [], damaged: [], rest: 0 })
})
