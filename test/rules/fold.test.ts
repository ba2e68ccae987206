import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFold } from '../../rules/fold.ts'

const minute = 60_000

test('a burst is one alert; what goes on is told again when its count has reached a power of ten, once a minute', () => {
  const fold = createFold()
  const told = (times: number[]) => times.map((time) => fold('key', time, 10 * minute)).filter((one) => one)
  const every = (step: number, from: number, until: number) =>
    Array.from({ length: (until - from) / step }, (_, index) => from + index * step)

  expect(told(every(1, 5000, 5100))).toEqual([{ count: 1, firstSeen: 5000, lastSeen: 5000 }])
  expect(told([5000 + minute - 1])).toEqual([])
  expect(told([5000 + minute])).toEqual([{ count: 102, firstSeen: 5000, lastSeen: 5000 + minute }])
  expect(told(every(100, 5000 + 2 * minute, 5000 + 4 * minute)).map((one) => one?.count)).toEqual([1000])
})

test('a storm of 10,000 matches in two minutes makes two alerts', () => {
  const fold = createFold()
  const told = Array.from({ length: 10_000 }, (_, index) => fold('key', index * 12, 10 * minute)).filter((one) => one)
  expect(told).toHaveLength(2)
})

test('few repeats over a long time are not told', () => {
  const fold = createFold()
  const told = Array.from({ length: 9 }, (_, index) => fold('key', index * minute, 10 * minute)).filter((one) => one)
  expect(told.map((one) => one?.count)).toEqual([1])
})

test('the window runs from the first match, by the time of the events', () => {
  const fold = createFold()
  expect(fold('key', 0, minute)?.count).toBe(1)
  expect(fold('key', minute - 1, minute)).toBeUndefined()
  expect(fold('key', minute, minute)).toEqual({ count: 1, firstSeen: minute, lastSeen: minute })
})

test('an event a little older than the first belongs to it; one older by a window does not', () => {
  const fold = createFold()
  fold('key', 10 * minute, minute)
  expect(fold('key', 10 * minute - 5, minute)).toBeUndefined()
  expect(fold('key', 5 * minute, minute)?.count).toBe(1)
})

test('keys do not disturb each other', () => {
  const fold = createFold()
  expect(fold('a', 0, minute)?.count).toBe(1)
  expect(fold('b', 0, minute)?.count).toBe(1)
  expect(fold('a', 1, minute)).toBeUndefined()
})

test('memory is bounded: of 10,001 keys the one that was quiet longest is forgotten, and alerts anew', () => {
  const fold = createFold()
  for (let key = 0; key <= 10_000; key++) expect(fold(`key ${key}`, 0, minute)?.count).toBe(1)
  expect(fold('key 10000', 1, minute)).toBeUndefined()
  expect(fold('key 0', 1, minute)?.count).toBe(1)
})

test('the same events give the same alerts, whenever they are folded', () => {
  const matches = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(300_000)), { maxLength: 200 })
  fc.assert(
    fc.property(matches, (events) => {
      const [one, other] = [createFold(), createFold()]
      expect(events.map(([key, time]) => one(key, time, minute))).toEqual(
        events.map(([key, time]) => other(key, time, minute)),
      )
    }),
  )
})
