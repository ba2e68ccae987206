import { expect, test } from 'vitest'
import { program } from '../../bpf/program.ts'
import { explain } from '../../rules/explain.ts'
import { interests } from '../../rules/interests.ts'
import { inJson, sentForRule } from '../../rules/kernel.ts'
import { lintRule } from '../../rules/lint.ts'
import { readPacks } from '../../rules/pack.ts'
import type { Rule } from '../../rules/rule.ts'
import { eventTypes } from '../../sensor/event.ts'

function ruleOf(on: readonly string[], when: object): Rule {
  const raw = { id: 'r', name: 'R', on, when, severity: 'low', message: 'm' }
  const { ruleSet, problems } = readPacks([{ file: 'f', value: { pack: 'p', version: '1', rules: [raw] } }])
  expect(problems).toEqual([])
  const [rule] = ruleSet.rules
  if (rule === undefined) throw new Error('no rule')
  return rule
}
const inContainer = { 'container.id': { exists: true } }
const said = (when: object, on = ['open']) => sentForRule(ruleOf(on, when)).map(({ words, cost }) => [words, cost])

test('opens of files by name, by directory, below one, that change, in containers: said as the kernel tells them', () => {
  const shadow = { 'file.name': { in: ['shadow', 'gshadow'] } }
  expect(said({ ...shadow, ...inContainer })).toEqual([
    [['opens of files named shadow, gshadow; in containers only'], 'look-up'],
  ])
  expect(said({ 'file.directory': '/etc/pam.d', 'file.access': 'write' })).toEqual([
    [['opens that change files in a directory named pam.d'], 'look-up'],
  ])
  expect(said({ any: [shadow, { 'file.path': { startsWith: '/root/.ssh/' } }] })).toEqual([
    [['opens of files named shadow, gshadow', 'opens of files below a directory named .ssh'], 'look-up'],
  ])
  expect(said({ 'file.requested_path': '/etc/shadow', 'error.code': 'EACCES' })).toEqual([
    [['opens of /etc/shadow that fail'], 'failures'],
  ])
})

test('where the kernel can not tell by a name, it is every open, and lint says so with what that costs', () => {
  const search = { 'file.path': { contains: 'secret' } }
  const warned = (when: object) =>
    lintRule(ruleOf(['open'], when), 0)
      .map(({ found }) => found)
      .filter((found) => found.includes('kernel sends'))
  expect(said(search)).toEqual([[['every open'], 'every open']])
  expect(warned(search)).toEqual([
    'rule r, for which the kernel sends every open: an event for each of these opens: open and close take about 5 times as long',
  ])
  expect(warned({ ...search, ...inContainer })).toHaveLength(1)
  expect(warned({ any: [search, { 'file.name': 'shadow' }] })).toHaveLength(1)
  for (const narrow of [{ 'file.name': 'shadow' }, { 'file.access': 'write' }, { 'error.code': 'EACCES' }]) {
    expect(warned({ ...search, ...narrow })).toEqual([])
  }
})

test('other families: whose process it is can be told of some, and nothing of the rest', () => {
  expect(said({ 'file.setuid': true, ...inContainer }, ['chmod'])).toEqual([
    [['every chmod event; in containers only'], 'events'],
  ])
  expect(said({ 'process.name': 'sh' }, ['exec', 'exit'])).toEqual([
    [['every exec event'], 'none'],
    [['every exit event'], 'none'],
  ])
  // A type that the rule can't match is not asked for.
  expect(said({ 'file.name': 'x' }, ['open', 'exec'])).toHaveLength(1)
})

test('connections by place, by program, in containers: said as the kernel tells them', () => {
  const saidOf = (when: object) => said(when, ['connect'])[0]?.[0]
  expect(said({ 'destination.port': 22, ...inContainer }, ['connect'])).toEqual([
    [['connections to port 22; in containers only'], 'connections'],
  ])
  expect(saidOf({ 'destination.ip': '10.0.0.1', 'destination.port': 22 })).toEqual(['connections to 10.0.0.1'])
  expect(
    saidOf({ any: [{ 'process.name': { in: ['sh', 'nc'] } }, { 'process.executable.upper_layer': true }] }),
  ).toEqual(['connections by programs named sh, nc', 'connections by programs that were made since the image'])
  expect(saidOf({ 'destination.path': { exists: true } })).toEqual(['connections of unix sockets'])
  expect(saidOf({ 'process.command_line': { contains: 'x' } })).toEqual(['every connection'])
})

test('containers only is said of the types whose fragments look at it, and of no others', () => {
  const whole = program(new Map())
  for (const type of eventTypes.filter((one) => one !== 'open' && one !== 'gap' && one !== 'posture')) {
    const rule = ruleOf([type], inContainer)
    const isLookedAt = program(interests([rule])) !== program(new Map([[type, [{}]]]))
    expect([type, sentForRule(rule)[0]?.words[0]?.endsWith('in containers only')]).toEqual([type, isLookedAt])
    const isSentAnyway = program(interests([rule])) === whole
    expect([type, sentForRule(rule)[0]?.cost === 'none']).toEqual([type, isSentAnyway])
  }
})

test('explain says it, and JSON has it', () => {
  const rule = ruleOf(['open'], { any: [{ 'file.name': 'shadow' }, { 'file.directory': '/etc' }] })
  expect(explain(rule)).toContain(
    'opens of files named shadow\n  or opens of files in a directory named etc\n    costs a look-up for each open',
  )
  expect(sentForRule(rule).map(inJson)).toMatchObject([
    { type: 'open', cost: 'look-up', interests: [{ names: ['shadow'] }, { parents: ['etc'] }] },
  ])
})
