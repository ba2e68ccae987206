import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFold } from '../../rules/fold.ts'

const minute = 60_000
const match = {}

test('a burst is one alert; what goes on is told again when its count has reached a power of ten, once a minute', () => {
  const fold = createFold<object>()
  const told = (times: number[]) => times.map((time) => fold.add('key', time, 10 * minute, match)).filter((one) => one)
  const every = (step: number, from: number, until: number) =>
    Array.from({ length: (until - from) / step }, (_, index) => from + index * step)

  expect(told(every(1, 5000, 5100))).toEqual([{ count: 1, firstSeen: 5000, lastSeen: 5000 }])
  expect(told([5000 + minute - 1])).toEqual([])
  expect(told([5000 + minute])).toEqual([{ count: 102, firstSeen: 5000, lastSeen: 5000 + minute }])
  expect(told(every(100, 5000 + 2 * minute, 5000 + 4 * minute)).map((one) => one?.count)).toEqual([1000])
})

test('a storm of 10,000 matches in two minutes makes two alerts', () => {
  const fold = createFold<object>()
  const told = Array.from({ length: 10_000 }, (_, index) => fold.add('key', index * 12, 10 * minute, match)).filter(
    (one) => one,
  )
  expect(told).toHaveLength(2)
})

test('what the minute held back is told when it is over and 5 s have passed, once, with the last match', () => {
  const fold = createFold<{ at: number }>()
  for (let at = 0; at < 500; at++) fold.add('key', at, 10 * minute, { at })
  expect(fold.due(minute + 4_999)).toEqual([])
  expect(fold.due(minute + 6_000)).toEqual([[{ at: 499 }, { count: 500, firstSeen: 0, lastSeen: 499 }]])
  expect(fold.due(3 * minute)).toEqual([])
  // Another tenfold, at a match of its own.
  for (let at = 0; at < 500; at++) fold.add('key', 2 * minute, 10 * minute, { at })
  expect(fold.add('key', 3 * minute, 10 * minute, { at: 0 })?.count).toBe(1001)
})

test('a window that ends before the minute leaves its count to be told, beside that of the next', () => {
  const fold = createFold<object>()
  for (let at = 0; at < 20; at++) fold.add('key', at * 1000, 10_000, match)
  expect(fold.due(minute + 20_000).map(([, { count, firstSeen }]) => [count, firstSeen])).toEqual([
    [10, 0],
    [10, 10_000],
  ])
})

test('a clock that is set back does not put off what is to be told', () => {
  const fold = createFold<object>()
  for (let at = 0; at < 20; at++) fold.add('key', 120 * minute, 10 * minute, match)
  expect(fold.due(60 * minute).map(([, { count }]) => count)).toEqual([20])
})

test('what waits to be told is bounded: the 1,001st group is told by its next match', () => {
  const fold = createFold<object>()
  for (let key = 0; key <= 1_000; key++) {
    for (let again = 0; again < 10; again++) fold.add(`key ${key}`, 0, 10 * minute, match)
  }
  expect(fold.due(2 * minute)).toHaveLength(1_000)
  expect(fold.add('key 1000', 2 * minute, 10 * minute, match)?.count).toBe(11)
  expect(fold.add('key 999', 2 * minute, 10 * minute, match)).toBeUndefined()
})

test('few repeats over a long time are not told', () => {
  const fold = createFold<object>()
  const told = Array.from({ length: 9 }, (_, index) => fold.add('key', index * minute, 10 * minute, match)).filter(
    (one) => one,
  )
  expect(told.map((one) => one?.count)).toEqual([1])
})

test('the window runs from the first match, by the time of the events', () => {
  const fold = createFold<object>()
  expect(fold.add('key', 0, minute, match)?.count).toBe(1)
  expect(fold.add('key', minute - 1, minute, match)).toBeUndefined()
  expect(fold.add('key', minute, minute, match)).toEqual({ count: 1, firstSeen: minute, lastSeen: minute })
})

test('an event a little older than the first belongs to it; one older by a window does not', () => {
  const fold = createFold<object>()
  fold.add('key', 10 * minute, minute, match)
  expect(fold.add('key', 10 * minute - 5, minute, match)).toBeUndefined()
  expect(fold.add('key', 5 * minute, minute, match)?.count).toBe(1)
})

test('keys do not disturb each other', () => {
  const fold = createFold<object>()
  expect(fold.add('a', 0, minute, match)?.count).toBe(1)
  expect(fold.add('b', 0, minute, match)?.count).toBe(1)
  expect(fold.add('a', 1, minute, match)).toBeUndefined()
})

test('memory is bounded: of 10,001 keys the one that was quiet longest is forgotten, and alerts anew', () => {
  const fold = createFold<object>()
  for (let key = 0; key <= 10_000; key++) expect(fold.add(`key ${key}`, 0, minute, match)?.count).toBe(1)
  expect(fold.add('key 10000', 1, minute, match)).toBeUndefined()
  expect(fold.add('key 0', 1, minute, match)?.count).toBe(1)
})

test('the same events give the same alerts, whenever they are folded', () => {
  const matches = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(300_000)), { maxLength: 200 })
  fc.assert(
    fc.property(matches, (events) => {
      const [one, other] = [createFold<object>(), createFold<object>()]
      expect(events.map(([key, time]) => one.add(key, time, minute, match))).toEqual(
        events.map(([key, time]) => other.add(key, time, minute, match)),
      )
    }),
  )
})
