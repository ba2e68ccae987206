import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { canHold } from '../../rules/dead.ts'
import { carriersOf, fieldOf } from '../../rules/fields.ts'
import { lint } from '../../rules/lint.ts'
import { readPacks } from '../../rules/pack.ts'
import { type Event, eventTypes } from '../../sensor/event.ts'
import { interpretRule } from './interpreter.ts'
import { conditionArbitrary, eventArbitrary, macros } from './vocabulary.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightjar-lint-'))
})
afterAll(() => rm(folder, { recursive: true }))

const sound = {
  id: 'r',
  name: 'R',
  description: 'd',
  false_positives: ['f'],
  on: ['exec'],
  when: { 'process.name': 'sh' },
  severity: 'low',
  message: 'm',
  tags: { mitre: ['T1059'] },
  runbook: 'b',
  tests: [
    { name: 'a shell', events: [{ process: { name: 'sh' } }], alerts: 1 },
    { name: 'no shell', events: [{ process: { name: 'ls' } }], alerts: 0 },
  ],
}

async function warnings(change: object, lists: object = {}): Promise<[string, string][]> {
  const file = join(folder, 'p.json')
  await writeFile(file, JSON.stringify({ pack: 'p', version: '1', lists, rules: [{ ...sound, ...change }] }))
  const findings = await lint([file])
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
  return findings.map(({ path, found }) => [path, found])
}

test('the rule that these tests change is sound', async () => {
  expect(await warnings({})).toEqual([])
})

test('a condition that contradicts itself is named', async () => {
  const dead = [
    { all: [{ 'process.name': 'sh' }, { 'process.name': { in: ['bash', 'dash'] } }] },
    { 'process.name': 'sh', all: [{ all: [{ 'process.pid': 1 }, { 'process.name': 'bash' }] }] },
    { 'process.pid': { gt: 5, lt: 5 } },
    { 'process.pid': { gte: 6, lte: 5 } },
    { 'process.name': { exists: false, startsWith: 'x' } },
    { 'process.name': { in: ['sh', 'bash'], startsWith: 'd' } },
    { 'process.pid': 5, all: [{ 'process.pid': { gt: 9 } }] },
    { 'process.name': 'sh', not: { any: [{ 'process.pid': 1 }, { 'process.name': { in: ['sh', 'bash'] } }] } },
    { 'event.type': 'connect' },
    { not: { 'event.type': 'exec' } },
  ]
  for (const when of dead) {
    const [[path, found] = ['', ''], ...more] = await warnings({ when })
    expect([path, more], JSON.stringify(when)).toEqual(['$.rules[0].when', []])
    expect(found).toContain('a condition of rule r that no event meets')
  }
})

test('what could hold is not called dead', async () => {
  const alive = [
    { all: [{ 'process.command_args': '-c' }, { 'process.command_args': '-e' }] },
    { all: [{ 'process.ancestors.name': 'nginx' }, { 'process.ancestors.name': 'sshd' }] },
    { 'process.pid': { gte: 5, lte: 5 } },
    { all: [{ 'process.name': { in: ['sh', 'bash'] } }, { 'process.name': { in: ['bash', 'dash'] } }] },
    { 'process.name': 'sh', not: { 'process.name': 'bash' } },
    { 'process.name': 'python3', all: [{ 'process.name': { regex: '^python' } }] },
    { not: { any: [{ 'process.name': 'sh' }, { 'process.name': 'bash' }] } },
  ]
  for (const when of alive) expect(await warnings({ when }), JSON.stringify(when)).toEqual([])
})

test('of alternatives the dead one is named, and a type of event that never meets the condition', async () => {
  const when = { any: [{ 'process.name': 'sh' }, { 'event.type': 'exec', 'destination.port': 22 }] }
  expect(await warnings({ on: ['exec', 'connect'], when })).toEqual([
    [
      '$.rules[0].when',
      'an alternative in rule r that no event meets: all of these:   event.type is "exec"   destination.port is 22',
    ],
  ])
  expect(await warnings({ on: ['exec', 'connect'], when: { 'destination.port': 22 } })).toEqual([
    ['$.rules[0].when', 'events of type exec in rule r, none of which meets its condition'],
  ])
})

test('a list without values makes a condition dead, but not an exception: other packs may add to it', async () => {
  const lists = { agents: [] }
  const when = { 'process.name': { in: '@agents' } }
  expect(await warnings({ when }, lists)).toHaveLength(1)
  expect(await warnings({ unless: [{ when, reason: 'x' }] }, lists)).toEqual([])
  const unless = [{ when: { 'process.pid': { gt: 5, lt: 2 } }, reason: 'x' }]
  expect(await warnings({ unless })).toMatchObject([
    ['$.rules[0].unless[0].when', expect.stringContaining('an exception')],
  ])
})

test('an exception for what the rule never matches is named', async () => {
  const excepting = (when: object) => warnings({ when: { 'process.name': 'sh' }, unless: [{ when, reason: 'x' }] })
  expect(await excepting({ 'process.name': 'cron' })).toEqual([
    ['$.rules[0].unless[0].when', 'an exception of rule r for what the rule never matches: process.name is "cron"'],
  ])
  expect(await excepting({ 'process.parent.name': 'cron' })).toEqual([])
})

test('a dead step of a sequence is named', async () => {
  const steps = [
    { on: ['exec'], when: { 'process.pid': { gt: 2, lt: 1 } } },
    { on: ['exec'], when: { 'process.name': 'sh' } },
  ]
  const { on: _, when: __, ...rest } = sound
  const rule = { ...rest, on: undefined, when: undefined, sequence: { steps, by: 'container', within: '1m' } }
  expect(await warnings(rule)).toMatchObject([['$.rules[0].sequence', expect.stringContaining('that no event meets')]])
})

test('a rule that searches every command line is reported with its cost, one with a constant beside it is not', async () => {
  const search = { 'process.command_line': { regex: 'passw(or)?d' } }
  expect(await warnings({ when: search })).toEqual([
    ['$.rules[0]', 'rule r, which searches process.command_line of every exec event'],
  ])
  expect(await warnings({ when: { ...search, 'process.name': 'curl' } })).toEqual([])
  expect(await warnings({ when: { 'process.name': { regex: '^c' }, ...search } })).toEqual([])
})

/** Without what events of its type never carry. */
const asCarried = (event: Event): Event =>
  Object.fromEntries(Object.entries(event).filter(([key]) => carriersOf(key).includes(event.type))) as Event

test('what is called dead never holds, whatever the event', () => {
  let dead = 0
  const doubled = fc.tuple(conditionArbitrary, conditionArbitrary).map(([one, other]) => ({ all: [one, other] }))
  fc.assert(
    fc.property(doubled, fc.array(eventArbitrary, { minLength: 5, maxLength: 5 }), (when, events) => {
      const rule = { ...sound, on: [...eventTypes], when, tests: [] }
      const { ruleSet } = readPacks([{ file: 'f', value: { pack: 'p', version: '1', macros, rules: [rule] } }])
      const condition = ruleSet.rules[0]?.when
      if (condition === undefined) throw new Error('no rule')
      const names = { multiple: (name: string) => fieldOf(name)?.multiple ?? false, macros }
      for (const event of events.map(asCarried)) {
        if (canHold(condition, event.type)) continue
        dead++
        expect(interpretRule({ on: rule.on, when }, [event], names)).toEqual([false])
      }
    }),
    { numRuns: 4000 },
  )
  expect(dead).toBeGreaterThan(50)
})
