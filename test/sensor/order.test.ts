import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createOrder } from '../../sensor/order.ts'

interface Item {
  time: number
  name: string
}

const window = 5
const millisecond = 1e6

/** An order with a clock that the test moves; timers run as the clock passes them. */
function orderWithClock(options: { putOff?(item: Item): boolean } = {}) {
  const emitted: Item[] = []
  const timers: { at: number; run: () => void }[] = []
  let now = 1e12
  const order = createOrder<Item>(
    { window, now: () => now, after: (ms, run) => timers.push({ at: now + ms * millisecond, run }), ...options },
    (item) => emitted.push(item),
  )
  const advance = (nanoseconds: number) => {
    const until = now + nanoseconds
    for (let timer = next(until); timer; timer = next(until)) {
      timers.splice(timers.indexOf(timer), 1)
      now = timer.at
      timer.run()
    }
    now = until
  }
  const next = (until: number) => timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0]
  return { order, emitted, advance, now: () => now, timers: () => timers.length }
}
const at = (time: number, name = String(time)): Item => ({ time, name })

/** What happened at a time and arrived so much later. */
const acts = (delay: number) =>
  fc.array(fc.record({ after: fc.nat(3 * millisecond), delay: fc.nat(delay) }), { maxLength: 60 })

/** Plays acts: each is pushed when it arrives. Gives the items in the order of arrival. */
function play(machine: ReturnType<typeof orderWithClock>, acts: { after: number; delay: number }[]): Item[] {
  let time = machine.now()
  const arriving = acts.map(({ after, delay }, index) => {
    time += after
    return { item: at(time, `act ${index}`), arrival: time + delay }
  })
  const inArrivalOrder = arriving.toSorted((a, b) => a.arrival - b.arrival)
  for (const { item, arrival } of inArrivalOrder) {
    machine.advance(arrival - machine.now())
    machine.order.push(item)
  }
  return inArrivalOrder.map(({ item }) => item)
}

test('whatever arrives within the window comes out in the order of its time, nothing lost, nothing twice', () => {
  fc.assert(
    fc.property(acts(window * millisecond), (acts) => {
      const machine = orderWithClock()
      const items = play(machine, acts)
      machine.advance(3 * window * millisecond)
      expect(machine.emitted.map(({ time }) => time)).toEqual(items.map(({ time }) => time).toSorted((a, b) => a - b))
      expect(new Set(machine.emitted)).toEqual(new Set(items))
    }),
  )
})

test('what comes later than the window is out of order, and not lost', () => {
  fc.assert(
    fc.property(acts(10 * window * millisecond), (acts) => {
      const machine = orderWithClock()
      const items = play(machine, acts)
      machine.advance(20 * window * millisecond)
      expect(machine.emitted).toHaveLength(items.length)
      expect(new Set(machine.emitted)).toEqual(new Set(items))
    }),
  )
})

test('once acts come late, all that come no later than they did are in order', () => {
  const lateness = 50 * millisecond
  fc.assert(
    fc.property(acts(lateness), (acts) => {
      const machine = orderWithClock()
      machine.order.push(at(machine.now() - 2 * lateness, 'late'))
      const items = play(machine, acts)
      machine.advance(10 * lateness)
      const [, ...after] = machine.emitted
      expect(after.map(({ time }) => time)).toEqual(items.map(({ time }) => time).toSorted((a, b) => a - b))
    }),
  )
})

describe('where all CPUs share one buffer', () => {
  test('what all has been told of comes out, in the order of its time, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000)), fc.nat(1000), (times, until) => {
        const { order, emitted, advance } = orderWithClock()
        order.oneBuffer(true)
        for (const time of times) order.push(at(time))
        advance(20 * window * millisecond)
        expect(emitted).toEqual([])
        order.told(until)
        expect(emitted.map(({ time }) => time)).toEqual(times.filter((time) => time <= until).toSorted((a, b) => a - b))
        order.flush()
        expect(emitted).toHaveLength(times.length)
      }),
    )
  })

  test('an act is not waited for by the clock: nothing is scheduled', () => {
    const { order, timers, now } = orderWithClock()
    order.oneBuffer(true)
    order.push(at(now()))
    expect(timers()).toBe(0)
  })

  test('and they no longer do, acts wait for the window again, those that came before as well', () => {
    const { order, emitted, advance, now } = orderWithClock()
    order.oneBuffer(true)
    order.push(at(now()))
    order.oneBuffer(false)
    order.told(now())
    expect(emitted).toEqual([])
    advance(2 * window * millisecond)
    expect(emitted).toHaveLength(1)
  })
})

test('an act that is put off by design has no other wait for it longer than the window', () => {
  const { order, emitted, advance, now } = orderWithClock({ putOff: ({ name }) => name === 'exit' })
  order.push(at(now() - 10 * window * millisecond, 'exit'))
  advance(2 * window * millisecond)
  order.push(at(now(), 'exec'))
  advance(2 * window * millisecond)
  expect(emitted.map(({ name }) => name)).toEqual(['exit', 'exec'])
})

test('flush sends all that waits, in order, at once', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000)), (times) => {
      const { order, emitted } = orderWithClock()
      for (const time of times) order.push(at(time))
      order.flush()
      expect(emitted.map(({ time }) => time)).toEqual(times.toSorted((a, b) => a - b))
      order.flush()
      expect(emitted).toHaveLength(times.length)
    }),
  )
})

describe('an act', () => {
  test('waits for the window, and not for more than two', () => {
    const { order, emitted, advance, now } = orderWithClock()
    order.push(at(now()))
    advance((window - 1) * millisecond)
    expect(emitted).toEqual([])
    advance((window + 1) * millisecond)
    expect(emitted).toHaveLength(1)
  })

  test('of the same time as another comes out behind the one that arrived first', () => {
    const { order, emitted } = orderWithClock()
    for (const name of ['exec', 'connect', 'exit']) order.push(at(7, name))
    order.flush()
    expect(emitted.map(({ name }) => name)).toEqual(['exec', 'connect', 'exit'])
  })

  test('that is made by another one coming out is sent, too', () => {
    const emitted: number[] = []
    const order = createOrder<Item>({ window, now: () => 0, after: () => {} }, ({ time }) => {
      emitted.push(time)
      if (time < 3) order.push(at(time + 1))
    })
    order.push(at(1))
    for (let count = 0; count < 4; count++) order.flush()
    expect(emitted).toEqual([1, 2, 3])
  })
})

test('nothing is scheduled while nothing waits: an idle sensor sleeps', () => {
  const { order, advance, timers, now } = orderWithClock()
  expect(timers()).toBe(0)
  order.push(at(now()))
  order.push(at(now()))
  expect(timers()).toBe(1)
  advance(10 * window * millisecond)
  expect(timers()).toBe(0)
})
