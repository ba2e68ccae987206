import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseDuration } from '../../sensor/duration.ts'

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['1m', 60_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['1.5s', 1500],
  ['0.25h', 900_000],
  ['0s', 0],
  ['010s', 10_000],
])('%s is %i milliseconds', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds)
})

test.each([
  '',
  '10',
  's',
  'ms',
  '10 s',
  ' 10s',
  '10s ',
  '10s\n',
  '-10s',
  '+10s',
  '.5s',
  '5.s',
  '1e3s',
  '0x10s',
  '10S',
  '10sec',
  '1h30m',
  '10us',
  '10w',
  'Infinitys',
  '١s',
  '10constructor',
])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined()
})

test('any number of a unit is so many of them', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), (count) => {
      expect(parseDuration(`${count}ms`)).toBe(count)
      expect(parseDuration(`${count}s`)).toBe(count * 1000)
      expect(parseDuration(`${count}d`)).toBe(count * 86_400_000)
    }),
  )
})

test('any text is a duration or undefined, never NaN', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const milliseconds = parseDuration(text)
      if (milliseconds !== undefined) expect(milliseconds).toBeGreaterThanOrEqual(0)
    }),
  )
})
