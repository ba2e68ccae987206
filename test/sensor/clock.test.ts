import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createClock } from '../../sensor/clock.ts'

const boot = Date.UTC(2026, 2, 1)
const hour = 3_600_000

/** A machine's three clocks, in milliseconds since it booted; each can be moved. */
function machine(start = hour) {
  const state = { monotonic: start, suspended: 0, wall: boot }
  const clock = createClock({
    wall: () => state.wall + state.monotonic + state.suspended,
    monotonic: () => BigInt(Math.round(state.monotonic * 1e6)),
    // /proc/uptime has two decimals of a second, cut.
    uptime: () => Math.floor((state.monotonic + state.suspended) / 10) * 10,
  })
  return { clock, state }
}
const nanoseconds = (milliseconds: number) => milliseconds * 1e6

test('kernel time is wall-clock time, whenever it is asked', () => {
  const { clock, state } = machine()
  expect(clock.unix(nanoseconds(hour))).toBe(boot + hour)
  state.monotonic += hour
  expect(clock.unix(nanoseconds(hour))).toBe(boot + hour)
  expect(clock.unix(nanoseconds(hour + 1.5))).toBe(boot + hour + 1.5)
})

test('times keep the microsecond, also after a hundred days', () => {
  const { clock } = machine(100 * 24 * hour)
  const [a, b] = [clock.unix(nanoseconds(100 * 24 * hour)), clock.unix(nanoseconds(100 * 24 * hour) + 1000)]
  expect(Math.round((b - a) * 1000)).toBe(1)
})

test('an earlier kernel time is never a later wall-clock time', () => {
  const { clock } = machine()
  const time = fc.nat(2 ** 50)
  fc.assert(
    fc.property(time, time, (one, other) => {
      expect(Math.sign(clock.unix(one) - clock.unix(other)) * Math.sign(one - other)).toBeGreaterThanOrEqual(0)
    }),
  )
})

describe('a refresh', () => {
  test.each([-hour, -100, 100, hour])('takes over a wall clock that was set by %i ms', (step) => {
    const { clock, state } = machine()
    state.wall += step
    expect(clock.unix(nanoseconds(hour))).toBe(boot + hour)
    clock.refresh()
    expect(clock.unix(nanoseconds(hour))).toBe(boot + hour + step)
  })

  test.each([-4, -1, 1, 4])('ignores %i ms of jitter, which would put events out of order', (jitter) => {
    const { clock, state } = machine()
    state.wall += jitter
    clock.refresh()
    expect(clock.unix(nanoseconds(hour))).toBe(boot + hour)
  })

  test('follows a clock that is slewed, at the latest when it is 5 ms off', () => {
    const { clock, state } = machine()
    for (let count = 0; count < 100; count++) {
      state.wall += 0.5
      clock.refresh()
      const off = state.wall - boot - (clock.unix(nanoseconds(hour)) - boot - hour)
      expect(Math.abs(off)).toBeLessThanOrEqual(5.5)
    }
  })

  test('takes over a suspend, in which kernel time goes on and hrtime stands still', () => {
    const { clock, state } = machine()
    state.suspended += 8 * hour
    clock.refresh()
    expect(clock.unix(nanoseconds(1000))).toBe(boot + 1000)
    expect(clock.unix(nanoseconds(9 * hour))).toBe(boot + 9 * hour)
    expect(clock.now()).toBe(nanoseconds(9 * hour))
  })
})

test('a suspend before the start is known as well', () => {
  const state = { monotonic: hour, suspended: 2 * hour }
  const clock = createClock({
    wall: () => boot + state.monotonic + state.suspended,
    monotonic: () => BigInt(nanoseconds(state.monotonic)),
    uptime: () => state.monotonic + state.suspended,
  })
  expect(clock.unix(nanoseconds(3 * hour))).toBe(boot + 3 * hour)
  expect(clock.unix(nanoseconds(10))).toBe(boot + 10)
})

test('the ten milliseconds that /proc/uptime is coarse by are no suspend', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000_000, max: 2_000_000 }), (start) => {
      const { clock, state } = machine(start / 100)
      expect(clock.now()).toBeCloseTo(nanoseconds(state.monotonic), -3)
    }),
  )
})
