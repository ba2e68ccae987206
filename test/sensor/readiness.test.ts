import { expect, test } from 'vitest'
import { readiness } from '../../sensor/readiness.ts'

const rules = [{ enabled: false }, { enabled: true }]

test('the sensor is ready when events flow and there is a rule to judge them by', () => {
  expect(readiness({ probeUp: true, rules })).toEqual({ ok: true })
})

test('without the probes, without rules, or with none that is enabled, it is not, and says why', () => {
  expect(readiness({ probeUp: false, rules })).toEqual({ ok: false, reason: 'the kernel probes are not attached' })
  const noRules = { ok: false, reason: 'no rules are loaded' }
  expect(readiness({ probeUp: true, rules: [] })).toEqual(noRules)
  expect(readiness({ probeUp: true, rules: [{ enabled: false }] })).toEqual(noRules)
})
