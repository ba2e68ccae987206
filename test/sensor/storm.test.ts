/** Many matches of one act, from the event to the receiver. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { loadRules } from '../../rules/load.ts'
import type { Alert } from '../../sensor/alert.ts'
import type { Event } from '../../sensor/event.ts'
import { createJudge } from '../../sensor/judge.ts'
import { dispatched } from '../exporters/dispatched.ts'
import { journal } from '../exporters/journal.ts'
import { receiver } from '../exporters/receiver.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const plain = {
  id: 'any-download',
  name: 'A download',
  on: ['exec'],
  severity: 'high',
  message: '{process.command_line}',
}
const when = { 'process.name': 'curl' }
const grouped = { ...plain, when, groupBy: ['process.command_line'], window: '10m' }

/** What a receiver gets of these events, judged by one rule; and when it is a time after them. */
async function told(
  rule: object,
  events: Event[],
  ...ticks: number[]
): Promise<{ alerts: Alert[]; folded: number | undefined }> {
  const folder = mkdtempSync(join(tmpdir(), 'nightjar-storm-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'pack.json'), JSON.stringify({ pack: 'test', version: '1', rules: [rule] }))
  const soc = await receiver()
  const { webhook, remove } = await dispatched({ url: soc.url })
  cleanups.push(soc.close, remove)
  const metrics = createMetrics()
  const judge = createJudge({
    rules: await loadRules([join(folder, 'pack.json')]),
    metrics,
    log: journal().log,
    exporters: () => [webhook],
    sensor: () => ({ node: 'node-1', lostEvents: 0 }),
    redact: (alert) => alert,
  })
  for (const event of events) judge.judge(event)
  for (const time of ticks) judge.advance(time)
  await webhook.close(30_000)
  const suppressed = (await metrics.alertsSuppressed.get()).values.find(({ labels }) => labels.reason === 'folded')
  return { alerts: soc.deliveries.map(({ body }) => JSON.parse(body)), folded: suppressed?.value }
}

const start = Date.parse('2026-03-01T12:00:00Z')
/** One a time that many milliseconds apart, each with an argument of its own. */
const downloads = (count: number, apart: number, changes: (index: number) => Partial<Event> = () => ({})): Event[] =>
  Array.from({ length: count }, (_, index) => ({
    type: 'exec',
    time: start + index * apart,
    process: {
      pid: 1000 + index,
      name: 'curl',
      executable: { path: '/usr/bin/curl', name: 'curl' },
      command_line: `curl http://203.0.113.9/${index}`,
      ancestors: [{ pid: 7, name: 'sh', executable: { path: '/usr/bin/dash', name: 'dash' } }],
    },
    container: { id: 'a'.repeat(64) },
    ...changes(index),
  }))

const same = (index: number): Partial<Event> => ({ process: { pid: index, name: 'curl', command_line: 'curl x' } })

test('10,000 times the same in a minute: two deliveries, and all are counted', async () => {
  const { alerts, folded } = await told({ ...plain, when }, downloads(10_001, 6.5, same))
  expect(alerts.map(({ count }) => count)).toEqual([1, 9232])
  expect(alerts[1]).toMatchObject({ first_seen: alerts[0]?.first_seen, rule: { id: 'any-download' } })
  expect(folded).toBe(9_999)
})

test.each([
  ['does not say what belongs together', { ...plain, when }],
  ['tells apart', grouped],
])(
  '10,000 with other arguments in a minute, of a rule that %s: ten one by one, one more, and their count',
  async (_, rule) => {
    const { alerts } = await told(rule, downloads(10_001, 6.5))
    expect(alerts.map(({ count }) => count)).toEqual([...Array(11).fill(1), 9232])
    expect(new Set(alerts.slice(0, 11).map(({ message }) => message)).size).toBe(11)
  },
)

test.each([
  ['does not say what belongs together', { ...plain, when }, same],
  ['does', { ...plain, when, groupBy: ['process.name'], window: '10m' }, same],
  ['tells apart', grouped, undefined],
])('the count of a burst that ends within a minute is told by the clock, if the rule %s', async (_, rule, changes) => {
  const events = downloads(9_000, 6.5, changes)
  const before = await told(rule, events, start + 64_000)
  const single = before.alerts.length
  expect(before.alerts.map(({ count }) => count)).toEqual(Array(single).fill(1))
  const seconds = [66, 67, 128, 200].map((second) => start + second * 1000)
  const { alerts } = await told(rule, events, ...seconds)
  expect(alerts.map(({ count }) => count)).toEqual([...Array(single).fill(1), 9_001 - single])
  expect(alerts.at(-1)?.last_seen).toMatch('2026-03-01T12:00:58.493')
  // A replay has no clock: any event does.
  const other: Event = { type: 'exec', time: start + 66_000, process: { name: 'other' } }
  const replayed = await told(rule, [...events, other])
  expect(replayed.alerts.map(({ count }) => count)).toEqual(alerts.map(({ count }) => count))
})

const posture = (index: number): Event => ({
  type: 'posture',
  time: start + index,
  posture: { finding: 'token-without-use' },
  k8s: { namespace: { name: 'shop' }, owner: { name: `workload-${index}` } },
})
const finding = {
  ...plain,
  on: ['posture'],
  when: { 'posture.finding': { exists: true } },
  message: '{k8s.owner.name}',
}
const gap = (reason: string, at: number): Event => ({ type: 'gap', time: start + at, gap: { reason } })
const gaps = {
  ...plain,
  on: ['gap'],
  when: { 'gap.reason': { exists: true } },
  message: '{gap.reason}',
  groupBy: ['gap.reason'],
  window: '1m',
}

test('each workload of a node is told of, though all are found at once', async () => {
  const rule = { ...finding, groupBy: ['k8s.namespace.name', 'k8s.owner.name'], window: '24h' }
  const { alerts } = await told(rule, [...Array(30).keys()].map(posture))
  expect(alerts.map(({ message }) => message)).toEqual([...Array(30).keys()].map((index) => `workload-${index}`))
})

test('gaps of one kind do not hide the first of another', async () => {
  const flood = [0, 1, 2, 3, 4, 5].flatMap((minute) =>
    ['events_lost', 'events_shed', 'records_rejected'].map((reason) => gap(reason, minute * 60_000)),
  )
  const { alerts } = await told(gaps, [...flood, gap('probe_exited', 301_000)])
  expect(alerts.map(({ message }) => message)).toContain('probe_exited')
})

test('what has no process is limited, too: by what its rule groups by, or together where it does not', async () => {
  const often = [...Array(60).keys()].map((index) => gap('events_lost', index * 2000))
  const { alerts } = await told({ ...gaps, window: '1s' }, often)
  expect(alerts.map(({ count }) => count)).toEqual([...Array(11).fill(1), 31])
  const together = await told(finding, [...Array(30).keys()].map(posture))
  expect(together.alerts.map(({ count }) => count)).toEqual([1])
})

test.each<[string, (index: number) => Partial<Event>]>([
  ['another container', (index) => ({ container: { id: String(index).repeat(64) } })],
  [
    'another program above it',
    (index) => ({ process: { pid: 1, name: 'curl', ancestors: [{ pid: 2, name: `parent-${index}` }] } }),
  ],
  ['another command line', (index) => ({ process: { pid: 1, name: 'curl', command_line: `curl ${index}` } })],
])('%s is another alert', async (_, changes) => {
  const { alerts } = await told({ ...plain, when }, downloads(5, 1000, changes))
  expect(alerts.map(({ count }) => count)).toEqual([1, 1, 1, 1, 1])
})

test('after ten minutes the same act is a new alert', async () => {
  const { alerts } = await told({ ...plain, when }, downloads(3, 601_000, same))
  expect(alerts.map(({ count }) => count)).toEqual([1, 1, 1])
})
