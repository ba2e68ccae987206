import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { fieldOf } from '../../rules/fields.ts'
import { readPacks } from '../../rules/pack.ts'
import { prove } from '../../rules/prove.ts'
import type { Event } from '../../sensor/event.ts'
import { interpretRule } from './interpreter.ts'
import { macros, statefulArbitrary, streamArbitrary } from './vocabulary.ts'

const base = { id: 'r', name: 'R', severity: 'low', message: '{process.name}' }
const read = (rule: object) =>
  readPacks([{ file: 'p.json', value: { pack: 'p', version: '1', rules: [{ ...base, ...rule }] } }])
const faults = (rule: object) =>
  read(rule).problems.map(({ path, found, suggestion }) => (suggestion ? [path, found, suggestion] : [path, found]))

function engineOf(rule: object) {
  const { ruleSet, problems } = read(rule)
  expect(problems).toEqual([])
  const evicted: string[] = []
  const suppressed: string[] = []
  const engine = createEngine(ruleSet, {
    onError: (_, error) => {
      throw error
    },
    onSuppressed: (_, reason) => suppressed.push(reason),
    onEvicted: (id, what) => evicted.push(`${id}: ${what}`),
  })
  return { ...engine, evicted, suppressed }
}

const second = 1000
const run = (name: string, at: number, more: object = {}): Event => ({
  type: 'exec',
  time: at * second,
  process: { name, ...more },
  container: { id: 'c' },
})
const step = (name: string, more: object = {}) => ({ on: ['exec'], when: { 'process.name': name }, ...more })
const sequence = (by: unknown, ...steps: object[]) => ({ sequence: { steps, by, within: '10s' } })

test('an engine with state says what the naive reading of the rule says, whatever the rule and the events', () => {
  const names = { multiple: (name: string) => fieldOf(name)?.multiple ?? false, macros }
  let [alerts, silent] = [0, 0]
  fc.assert(
    fc.property(statefulArbitrary, streamArbitrary, (rule, events) => {
      const { judge } = engineOf(rule)
      const judged = events.map((event) => judge(event).length === 1)
      expect(judged).toEqual(interpretRule(rule, events, names))
      alerts += judged.filter(Boolean).length
      silent += judged.filter((one) => !one).length
    }),
    { numRuns: 3000 },
  )
  // Otherwise it would prove little.
  expect(alerts).toBeGreaterThan(500)
  expect(silent).toBeGreaterThan(1000)
})

test('a sequence alerts on its last step, and knows the events of the steps before', () => {
  const { judge } = engineOf(sequence('container', step('curl'), step('chmod'), step('x')))
  const [fetch, mark, go] = [run('curl', 0), run('chmod', 3), run('x', 10)]
  expect([fetch, run('x', 1), mark].flatMap((event) => judge(event))).toEqual([])
  expect(judge(go)).toMatchObject([
    { message: 'x', event: go, earlier: [fetch, mark], count: 1, firstSeen: 0, lastSeen: 10_000 },
  ])
  // What has been told is not told again.
  expect(judge(run('x', 10))).toEqual([])
})

test('it has to be over in time, and in one container', () => {
  const rule = sequence('container', step('curl'), step('x'))
  const { judge } = engineOf(rule)
  judge(run('curl', 0))
  expect(judge(run('x', 10.001))).toEqual([])
  judge(run('curl', 20))
  expect(judge({ ...run('x', 21), container: { id: 'other' } })).toEqual([])
  expect(judge({ type: 'exec', time: 21 * second, process: { name: 'x' } })).toEqual([])
  expect(judge(run('x', 22))).toHaveLength(1)
})

test('a first step that comes late from another processor does not put the younger one out of mind', () => {
  const { judge } = engineOf(sequence('container', step('curl'), step('x')))
  for (const at of [5, 4.9]) judge(run('curl', at))
  expect(judge(run('x', 15))).toMatchObject([{ firstSeen: 5000 }])
})

test('a negated step breaks the sequence when it comes between the two around it, and only then', () => {
  const { judge } = engineOf(sequence(['container.id'], step('login'), step('logout', { negated: true }), step('x')))
  const alerts = (...names: string[]) => names.flatMap((name, index) => judge(run(name, index))).length
  expect(alerts('login', 'x')).toBe(1)
  expect(alerts('login', 'logout', 'x')).toBe(0)
  expect(alerts('logout', 'login', 'x', 'logout')).toBe(1)
  expect(alerts('login', 'logout', 'login', 'x')).toBe(1)
})

