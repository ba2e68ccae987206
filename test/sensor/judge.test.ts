/** What a judge remembers when rules are read anew. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { loadRules } from '../../rules/load.ts'
import type { Alert } from '../../sensor/alert.ts'
import type { Event } from '../../sensor/event.ts'
import { createJudge } from '../../sensor/judge.ts'

/** Three of these within a minute. */
const rule = {
  id: 'thrice',
  name: 'Thrice',
  description: 'A program that is run again and again.',
  on: ['exec'],
  when: { 'process.name': 'id' },
  threshold: { count: 3, within: '1m', by: ['process.name'] },
  message: 'again',
}

const folder = mkdtempSync(join(tmpdir(), 'nightjar-judge-'))
afterAll(() => rmSync(folder, { recursive: true }))

function loaded(severity: string) {
  const file = join(folder, 'pack.json')
  writeFileSync(file, JSON.stringify({ pack: 'test', version: '1', rules: [{ ...rule, severity }] }))
  return loadRules([file])
}

test.each([
  ['the same rules, read anew for a receiver’s sake, go on counting where they were', 'low', 1],
  ['other rules begin anew', 'high', 0],
])('%s', async (_, severity, expected) => {
  const told: Alert[] = []
  const judge = createJudge({
    rules: await loaded('low'),
    metrics: createMetrics(),
    log: pino({ enabled: false }),
    exporters: () => [{ name: 'told', send: (alert) => told.push(alert), close: async () => 0 }],
    sensor: () => ({ node: 'node-a', lostEvents: 0 }),
    redact: (alert) => alert,
  })
  const event = (second: number): Event => ({ type: 'exec', time: second * 1000, process: { name: 'id' } })
  judge.judge(event(1))
  judge.judge(event(2))
  judge.use(await loaded(severity))
  judge.judge(event(3))
  expect(told).toHaveLength(expected)
})
