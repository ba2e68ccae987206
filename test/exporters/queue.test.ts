import fc from 'fast-check'
import { expect, test } from 'vitest'
import { alertQueue } from '../../exporters/queue.ts'
import { type Severity, severities } from '../../sensor/alert.ts'
import { bareAlert } from './sample.ts'

const waiting = (severity: Severity, since: number) => ({ alert: bareAlert({ severity }), since })

test('when it is full the oldest of the lowest severity goes, and the order of the others stays', () => {
  const queue = alertQueue(3)
  const given = (['low', 'critical', 'low', 'high', 'medium', 'info'] as const).map(waiting)
  const dropped = given.map((one) => queue.put(one)?.since)
  expect(dropped).toEqual([undefined, undefined, undefined, 0, 2, 5])
  expect([queue.take(), queue.take(), queue.take(), queue.take()].map((one) => one?.since)).toEqual([
    1,
    3,
    4,
    undefined,
  ])
  expect(queue.size).toBe(0)
})

test('it behaves as a plain list of which the oldest of the lowest severity is cut', () => {
  const steps = fc.array(fc.option(fc.constantFrom(...severities)), { maxLength: 200 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), steps, (capacity, operations) => {
      const queue = alertQueue(capacity)
      const model: { severity: Severity; since: number }[] = []
      for (const [since, severity] of operations.entries()) {
        if (severity === null) {
          expect(queue.take()?.since).toBe(model.shift()?.since)
        } else {
          model.push({ severity, since })
          const rank = Math.max(...model.map((one) => severities.indexOf(one.severity)))
          const victim = model.findIndex((one) => one.severity === severities[rank])
          const expected = model.length > capacity ? model.splice(victim, 1)[0]?.since : undefined
          expect(queue.put(waiting(severity, since))?.since).toBe(expected)
        }
        expect(queue.size).toBe(model.length)
      }
    }),
  )
})
