import { expect } from 'vitest'
import { readPacks } from '../../rules/pack.ts'
import type { RuleSet } from '../../rules/rule.ts'
import type { EventType } from '../../sensor/event.ts'

/** A rule for each condition, on events of one type; `more`: what else each of them has. */
export function rulesOn(type: EventType, conditions: unknown[], more: object = {}): RuleSet {
  const rules = conditions.map((when, index) => ({
    id: `rule-${index}`,
    name: 'A rule',
    on: [type],
    when,
    severity: 'low',
    message: 'm',
    ...more,
  }))
  const { ruleSet, problems } = readPacks([{ file: 'test.json', value: { pack: 'test', version: '1', rules } }])
  expect(problems).toEqual([])
  return ruleSet
}
