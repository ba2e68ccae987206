import { expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { readPacks } from '../../rules/pack.ts'
import type { RuleSet } from '../../rules/rule.ts'
import type { Event } from '../../sensor/event.ts'

const base = { name: 'R', on: ['exec'], when: { 'process.name': 'sh' }, severity: 'low', message: '{process.name} ran' }

function ruleSet(...rules: object[]): RuleSet {
  const value = {
    pack: 'p',
    version: '2.1',
    rules: rules.map((rule, index) => ({ id: `r${index}`, ...base, ...rule })),
  }
  const read = readPacks([{ file: 'p.json', value }])
  expect(read.problems).toEqual([])
  return read.ruleSet
}

function engineOf(...rules: object[]) {
  const errors: string[] = []
  const suppressed: string[] = []
  const engine = createEngine(ruleSet(...rules), {
    onError: (id, error) => errors.push(`${id}: ${error}`),
    onSuppressed: (id, reason) => suppressed.push(`${id}: ${reason}`),
  })
  return { engine, errors, suppressed }
}

const exec = (name: string, time = 1000): Event => ({ type: 'exec', time, process: { name } })

test('a match names its rule and pack, the event, the message, and stands for one', () => {
  const { engine } = engineOf({})
  const event = exec('sh')
  expect(engine.judge(event)).toMatchObject([
    { rule: { id: 'r0', pack: 'p', version: '2.1' }, message: 'sh ran', count: 1, firstSeen: 1000, lastSeen: 1000 },
  ])
  expect(engine.judge(event)[0]?.event).toBe(event)
  expect(engine.judge(exec('bash'))).toEqual([])
})

test('only rules on the type of the event are asked', () => {
  const { engine } = engineOf({}, { on: ['stdio', 'exec'] }, { on: ['exit'], when: { 'event.type': 'exit' } })
  expect(engine.eventTypes).toEqual(new Set(['exec', 'stdio', 'exit']))
  expect(engine.judge(exec('sh')).map(({ rule }) => rule.id)).toEqual(['r0', 'r1'])
  expect(engine.evaluations()).toBe(2)
  expect(engine.judge({ type: 'connect', time: 0 })).toEqual([])
  expect(engine.evaluations()).toBe(2)
})

test('a rule that is not enabled is listed, but neither asked nor a reason to send events', () => {
  const { engine } = engineOf({ enabled: false })
  expect(engine.rules).toHaveLength(1)
  expect(engine.eventTypes.size).toBe(0)
  expect(engine.judge(exec('sh'))).toEqual([])
})

test('an exception keeps the match from being an alert, and says so', () => {
  const unless = [{ when: { 'process.parent.name': 'cron' }, reason: 'jobs' }]
  const { engine, suppressed } = engineOf({ unless })
  expect(engine.judge({ ...exec('sh'), process: { name: 'sh', ancestors: [{ name: 'cron' }] } })).toEqual([])
  expect(suppressed).toEqual(['r0: exception'])
  expect(engine.judge(exec('sh'))).toHaveLength(1)
})

test('repeats are folded by the values of the groups; every match is an alert or counted as suppressed', () => {
  const { engine, suppressed } = engineOf({ groupBy: ['process.name', 'container.id'], window: '10m' })
  const counts = Array.from({ length: 25 }, (_, index) => engine.judge(exec('sh', index * 10_000))).flat()
  expect(counts.map(({ count, firstSeen, lastSeen }) => [count, firstSeen, lastSeen])).toEqual([
    [1, 0, 0],
    [10, 0, 90_000],
  ])
  expect(suppressed).toHaveLength(23)
  expect(engine.judge({ ...exec('sh', 250_000), container: { id: 'c' } })).toHaveLength(1)
  expect(engine.judge(exec('sh', 600_000))).toMatchObject([{ count: 1, firstSeen: 600_000 }])
})

test('groups with values that look alike are kept apart', () => {
  const { engine } = engineOf({
    groupBy: ['process.name', 'process.working_directory'],
    window: '1m',
    when: { 'process.name': { exists: true } },
  })
  const judged = [
    { name: 'a b' },
    { name: 'a', working_directory: 'b' },
    { name: 'a' },
    { name: 'a', working_directory: '' },
  ]
  expect(judged.flatMap((process) => engine.judge({ type: 'exec', time: 0, process }))).toHaveLength(4)
})

test('two rules do not fold each other, nor do two engines', () => {
  const grouped = { groupBy: ['process.name'], window: '1m' }
  const { engine } = engineOf(grouped, grouped)
  expect(engine.judge(exec('sh'))).toHaveLength(2)
  expect(engine.judge(exec('sh'))).toHaveLength(0)
  expect(engineOf(grouped).engine.judge(exec('sh'))).toHaveLength(1)
})

test('a rule that throws is disabled and reported once, and the others go on', () => {
  const { engine, errors } = engineOf(
    { when: { 'container.id': 'x' } },
    {},
    { when: { 'container.id': 'y' }, on: ['exec', 'exit'] },
  )
  const broken: Event = Object.defineProperty(exec('sh'), 'container', {
    enumerable: true,
    get: () => {
      throw new Error('out of order')
    },
  })
  expect(engine.judge(broken).map(({ rule }) => rule.id)).toEqual(['r1'])
  expect(engine.judge(broken).map(({ rule }) => rule.id)).toEqual(['r1'])
  expect(errors).toEqual(['r0: Error: out of order', 'r2: Error: out of order'])
  expect(engine.judge({ ...exec('sh'), container: { id: 'x' } }).map(({ rule }) => rule.id)).toEqual(['r1'])
  const asked = engine.evaluations()
  expect(engine.judge({ type: 'exit', time: 0, container: { id: 'y' } })).toEqual([])
  expect(engine.evaluations()).toBe(asked)
})

test('the same events give the same alerts again: a replay is the live run', () => {
  const events = Array.from({ length: 300 }, (_, index) => exec(index % 3 === 0 ? 'sh' : 'bash', index * 777))
  const run = () => {
    const { engine } = engineOf({ groupBy: ['process.name'], window: '30s' }, { when: { 'process.name': 'bash' } })
    return events
      .flatMap((event) => engine.judge(event))
      .map(({ rule, count, firstSeen, lastSeen }) => [rule.id, count, firstSeen, lastSeen])
  }
  expect(run()).toEqual(run())
})
