import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { parseExpiry } from '../../rules/expiry.ts'
import { lint } from '../../rules/lint.ts'
import { readPacks } from '../../rules/pack.ts'
import type { Event } from '../../sensor/event.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightjar-exceptions-'))
})
afterAll(() => rm(folder, { recursive: true }))

const rule = { id: 'r', name: 'R', on: ['exec'], when: { 'process.name': 'sh' }, severity: 'low', message: 'm' }
const exception = { when: { 'process.parent.name': 'cron' }, reason: 'jobs', owner: 'platform' }
const packOf = (...unless: object[]) => ({ pack: 'p', version: '1', rules: [{ ...rule, unless }] })

function engineOf(...unless: object[]) {
  const { ruleSet, problems } = readPacks([{ file: 'p.json', value: packOf(...unless) }])
  expect(problems).toEqual([])
  const told: [string, string | undefined, string][] = []
  const { judge } = createEngine(ruleSet, {
    onError: () => undefined,
    onSuppressed: () => undefined,
    onExpired: (id, { owner, reason }) => told.push([id, owner, reason]),
  })
  return { told, judge }
}

const at = (time: string, parent = 'cron'): Event => ({
  type: 'exec',
  time: Date.parse(time),
  process: { name: 'sh', ancestors: [{ name: parent }] },
})

test('an exception holds to the end of the day it names, in UTC, by the time of the event; then it says so, once', () => {
  const { judge, told } = engineOf({ ...exception, expires: '2027-03-31' })
  expect(judge(at('2027-03-31T23:59:59.999Z'))).toEqual([])
  expect(told).toEqual([])
  expect(judge(at('2027-04-01T00:00:00Z'))).toHaveLength(1)
  expect(told).toEqual([['r', 'platform', 'jobs']])
  expect(judge(at('2027-04-02T00:00:00Z'))).toHaveLength(1)
  expect(told).toHaveLength(1)
  // An event that comes late is judged by its own time.
  expect(judge(at('2027-03-31T23:59:59Z'))).toEqual([])
})

test('it says so with any event, whether or not the rule matches; each exception at its own time', () => {
  const { judge, told } = engineOf(
    { ...exception, reason: 'b', expires: '2027-01-02T00:00:00+01:00' },
    { ...exception, reason: 'a', expires: '2027-01-01T12:00:00Z' },
    { ...exception, reason: 'never' },
  )
  judge({ type: 'gap', time: Date.parse('2027-01-01T12:00:00Z') })
  expect(told.map(([, , reason]) => reason)).toEqual(['a'])
  judge({ type: 'gap', time: Date.parse('2027-01-01T23:00:00Z') })
  expect(told.map(([, , reason]) => reason)).toEqual(['a', 'b'])
})

test('a day that no calendar has is an error, and so is what is no date', () => {
  const faults = (expires: unknown) =>
    readPacks([{ file: 'f', value: packOf({ ...exception, expires }) }]).problems.map(({ path }) => path)
  for (const expires of [
    '2027-02-30',
    '2027-13-01',
    '2027-3-1',
    '31.03.2027',
    '2027-03-31T12:00:00',
    7,
    '2027-01-01T25:00:00Z',
  ]) {
    expect(faults(expires), String(expires)).toEqual(['$.rules[0].unless[0].expires'])
  }
  expect(faults('2028-02-29')).toEqual([])
  expect(parseExpiry('2027-03-31')).toBe(Date.parse('2027-04-01T00:00:00Z'))
  expect(parseExpiry('2027-03-31t12:00:00.5z')).toBe(Date.parse('2027-03-31T12:00:00.5Z'))
})

test('lint lists what has expired and what expires within 30 days, where it stands', async () => {
  const file = join(folder, 'p.json')
  const unless = ['2027-01-01', '2027-01-31', '2027-02-02', undefined].map((expires) => ({ ...exception, expires }))
  await writeFile(file, JSON.stringify(packOf(...unless)))
  const found = (await lint([file], Date.parse('2027-01-02T12:00:00Z'))).filter(({ path }) => path.includes('unless'))
  expect(found.map(({ severity, path, found }) => [severity, path, found])).toEqual([
    ['warning', '$.rules[0].unless[0].expires', 'an exception of rule r that has no effect since 2027-01-02T00:00:00Z'],
    [
      'warning',
      '$.rules[0].unless[1].expires',
      'an exception of rule r that expires in 30 days, at 2027-02-01T00:00:00Z',
    ],
  ])
  expect(found[0]?.expected).toBe('a later date if this still holds: jobs (ask platform); else no such exception')
})

test('an exception that a pack adds to a shipped rule expires where that pack stands', async () => {
  const file = join(folder, 'mine.json')
  const override = { rule: 'nightjar/reverse-shell', unless: [{ ...exception, expires: '2020-01-01' }] }
  await writeFile(file, JSON.stringify({ pack: 'mine', version: '1', rules: [], overrides: [override] }))
  expect(await lint([file])).toMatchObject([{ severity: 'warning', file, path: '$.overrides[0].unless[0].expires' }])
})