test('a tree of processes: the commands of one script belong together, those of another do not', () => {
  const { judge } = engineOf(sequence('process_tree', step('curl'), step('x')))
  const shell = (pid: number) => ({ pid, start_time: pid })
  const child = (pid: number, ...ancestors: object[]) => ({ pid, start_time: pid, ancestors })
  const systemd = { pid: 1, start_time: 0 }
  judge(run('curl', 0, child(101, shell(100), systemd)))
  expect(judge(run('x', 1, child(201, shell(200), systemd)))).toEqual([])
  expect(judge(run('x', 1, child(100, systemd)))).toHaveLength(1)
  judge(run('curl', 2, child(102, shell(100), systemd)))
  expect(judge(run('x', 3, child(104, shell(103), shell(100), systemd)))).toHaveLength(1)
  // Two services have systemd in common, and that is nothing.
  judge(run('curl', 4, child(300, systemd)))
  expect(judge(run('x', 5, child(301, systemd)))).toEqual([])
  expect(judge(run('x', 5, child(302, shell(300), systemd)))).toHaveLength(1)
  // A process id that is used again is another process.
  judge(run('curl', 6, child(401, shell(400))))
  expect(judge(run('x', 7, child(402, { pid: 400, start_time: 9 })))).toEqual([])
})

test('an exception is asked about the event that would complete the sequence', () => {
  const unless = [{ when: { 'process.user.id': 7 }, reason: 'ours' }]
  const { judge, suppressed } = engineOf({ ...sequence('container', step('curl'), step('x')), unless })
  judge(run('curl', 0, { user: { id: 7 } }))
  expect(judge(run('x', 1, { user: { id: 7 } }))).toEqual([])
  expect(suppressed).toEqual(['exception'])
  expect(judge(run('x', 2))).toHaveLength(1)
})

test('a threshold alerts when so many matches have come together, and then counts anew', () => {
  const threshold = { count: 3, by: ['container.id'], within: '10s' }
  const { judge } = engineOf({ ...step('sh'), threshold })
  const counts = [0, 1, 2, 3, 4, 5].map((at) =>
    judge(run('sh', at)).map((match) => [match.count, match.firstSeen, match.lastSeen]),
  )
  expect(counts).toEqual([[], [], [[3, 0, 2000]], [], [], [[3, 3000, 5000]]])
  judge(run('sh', 20))
  judge(run('sh', 25))
  expect(judge(run('sh', 30.5))).toEqual([])
  expect(judge({ ...run('sh', 31), container: { id: 'other' } })).toEqual([])
  expect(judge(run('sh', 34))).toHaveLength(1)
})

test('a threshold of distinct values: a scan of ports, and not one port again and again', () => {
  const rule = {
    on: ['connect'],
    when: { 'destination.port': { exists: true } },
    threshold: { count: 4, distinct: 'destination.port', by: ['process.pid', 'destination.ip'], within: '1m' },
  }
  const connect = (port: number | undefined, at: number): Event => ({
    type: 'connect',
    time: at * second,
    process: { pid: 5 },
    destination: { ip: '192.0.2.1', ...(port !== undefined && { port }) },
  })
  const { judge } = engineOf(rule)
  expect([80, 80, 80, 443, 80, 22, 80, undefined].flatMap((port, at) => judge(connect(port, at)))).toEqual([])
  expect(judge(connect(23, 9))).toMatchObject([{ count: 4 }])
})

test('groupBy folds on top: ten times the threshold in a burst is one alert, and later one more with the count', () => {
  const threshold = { count: 5, by: [], within: '10s' }
  const { judge } = engineOf({ ...step('sh'), threshold, groupBy: ['container.id'], window: '1h' })
  const told = Array.from({ length: 100 }, (_, at) => judge(run('sh', at))).flat()
  expect(told.map(({ count }) => count)).toEqual([5, 65])
})

