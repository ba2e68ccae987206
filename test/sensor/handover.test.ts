import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHandover } from '../../sensor/handover.ts'

type Act = { time: number; pid: number }
const ms = 1e6

test('every act is told once, whichever probe saw it a little earlier and in whatever order they come', () => {
  const acts = fc.array(
    fc.record({ at: fc.integer({ min: 0, max: 200 }), skew: fc.integer({ min: -900, max: 900 }) }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(acts, (acts) => {
      const told: number[] = []
      const handover = createHandover<Act>(({ pid }) => told.push(pid))
      handover.at(100 * ms)
      const leaving = acts.map(({ at }, pid) => ({ time: at * ms, pid }))
      const coming = acts.map(({ at, skew }, pid) => ({ time: at * ms + skew * 1000, pid }))
      // Each probe's own acts in order, the two of them interleaved as the pipes happen to be read.
      for (const [index, act] of leaving.toSorted((a, b) => a.time - b.time).entries()) {
        handover.leaving(act)
        const other = coming.toSorted((a, b) => a.time - b.time)[index]
        if (other) handover.coming(other)
      }
      expect(told.toSorted((a, b) => a - b)).toEqual(acts.map((_, pid) => pid))
    }),
  )
})

test('until the moment is set, the probe that goes tells everything, and its successor nothing', () => {
  const told: number[] = []
  const handover = createHandover<Act>(({ pid }) => told.push(pid))
  handover.leaving({ time: 1, pid: 1 })
  handover.coming({ time: 1, pid: 1 })
  handover.leaving({ time: 2, pid: 2 })
  expect(told).toEqual([1, 2])
})

test('two equal acts near the moment are two', () => {
  const told: number[] = []
  const handover = createHandover<Act>(({ pid }) => told.push(pid))
  handover.at(100 * ms)
  for (const time of [100 * ms, 100 * ms + 1]) handover.leaving({ time, pid: 7 })
  for (const time of [100 * ms, 100 * ms + 1]) handover.coming({ time, pid: 7 })
  expect(told).toEqual([7, 7])
})
