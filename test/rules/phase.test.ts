import pino from 'pino'
import { expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { createEngine } from '../../rules/engine.ts'
import { explain } from '../../rules/explain.ts'
import { interests } from '../../rules/interests.ts'
import { lintRule } from '../../rules/lint.ts'
import { readPacks } from '../../rules/pack.ts'
import { readBreakGlass } from '../../rules/phase.ts'
import type { Rule } from '../../rules/rule.ts'
import type { Event } from '../../sensor/event.ts'
import { createJudge } from '../../sensor/judge.ts'

const base = { id: 'r', name: 'R', on: ['exec'], when: { 'process.name': 'sh' }, severity: 'low', message: 'm' }
const packOf = (rule: object, more: object = {}) => ({
  pack: 'p',
  version: '1',
  rules: [{ ...base, ...rule }],
  ...more,
})
const faults = (rule: object) => readPacks([{ file: 'f', value: packOf(rule) }]).problems

function rulesOf(...packs: object[]): Rule[] {
  const { ruleSet, problems } = readPacks(packs.map((value, index) => ({ file: `${index}.json`, value })))
  expect(problems).toEqual([])
  return [...ruleSet.rules]
}

function judgeBy(rule: object) {
  const suppressed: string[] = []
  const { judge } = createEngine(
    { rules: rulesOf(packOf(rule)), remarks: [] },
    { onError: (_, error) => expect(error).toBeUndefined(), onSuppressed: (_, reason) => suppressed.push(reason) },
  )
  return { alerts: (event: Event) => judge(event).length, suppressed }
}

const start = Date.parse('2027-01-01T00:00:00Z')
const inContainer = (seconds: number): Event => ({
  type: 'exec',
  time: start + seconds * 1000,
  process: { name: 'sh' },
  container: { id: 'c', start_time: start },
})
const onHost: Event = { type: 'exec', time: start, process: { name: 'sh' } }
const annotated = (annotation: string, time = start): Event => ({
  ...onHost,
  time,
  k8s: {
    namespace: { name: 'shop' },
    pod: { name: 'cart-0', uid: 'u', annotation: { 'nightjar.dev/break-glass': annotation } },
  },
})
const glass = 'owner=alice@example.org; expires=2027-01-01T12:00:00Z; reason=broken; deploy'

test('a rule for the startup matches in the first minute of a container alone, by the time of the event', () => {
  const { alerts, suppressed } = judgeBy({ phase: 'startup' })
  expect([-0.5, 0, 59.999, 60, 3600].map((at) => alerts(inContainer(at)))).toEqual([1, 1, 1, 0, 0])
  expect(alerts(onHost)).toBe(0)
  expect(suppressed).toEqual([])
})

test('a rule for what is steady matches whenever that for the startup does not: nothing falls between the two', () => {
  const [startup, steady] = [judgeBy({ phase: { startup: '2m' } }), judgeBy({ phase: { steady: '2m' } })]
  for (const event of [...[-1, 0, 119.999, 120, 500].map(inContainer), onHost]) {
    expect(startup.alerts(event) + steady.alerts(event)).toBe(1)
  }
  expect(steady.alerts(inContainer(119.999))).toBe(0)
})

test('an exception for the startup ends with it', () => {
  const unless = [{ when: { 'process.name': 'sh' }, reason: 'the entry point', phase: 'startup' }]
  const { alerts, suppressed } = judgeBy({ unless })
  expect([10, 60].map((at) => alerts(inContainer(at)))).toEqual([0, 1])
  expect(suppressed).toEqual(['exception'])
})

test('an exception for break-glass holds while the annotation says who broke the glass, and no longer', () => {
  const unless = [{ when: { 'process.name': 'sh' }, reason: 'repair', phase: 'break-glass' }]
  const { alerts } = judgeBy({ unless })
  const noon = Date.parse('2027-01-01T12:00:00Z')
  expect([annotated(glass), annotated(glass, noon - 1), annotated(glass, noon), onHost].map(alerts)).toEqual([
    0, 0, 1, 1,
  ])
  expect(alerts(annotated('{"owner": "alice", "expires": "2027-01-01"}', noon))).toBe(0)
})

test('what the annotation has to say: an owner and an end, as pairs or as JSON', () => {
  expect(readBreakGlass('owner=a; expires=2027-01-01T12:00:00Z; reason=x=1')).toEqual({
    owner: 'a',
    expires: Date.parse('2027-01-01T12:00:00Z'),
    reason: 'x=1',
  })
  const malformed = [
    '',
    'true',
    'owner=a',
    'owner=; expires=2027-01-01',
    'owner=a; owner=b; expires=2027-01-01',
    'owner=a; expires=tomorrow',
    'owner=a; expires=2027-02-30',
    '{"owner": 7, "expires": "2027-01-01"}',
    '{"owner": "a"',
    '{}',
  ]
  for (const one of malformed) expect(readBreakGlass(one), one).toMatchObject({ why: 'malformed' })
})

test('an annotation that does not hold is logged and counted once for its pod, and again when it is another', () => {
  const lines: { msg: string; pod?: string; namespace?: string }[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line)) })
  const metrics = createMetrics()
  const judge = createJudge({
    rules: { rules: rulesOf(packOf({ phase: 'break-glass' })), remarks: [] },
    metrics,
    log,
    exporters: () => [],
    redact: (alert) => alert,
    sensor: () => ({ node: 'n', lostEvents: 0 }),
  })
  const late = Date.parse('2027-01-02T00:00:00Z')
  for (const event of [annotated(glass, late), annotated(glass, late + 1), annotated('please'), annotated('please')]) {
    judge.judge(event)
  }
  expect(lines).toMatchObject([
    {
      pod: 'cart-0',
      namespace: 'shop',
      msg: expect.stringContaining('it ended at 2027-01-01T12:00:00.000Z (ask alice@example.org)'),
    },
    { msg: expect.stringContaining('found "please"; expected "owner=') },
  ])
  return expect(metrics.registry.metrics()).resolves.toMatch(
    /break_glass_refused_total\{reason="expired"\} 1\n.*break_glass_refused_total\{reason="malformed"\} 1\n/,
  )
})