test('memory is bounded: what is forgotten while it might still have counted is said, what is over is not', () => {
  const { judge, evicted } = engineOf({ ...step('sh'), threshold: { count: 2, by: ['process.pid'], within: '10s' } })
  for (let pid = 0; pid < 50_100; pid++) judge(run('sh', 0, { pid }))
  expect(evicted).toEqual(Array.from({ length: 100 }, () => 'r: threshold'))
  expect(judge(run('sh', 1, { pid: 0 }))).toEqual([])
  expect(judge(run('sh', 1, { pid: 50_099 }))).toHaveLength(1)
  const length = evicted.length
  for (let pid = 100_000; pid < 150_000; pid++) judge(run('sh', 60, { pid }))
  expect(evicted).toHaveLength(length)

  const followed = engineOf(sequence(['process.pid'], step('a'), step('b')))
  for (let pid = 0; pid < 2600; pid++) followed.judge(run('a', 0, { pid }))
  expect(followed.evicted).toEqual(Array.from({ length: 100 }, () => 'r: sequence'))
  expect(followed.judge(run('b', 1, { pid: 0 }))).toEqual([])
  expect(followed.judge(run('b', 1, { pid: 2599 }))).toHaveLength(1)
})

test('memory is bounded by what is remembered, not by the keys alone', () => {
  const { judge, evicted } = engineOf({ ...step('sh'), threshold: { count: 1000, by: ['process.pid'], within: '10s' } })
  for (let pid = 0; pid < 60; pid++) for (let again = 0; again < 999; again++) judge(run('sh', 0, { pid }))
  expect(evicted).toHaveLength(10)
  expect(judge(run('sh', 1, { pid: 0 }))).toEqual([])
  expect(judge(run('sh', 1, { pid: 59 }))).toHaveLength(1)
})

test('a rule asks for the events of all its steps, the negated ones too', () => {
  const { eventTypes } = engineOf(
    sequence('container', step('a'), { on: ['exit'], when: { 'process.exit_code': 0 }, negated: true }, step('b')),
  )
  expect(eventTypes).toEqual(new Set(['exec', 'exit']))
})

test('embedded tests prove a sequence', () => {
  const tests = [
    { name: 'both', events: [{ process: { name: 'a' } }, { process: { name: 'b' } }], alerts: 1 },
    { name: 'the other way round', events: [{ process: { name: 'b' } }, { process: { name: 'a' } }], alerts: 0 },
  ]
  expect(prove(read({ ...sequence('container', step('a'), step('b')), tests }).ruleSet).map(({ ok }) => ok)).toEqual([
    true,
    true,
  ])
})

test('what is wrong with a sequence or a threshold is said at its place', () => {
  const steps = [step('a'), step('b')]
  expect(faults({ sequence: { steps, by: 'containr', within: '1m' } })).toEqual([
    ['$.rules[0].sequence.by', '"containr"', 'container'],
  ])
  expect(faults({ sequence: { steps, by: ['container.di'], within: '1m' } })[0]?.[0]).toBe('$.rules[0].sequence.by[0]')
  expect(faults({ sequence: { steps: [step('a')], by: 'container', within: '1m' } })).toEqual([
    ['$.rules[0].sequence.steps', 'an array of 1'],
  ])
  expect(
    faults({ sequence: { steps: [...steps, step('c', { negated: true })], by: 'container', within: '1m' } }),
  ).toEqual([['$.rules[0].sequence.steps[2].negated', 'a last step that is negated']])
  expect(faults({ sequence: { steps, by: 'container', within: '0s' } })).toHaveLength(1)
  expect(faults({ ...step('a'), ...sequence('container', ...steps) }).map(([path]) => path)).toEqual([
    '$.rules[0].on',
    '$.rules[0].when',
  ])
  expect(faults({})).toEqual([
    ['$.rules[0]', 'no "on"'],
    ['$.rules[0]', 'no "when"'],
  ])
  const threshold = { count: 3, by: [], within: '1m' }
  expect(faults({ ...step('a'), threshold: { ...threshold, count: 1 } })[0]?.[0]).toBe('$.rules[0].threshold.count')
  expect(faults({ ...step('a'), threshold: { ...threshold, distinct: 'process.nam' } })).toEqual([
    ['$.rules[0].threshold.distinct', 'the unknown field "process.nam"', 'process.name'],
  ])
  // The message speaks of the last step.
  const mixed = sequence('container', { on: ['connect'], when: { 'destination.port': 22 } }, step('b'))
  expect(faults({ ...mixed, message: '{destination.port}' })[0]?.[0]).toBe('$.rules[0].message')
})
