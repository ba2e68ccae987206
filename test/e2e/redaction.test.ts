import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { type Collector, collector } from '../exporters/collector.ts'
import { type Receiver, receiver } from '../exporters/receiver.ts'
import { act, kernelTest, type Sensor, startSensor } from './sensor.ts'

/** The program's name is the test's own, so that nobody else's process raises its alert. */
const program = `nightjar-secret-${process.pid}`
const secret = 'q7correct-Horse!Battery'
const alone = 'q7staple and more'

const pack = {
  pack: 'redaction-test',
  version: '1',
  rules: [
    {
      id: 'seen',
      name: 'A program of the test',
      description: 'Started by the test.',
      on: ['exec'],
      when: { 'process.command_args': { contains: program } },
      severity: 'high',
      message: 'ran {process.command_line}',
    },
  ],
}

const folder = mkdtempSync(join(tmpdir(), 'nightjar-redaction-'))
let sensor: Sensor
let hook: Receiver
let logs: Collector
let syslog = ''
const server = createServer((socket) => socket.on('error', () => {}).on('data', (chunk) => (syslog += chunk)))

beforeAll(async () => {
  hook = await receiver()
  logs = await collector()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  writeFileSync(join(folder, 'pack.json'), JSON.stringify(pack))
  const config = {
    exporters: {
      spool: { directory: join(folder, 'spool') },
      webhooks: [
        { name: 'native', url: hook.url },
        { name: 'chat', url: hook.url, format: 'slack' },
      ],
      otlp: { endpoint: logs.url },
      file: { path: join(folder, 'alerts.jsonl') },
      syslog: { address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` },
    },
  }
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config))
  sensor = await startSensor({
    args: ['--config', join(folder, 'config.yaml'), '--rules', join(folder, 'pack.json'), '--no-builtin-rules'],
  })
})
afterAll(async () => {
  await sensor?.stop()
  await Promise.all([hook?.close(), logs?.close(), new Promise((resolve) => server.close(resolve))])
  rmSync(folder, { recursive: true })
})

/** Everything that is on disk, as it is. */
function everyByte(directory: string): string {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

kernelTest('a password on a command line reaches no receiver, no file, and not the spool', async () => {
  // The shell is what started it: its script is in the ancestors.
  await act('sh', ['-c', `DB_PASSWORD=${secret} /bin/true --password "${alone}" ${program}; true`])
  const alert = await sensor.alerts.first(({ process }) => process?.command_args?.at(-1) === program)
  expect(alert.process?.command_args).toEqual(['/bin/true', '--password', '[redacted:password]', program])
  expect(alert.message).toBe(`ran /bin/true --password [redacted:password] ${program}`)
  expect(alert.process?.ancestors?.[0]?.command_line).toContain('DB_PASSWORD=[redacted:password]')

  await hook.got(2)
  const isThere = async (look: () => boolean) => {
    while (!look()) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await isThere(() => logs.exports.length > 0 && syslog.includes(program))
  await isThere(() => readFileSync(join(folder, 'alerts.jsonl'), 'utf8').includes(program))
  const told = [
    JSON.stringify(sensor.alerts.all),
    JSON.stringify(sensor.log.all),
    hook.deliveries.map(({ body }) => body).join('\n'),
    JSON.stringify(logs.exports, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
    syslog,
    everyByte(folder),
  ]
  for (const text of told) {
    expect(text).not.toContain(secret)
    expect(text).not.toContain(alone)
  }
  for (const text of told.filter((_, at) => at !== 1)) expect(text).toContain('[redacted:password]')
  expect(await sensor.metric('nightjar_redactions_total{kind="password"}')).toBeGreaterThan(2)
})