test('an override gives a rule a phase, or an exception with one', () => {
  const override = {
    rule: 'p/r',
    phase: 'steady',
    unless: [{ when: { 'process.name': 'sh' }, reason: 'x', phase: 'break-glass' }],
  }
  const [rule] = rulesOf(packOf({}), { pack: 'mine', version: '1', rules: [], overrides: [override] })
  expect(rule).toMatchObject({
    phase: { kind: 'steady', length: 60_000 },
    unless: [{ phase: { kind: 'break-glass' } }],
    changedBy: ['1.json'],
  })
})

test('a phase that is none, or that the events of the rule can not tell, is an error at its place', () => {
  expect(faults({ phase: 'start-up' })).toMatchObject([{ path: '$.rules[0].phase', suggestion: 'startup' }])
  for (const phase of [
    {},
    { startup: '0s' },
    { startup: 60 },
    { startup: '1m', steady: '1m' },
    { 'break-glass': '1m' },
    null,
    7,
  ]) {
    expect(faults({ phase }), JSON.stringify(phase)).toMatchObject([{ path: '$.rules[0].phase' }])
  }
  const unless = [{ when: { 'gap.reason': 'events_lost' }, reason: 'r', phase: 'startup' }]
  expect(faults({ on: ['gap'], when: { 'gap.reason': 'events_lost' }, unless })).toMatchObject([
    {
      path: '$.rules[0].unless[0].phase',
      found: 'the field container.start_time, which events of type gap never carry',
    },
  ])
})

test('lint finds an exception for a phase in which the rule never matches', () => {
  const unless = [{ when: { 'process.name': 'sh' }, reason: 'r', phase: 'startup' }]
  const found = (phase: unknown) =>
    rulesOf(packOf({ phase, unless }))
      .flatMap((rule) => lintRule(rule, 0))
      .filter(({ path }) => path.endsWith('phase'))
  expect(found('steady')).toMatchObject([{ path: '$.rules[0].unless[0].phase' }])
  expect(found({ steady: '30s' })).toEqual([])
  expect(found('break-glass')).toEqual([])
})

test('explain says the phase, and the kernel sends for a phase of containers what containers do', () => {
  const unless = [{ when: { 'process.name': 'sh' }, reason: 'r', phase: 'break-glass' }]
  const [rule] = rulesOf(packOf({ phase: 'startup', unless }))
  const text = rule ? explain(rule) : ''
  expect(text).toContain('Only during the first 60 s of the container.')
  expect(text).toContain("(r; only while the pod's annotation nightjar.dev/break-glass says who broke the glass)")
  const onOpen = (phase: unknown) =>
    interests(rulesOf(packOf({ on: ['open'], when: { 'file.name': 'shadow' }, phase }))).get('open')
  const names = new Set(['shadow'])
  expect(onOpen('startup')).toEqual([{ names, outcome: 'success', inContainer: true }])
  expect(onOpen('steady')).toEqual([{ names, outcome: 'success' }])
})
