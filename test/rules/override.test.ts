import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { lint } from '../../rules/lint.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { readPacks } from '../../rules/pack.ts'
import type { Event } from '../../sensor/event.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightjar-override-'))
})
afterAll(() => rm(folder, { recursive: true }))

const shipped = {
  pack: 'shipped',
  version: '1',
  rules: [
    {
      id: 'shell',
      name: 'R',
      on: ['exec'],
      when: { 'process.name': 'sh' },
      unless: [{ when: { 'process.parent.name': 'cron' }, reason: 'jobs' }],
      severity: 'low',
      message: 'm',
      tags: { mitre: ['T1059'] },
      runbook: 'theirs',
    },
  ],
}

const read = (...overrides: object[]) =>
  readPacks([
    { file: 'shipped.json', value: shipped },
    { file: 'mine.json', value: { pack: 'mine', version: '1', lists: { quiet: ['make'] }, rules: [], overrides } },
  ])
const faults = (...overrides: object[]) =>
  read(...overrides).problems.map(({ file, path, found, suggestion }) => [file, path, found, suggestion])

test('an override changes what it names and leaves the rest', () => {
  const { ruleSet, problems } = read({
    rule: 'shipped/shell',
    severity: 'critical',
    tags: { mitre: ['T1059.004'], nist_csf: ['DE.CM-09'] },
    runbook: 'ours',
    groupBy: ['container.id'],
    window: '5m',
  })
  expect(problems).toEqual([])
  expect(ruleSet.rules).toMatchObject([
    {
      id: 'shell',
      pack: 'shipped',
      severity: 'critical',
      tags: { mitre: ['T1059', 'T1059.004'], nist_csf: ['DE.CM-09'] },
      runbook: 'ours',
      window: 300_000,
      groupBy: [{ name: 'container.id' }],
      changedBy: ['mine.json'],
      unless: [{ reason: 'jobs' }],
    },
  ])
})

test('its exceptions come to those of the rule, with the lists of its own pack', () => {
  const { ruleSet } = read({
    rule: 'shell',
    unless: [{ when: { 'process.parent.name': { in: '@quiet' } }, reason: 'b' }],
  })
  const { judge } = createEngine(ruleSet, { onError: () => undefined, onSuppressed: () => undefined })
  const child = (parent: string): Event => ({
    type: 'exec',
    time: 0,
    process: { name: 'sh', ancestors: [{ name: parent }] },
  })
  expect(['cron', 'make', 'bash'].filter((parent) => judge(child(parent)).length > 0)).toEqual(['bash'])
})

test('a rule is switched off; of two overrides the later holds', () => {
  expect(read({ rule: 'shell', enabled: false }).ruleSet.rules[0]?.enabled).toBe(false)
  const { ruleSet } = read({ rule: 'shell', severity: 'high' }, { rule: 'shell', severity: 'info' })
  expect(ruleSet.rules[0]?.severity).toBe('info')
})

test('an unknown rule is an error, with the one that was meant', () => {
  expect(faults({ rule: 'shel', enabled: false })).toEqual([
    ['mine.json', '$.overrides[0].rule', 'the unknown rule "shel"', 'shell'],
  ])
  expect(faults({ rule: 'shipped/shels' })).toEqual([
    ['mine.json', '$.overrides[0].rule', 'the unknown rule "shipped/shels"', 'shipped/shell'],
  ])
  expect(faults({ rule: 'mine/shell' })).toHaveLength(1)
  expect(read({ rule: 'elsewhere/shell' })).toMatchObject({ problems: [], absent: ['elsewhere'] })
})

test('what is wrong in an override is an error at its place, and the rule stays as it was', () => {
  expect(faults({ rule: 'shell', severity: 'hihg' })[0]?.slice(1)).toEqual([
    '$.overrides[0].severity',
    '"hihg"',
    'high',
  ])
  expect(faults({ rule: 'shell', when: {} })[0]?.[1]).toBe('$.overrides[0].when')
  expect(faults({ rule: 'shell', window: '5m' })[0]?.[1]).toBe('$.overrides[0].window')
  expect(faults({ rule: 'shell', groupBy: ['gap.reason'], window: '5m' })[0]?.[1]).toBe('$.overrides[0].groupBy[0]')
  const wrong = { rule: 'shell', unless: [{ when: { 'process.nam': 'x' }, reason: 'x' }], severity: 'high' }
  expect(faults(wrong)[0]?.[1]).toBe('$.overrides[0].unless[0].when["process.nam"]')
  expect(read(wrong).ruleSet.rules[0]?.severity).toBe('low')
})

test("a user's pack changes the shipped rules, and lint reads it beside them", async () => {
  const file = join(folder, 'mine.json')
  const write = (rule: string) =>
    writeFile(
      file,
      JSON.stringify({ pack: 'mine', version: '1', rules: [], overrides: [{ rule, severity: 'medium' }] }),
    )
  await write('nightjar/reverse-shell')
  const { rules } = await loadRules([builtinPacks(), file])
  expect(rules.find(({ id }) => id === 'reverse-shell')?.severity).toBe('medium')
  expect(await lint([file])).toEqual([])
  await write('reverse-shell')
  expect(await lint([file])).toEqual([])
  await write('reverse-shel')
  expect(await lint([file])).toMatchObject([{ severity: 'error', suggestion: 'reverse-shell' }])
})
