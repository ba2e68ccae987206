import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cluesOf, commonness } from '../../rules/clues.ts'
import { createEngine } from '../../rules/engine.ts'
import { fieldOf } from '../../rules/fields.ts'
import { readPacks } from '../../rules/pack.ts'
import { type Event, type EventType, eventTypes } from '../../sensor/event.ts'
import { interpretRule } from './interpreter.ts'
import { conditionArbitrary, eventArbitrary, macros } from './vocabulary.ts'

const names = { multiple: (name: string) => fieldOf(name)?.multiple ?? false, macros }
const base = { name: 'R', on: [...eventTypes], severity: 'low', message: 'm' }

function read(...conditions: object[]) {
  const rules = conditions.map((when, index) => ({ ...base, id: `r${index}`, when }))
  const { ruleSet, problems } = readPacks([{ file: 'f', value: { pack: 'p', version: '1', macros, rules } }])
  expect(problems).toEqual([])
  return ruleSet
}

const cluesFor = (when: object, type: EventType, ...others: object[]) => {
  const conditions = read(when, ...others).rules.map((rule) => rule.when)
  const [condition] = conditions
  if (condition === undefined) throw new Error('no rule')
  const clues = cluesOf(condition, type, commonness(conditions))
  return typeof clues === 'string' ? clues : clues.map(({ field, how, constant }) => `${field.name} ${how} ${constant}`)
}

test('the engine finds every rule that the naive reading finds, in their order, whatever the rules and the events', () => {
  let matches = 0
  let asked = 0
  let judged = 0
  const conditions = fc.array(conditionArbitrary, { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(conditions, fc.array(eventArbitrary, { minLength: 1, maxLength: 8 }), (whens, events) => {
      const engine = createEngine(read(...whens), {
        onError: (_, error) => {
          throw error
        },
        onSuppressed: () => undefined,
      })
      const found = events.map((event) => engine.judge(event).map(({ rule }) => rule.id))
      const verdicts = whens.map((when) => interpretRule({ on: base.on, when }, events, names))
      const expected = events.map((_, at) => whens.flatMap((_, index) => (verdicts[index]?.[at] ? [`r${index}`] : [])))
      expect(found).toEqual(expected)
      matches += found.flat().length
      asked += engine.evaluations()
      judged += whens.length * events.length
    }),
    { numRuns: 1500 },
  )
  // Otherwise it would prove little.
  expect(matches).toBeGreaterThan(2000)
  expect(asked).toBeLessThan(judged)
})

test('clues come from the constants that must be there', () => {
  expect(cluesFor({ 'process.name': { in: ['sh', 'bash'] }, 'process.pid': { gt: 1 } }, 'exec')).toEqual([
    'process.name is sh',
    'process.name is bash',
  ])
  expect(cluesFor({ 'process.executable.path': { glob: ['/opt/*', '/srv/x'] } }, 'exec')).toEqual([
    'process.executable.path begins /opt/',
    'process.executable.path begins /srv/x',
  ])
  expect(cluesFor({ 'process.name': { endsWith: '.sh' } }, 'exec')).toEqual(['process.name ends .sh'])
  expect(cluesFor({ any: [{ 'process.name': 'sh' }, { 'destination.port': 22 }] }, 'connect')).toEqual([
    'process.name is sh',
    'destination.port is 22',
  ])
  expect(cluesFor({ 'destination.ip': '::ffff:10.0.0.1' }, 'connect')).toEqual(['destination.ip is 10.0.0.1'])
})

test('where one part of a choice has no constant, the whole has none', () => {
  expect(cluesFor({ any: [{ 'process.name': 'sh' }, { 'process.name': { regex: 'x' } }] }, 'exec')).toBe('unknown')
  expect(cluesFor({ not: { 'process.name': 'sh' } }, 'exec')).toBe('unknown')
  expect(cluesFor({ 'process.name': { startsWith: '' } }, 'exec')).toBe('unknown')
  expect(cluesFor({ 'process.name': { glob: '*sh' } }, 'exec')).toBe('unknown')
})

test('what is said of the type of the event is known beforehand', () => {
  const when = {
    any: [
      { 'event.type': 'exec', 'process.name': 'sh' },
      { type: 'exit', 'process.exit_code': 137 },
    ],
  }
  expect(cluesFor(when, 'exec')).toEqual(['process.name is sh'])
  expect(cluesFor(when, 'exit')).toEqual(['process.exit_code is 137'])
  expect(cluesFor(when, 'connect')).toBe('never')
  expect(cluesFor({ not: { type: 'exec' } }, 'exit')).toBe('always')
})

test('of several constants that must be there, the one that fewest rules ask for is the clue', () => {
  const common = { 'process.stdin.type': 'socket' }
  expect(cluesFor({ ...common, 'process.name': { in: ['a', 'b'] } }, 'exec', common, common, common)).toEqual([
    'process.name is a',
    'process.name is b',
  ])
})

test('an event is judged by the rules that it concerns, of a thousand', () => {
  const whens = Array.from({ length: 1000 }, (_, n) => ({
    'process.name': `tool${n}`,
    'container.id': { exists: true },
  }))
  const engine = createEngine(read(...whens), { onError: () => undefined, onSuppressed: () => undefined })
  const event: Event = { type: 'exec', time: 0, process: { name: 'tool77' }, container: { id: 'c' } }
  expect(engine.judge(event).map(({ rule }) => rule.id)).toEqual(['r77'])
  expect(engine.evaluations()).toBe(1)
})
