import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Part, progress } from '../../exporters/progress.ts'

type Step = { do: 'begin' | 'extend'; alerts: number } | { do: 'done'; which: number }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('begin' as const, 'extend' as const), alerts: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constant('done' as const), which: fc.nat() }),
)

test('in whatever order deliveries end, everything up to the told place is done with, and as far as can be', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let told = 0
      let counted = 0
      const { begin } = progress((through, alerts) => {
        expect(through).toBeGreaterThan(told)
        told = through
        counted += alerts
      })
      let sequence = 0
      const parts: { part: Part; through: number; isDone: boolean }[] = []
      for (const one of steps) {
        if (one.do === 'done') {
          const open = parts.filter(({ isDone }) => !isDone)
          const chosen = open[one.which % Math.max(1, open.length)]
          if (chosen === undefined) continue
          chosen.isDone = true
          chosen.part.done()
        } else {
          const last = parts.at(-1)
          const extended = one.do === 'extend' && last?.part.extend(sequence + one.alerts, one.alerts) === true
          if (extended && last !== undefined) expect(last.isDone).toBe(false)
          sequence += one.alerts
          if (extended && last !== undefined) last.through = sequence
          else parts.push({ part: begin(sequence, one.alerts), through: sequence, isDone: false })
        }
        const firstOpen = parts.findIndex(({ isDone }) => !isDone)
        const expected = parts[(firstOpen === -1 ? parts.length : firstOpen) - 1]?.through ?? 0
        expect([told, counted]).toEqual([expected, expected])
      }
    }),
  )
})
