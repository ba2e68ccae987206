import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoff, retryAfter } from '../../exporters/backoff.ts'

const delays = { initialDelay: 500, maxDelay: 60_000 }

test('the longest wait doubles with each failure, up to the limit', () => {
  const longest = [1, 2, 3, 4, 7, 8, 9, 2000].map((failures) => backoff(failures, delays, 1))
  expect(longest).toEqual([500, 1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000])
})

test('the jitter is full: anything from nothing to the longest wait', () => {
  expect([0, 0.25, 0.5].map((random) => backoff(3, delays, random))).toEqual([0, 500, 1000])
})

test('what the receiver asked for comes first, but never more than the limit', () => {
  expect(backoff(1, delays, 0, 5000)).toBe(5000)
  expect(backoff(1, delays, 0.5, 5000)).toBe(5250)
  expect(backoff(1, delays, 0.5, 86_400_000)).toBe(60_000)
})

test('a wait is always a number of milliseconds that a timer takes', () => {
  const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(fc.integer({ min: 1 }), fraction, fc.nat(), (failures, random, asked) => {
      const wait = backoff(failures, delays, random, asked)
      expect(wait >= 0 && wait <= delays.maxDelay).toBe(true)
    }),
  )
})

const now = Date.parse('2026-03-01T12:00:00Z')
test.each([
  ['120', 120_000],
  [' 0 ', 0],
  ['Sun, 01 Mar 2026 12:00:30 GMT', 30_000],
  ['Sun, 01 Mar 2026 11:00:00 GMT', 0],
  [undefined, undefined],
  ['', undefined],
  ['soon', undefined],
  ['-5', undefined],
  ['1.5', undefined],
  ['2026-03-01', undefined],
])('Retry-After: %j asks for %j ms', (header, expected) => {
  expect(retryAfter(header, now)).toBe(expected)
})
