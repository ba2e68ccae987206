import { expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { readPacks } from '../../rules/pack.ts'
import type { Event } from '../../sensor/event.ts'

const rule = { id: 'r', name: 'R', on: ['exec'], when: { macro: 'shell' }, severity: 'low', message: 'm' }
const packOf = (members: object) => ({ file: 'p.json', value: { pack: 'p', version: '1', rules: [rule], ...members } })
const faults = (...members: object[]) =>
  readPacks(members.map(packOf)).problems.map(({ path, found, suggestion }) => [path, found, suggestion])

const exec = (name: string): Event => ({ type: 'exec', time: 0, process: { name } })
const matching = (members: object, ...names: string[]) => {
  const { ruleSet, problems } = readPacks([packOf(members)])
  expect(problems).toEqual([])
  const { judge } = createEngine(ruleSet, { onError: () => undefined, onSuppressed: () => undefined })
  return names.filter((name) => judge(exec(name)).length > 0)
}

test('a macro is the condition it names, alone or beside other members', () => {
  const macros = { shell: { 'process.name': { in: '@shells' } }, busy: { 'process.pid': { exists: true } } }
  const lists = { shells: ['sh', 'bash'] }
  expect(matching({ macros: { shell: macros.shell }, lists }, 'sh', 'bash', 'ls')).toEqual(['sh', 'bash'])
  const both = { ...rule, when: { macro: 'shell', not: { 'process.name': 'bash' } } }
  expect(matching({ macros: { shell: macros.shell }, lists, rules: [both] }, 'sh', 'bash')).toEqual(['sh'])
  const { remarks } = readPacks([packOf({ macros, lists })]).ruleSet
  expect(remarks).toMatchObject([{ path: '$.macros.busy', found: 'the macro busy, which no rule uses' }])
})

test('macros use macros, but not in a circle', () => {
  const macros = { shell: { any: [{ macro: 'plain' }, { 'process.name': 'bash' }] }, plain: { 'process.name': 'sh' } }
  expect(matching({ macros }, 'sh', 'bash', 'ls')).toEqual(['sh', 'bash'])
  const circle = { shell: { macro: 'plain' }, plain: { not: { macro: 'shell' } } }
  expect(faults({ macros: circle })).toEqual([
    ['$.macros.plain.not.macro', 'a macro that leads back to itself: p/shell > p/plain > p/shell', undefined],
    ['$.macros.shell.macro', 'the macro p/plain, which has a fault', undefined],
    ['$.rules[0].when.macro', 'the macro p/shell, which has a fault', undefined],
  ])
  expect(faults({ macros: { shell: { macro: 'shell' } } })).toHaveLength(2)
})

test('an unknown macro is an error, with the one that was meant', () => {
  expect(faults({ macros: { shells: { 'process.name': 'sh' } } })).toEqual([
    ['$.rules[0].when.macro', 'the unknown macro "shell"', 'shells'],
  ])
  expect(faults({})).toEqual([['$.rules[0].when.macro', 'the unknown macro "shell"', undefined]])
  expect(faults({ rules: [{ ...rule, when: { macro: 7 } }] })).toEqual([['$.rules[0].when.macro', '7', undefined]])
  expect(faults({ macros: { shell: {} } })).toHaveLength(2)
  expect(
    faults({ macros: { constructor: { 'process.name': 'sh' } }, rules: [{ ...rule, when: { macro: 'toString' } }] }),
  ).toHaveLength(1)
})

test('a macro about fields that the events of the rule never carry is refused where it is used', () => {
  const macros = { shell: { 'destination.port': 22 } }
  expect(faults({ macros })).toEqual([
    [
      '$.rules[0].when.macro',
      'the macro shell, which asks for destination.port: events of type exec never carry it',
      undefined,
    ],
  ])
  expect(faults({ macros, rules: [{ ...rule, on: ['connect'] }] })).toEqual([])
})

test('the macros and lists of another pack go by its name', () => {
  const shipped = { macros: { shell: { 'process.name': { in: '@shells' } } }, lists: { shells: ['sh'] } }
  const mine = { pack: 'mine', rules: [{ ...rule, id: 's', when: { macro: 'p/shell' } }] }
  expect(faults(shipped, mine)).toEqual([])
  expect(
    faults(shipped, { ...mine, rules: [{ ...rule, id: 's', when: { 'process.name': { in: '@p/shells' } } }] }),
  ).toEqual([])
  expect(faults(shipped, { ...mine, rules: [{ ...rule, id: 's', when: { macro: 'p/shel' } }] })).toEqual([
    ['$.rules[0].when.macro', 'the unknown macro "p/shel"', 'p/shell'],
  ])
  expect(readPacks([packOf(mine)]).absent).toEqual(['p'])
})

test('macros that double one another are refused, not expanded', () => {
  const doubling = Array.from({ length: 15 }, (_, at) => [
    `m${at}`,
    { all: [{ macro: `m${at + 1}` }, { macro: `m${at + 1}` }] },
  ])
  const macros = { ...Object.fromEntries(doubling), m15: { 'process.name': 'sh' } }
  expect(faults({ macros, rules: [{ ...rule, when: { macro: 'm0' } }] })).toContainEqual([
    '$.macros.m1',
    'more than 10000 tests',
    undefined,
  ])
  const chain = Array.from({ length: 30 }, (_, at) => [`m${at}`, { macro: `m${at + 1}` }])
  expect(faults({ macros: { ...Object.fromEntries(chain), m30: { 'process.name': 'sh' } } })).toContainEqual([
    '$.macros.m15.macro',
    'macros 17 deep',
    undefined,
  ])
})
