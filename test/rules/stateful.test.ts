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
      const { judge, advance } = engineOf(rule)
      const told = [...events.flatMap(judge), ...advance(Infinity)].map(({ event }) => event)
      expect(new Set(told).size).toBe(told.length)
      const judged = events.map((event) => told.includes(event))
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

test('a negated first step: nothing of the kind came in the time before', () => {
  const { judge } = engineOf(sequence('container', step('login', { negated: true }), step('sh'), step('x')))
  const alerts = (...events: Event[]) => events.flatMap((event) => judge(event)).length
  expect(alerts(run('sh', 0), run('x', 1))).toBe(1)
  expect(alerts(run('login', 2), run('sh', 12), run('x', 13))).toBe(0)
  expect(alerts(run('sh', 12.001), run('x', 13))).toBe(1)
  // Once it has begun, it may come; and that of another container says nothing.
  expect(
    alerts({ ...run('login', 29), container: { id: 'other' } }, run('sh', 30), run('login', 31), run('x', 32)),
  ).toBe(1)
  const { judge: single } = engineOf(sequence(['process.user.id'], step('login', { negated: true }), step('sh')))
  const as = (name: string, at: number, id: number) => single(run(name, at, { user: { id } })).length
  expect([as('login', 0, 1), as('sh', 1, 1), as('sh', 2, 2), as('sh', 3, 2)]).toEqual([0, 0, 1, 1])
})

test('a negated last step: the alert comes when the time is over, about what happened, unless something came', () => {
  const { judge, advance } = engineOf(
    sequence('container', step('mount'), step('x'), step('umount', { negated: true })),
  )
  const [mount, x] = [run('mount', 0), run('x', 4)]
  expect([mount, x].flatMap((event) => judge(event))).toEqual([])
  // Until 10 s; and events of another container may come 5 s late.
  expect(judge(run('other', 15))).toEqual([])
  expect(judge(run('other', 15.001))).toMatchObject([
    { message: 'x', event: x, earlier: [mount], count: 1, firstSeen: 0, lastSeen: 4000 },
  ])
  expect([...advance(1_000_000), ...judge(run('x', 16))]).toEqual([])
  const later = (...events: [string, number][]) => [
    ...events.flatMap(([name, at]) => judge(run(name, 1000 + at))),
    ...advance(2_000_000),
  ]
  expect(later(['mount', 0], ['x', 4], ['umount', 10], ['other', 20])).toEqual([])
})

test('without any event the clock tells it, and what comes after the end of the time changes nothing', () => {
  const rule = sequence('container', step('a'), step('b', { negated: true }))
  const { judge, advance } = engineOf(rule)
  judge(run('a', 0))
  expect(judge(run('b', 10.5))).toEqual([])
  expect([advance(15_000).length, advance(15_001).length, advance(99_000).length]).toEqual([0, 1, 0])
  // A replay is told by its events alone: the same alerts.
  const replayed = engineOf(rule)
  expect([run('a', 0), run('b', 10.5), run('c', 60)].flatMap((event) => replayed.judge(event))).toHaveLength(1)
})

test('one is awaited at a time, so that what comes again and again does not put it off', () => {
  const { judge } = engineOf(sequence('container', step('a'), step('b', { negated: true })))
  const told = Array.from({ length: 40 }, (_, at) => judge(run('a', at))).flat()
  expect(told.map(({ event }) => event.time)).toEqual([0, 16_000])
})

test('what began after the end of what is told goes on', () => {
  const { judge, advance } = engineOf(sequence('container', step('a'), step('x'), step('b', { negated: true })))
  const told = [run('a', 0), run('x', 1), run('a', 10.5), run('other', 15.1), run('x', 16)].flatMap((event) =>
    judge(event),
  )
  expect([...told, ...advance(Infinity)].map(({ event }) => event.time)).toEqual([1000, 16_000])
})

test('what is awaited is bounded, and what is forgotten of it or of a negated first step is said', () => {
  const absent = engineOf(sequence(['process.pid'], step('a'), step('b', { negated: true })))
  for (let pid = 0; pid < 5_100; pid++) absent.judge(run('a', 0, { pid }))
  expect(absent.evicted).toEqual(Array.from({ length: 100 }, () => 'r: sequence'))
  expect(absent.advance(Infinity)).toHaveLength(5_000)
  const before = engineOf(sequence(['process.pid'], step('a', { negated: true }), step('b')))
  for (let pid = 0; pid < 5_100; pid++) before.judge(run('a', 0, { pid }))
  expect(before.evicted).toHaveLength(100)
  expect([5_099, 0].map((pid) => before.judge(run('b', 1, { pid })).length)).toEqual([0, 1])
})

test('an embedded test of what does not follow ends with the time over', () => {
  const tests = [
    { name: 'a alone', events: [{ process: { name: 'a' } }], alerts: 1 },
    { name: 'b follows', events: [{ process: { name: 'a' } }, { process: { name: 'b' } }], alerts: 0 },
  ]
  const rule = { ...sequence(['host.name'], step('a'), step('b', { negated: true })), tests }
  expect(prove(read(rule).ruleSet).map(({ ok }) => ok)).toEqual([true, true])
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

test('where the clock is set back a threshold goes on counting, and tells the times of the clock that is', () => {
  const threshold = { count: 3, by: ['container.id'], within: '10s' }
  const { judge } = engineOf({ ...step('sh'), threshold })
  const hours = 7200
  const told = (...ats: number[]) =>
    ats.flatMap((at) => judge(run('sh', at))).map((match) => [match.count, match.firstSeen, match.lastSeen])
  expect(told(hours, 2, 4, 9)).toEqual([[3, 2000, 4000]])
  expect(told(13, 18)).toEqual([[3, 9000, 18_000]])
  expect(told(20, 25, 31)).toEqual([])
  // Set forward and back again: what is old is forgotten.
  expect(told(hours, 40, 41, 42)).toEqual([[3, 40_000, 41_000]])
  // An event that is late is none of that.
  expect(told(50, 45.5)).toEqual([[3, 42_000, 50_000]])
})

test('where the clock is set back, what a negated first step asks for is as long ago as it was', () => {
  const { judge } = engineOf(sequence('container', step('login', { negated: true }), step('sh')))
  const alerts = (...events: Event[]) => events.flatMap((event) => judge(event)).length
  expect(alerts(run('login', 7200), run('other', 0), run('sh', 9))).toBe(0)
  expect(alerts(run('sh', 11))).toBe(1)
})

test('where the clock is set back, what is awaited is awaited for as long as it was', () => {
  const { judge, advance } = engineOf(sequence('container', step('mount'), step('umount', { negated: true })))
  const alerts = (...events: Event[]) => events.flatMap((event) => judge(event)).length
  expect(alerts(run('other', 7200), run('mount', 0), run('other', 5), run('umount', 9), run('other', 60))).toBe(0)
  expect(alerts(run('mount', 200), run('other', 40), run('other', 54.9))).toBe(0)
  expect(alerts(run('other', 55.1))).toBe(1)
  // The clock alone was ahead, as where there are few events.
  expect(advance(7_200_000)).toEqual([])
  expect(alerts(run('mount', 60), run('umount', 61))).toBe(0)
  judge(run('mount', 70))
  expect([advance(85_000).length, advance(85_001).length]).toEqual([0, 1])
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
  const negated = steps.map((one) => ({ ...one, negated: true }))
  expect(faults({ sequence: { steps: negated, by: 'container', within: '1m' } })).toEqual([
    ['$.rules[0].sequence.steps', 'negated steps alone'],
  ])
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
