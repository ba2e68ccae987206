/**
 * Alerts into the spool, out of it and to a receiver: `npm run bench:export`.
 *
 * Each rate stands beside the least that could do it in this process (a JSON line appended to a file, a line read and
 * parsed), so that the ratio says what order, checksum, severity files and cursors cost. Latency is from the moment when the
 * alert is raised to the moment when an HTTP server on loopback has all of it, at 100 alerts a second, beside a bare POST;
 * and, as root, from the kernel's own timestamp through the whole sensor.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'undici'
import { openDispatch } from '../../exporters/dispatch.ts'
import { createMetrics } from '../../exporters/metrics.ts'
import { openSpool } from '../../exporters/spool.ts'
import { type WebhookConfig, webhook } from '../../exporters/webhook.ts'
import { type Alert, severities } from '../../sensor/alert.ts'
import { checks } from '../../sensor/requirements.ts'
import { sampleAlert } from '../exporters/sample.ts'
import { kernelLatencies } from './kernel-latencies.ts'

const count = 20_000
const rate = 100
const seconds = 10

const folder = mkdtempSync(join(tmpdir(), 'nightjar-bench-'))
const silent = { info() {}, warn() {}, error() {} }
const common = { maxBytes: 256 * 1024 * 1024, maxAge: 86_400_000, log: silent, patience: 0 }
const say = (line: string) => process.stdout.write(`${line}\n`)

const sample = sampleAlert()
const alerts: Alert[] = Array.from({ length: count }, (_, index) => ({
  ...sample,
  id: `01M8${String(index).padStart(22, '0')}`,
  severity: severities[index % severities.length] ?? 'low',
}))
const size = JSON.stringify(sample).length

/** Of `count` alerts, a second. */
async function rateOf(work: () => unknown): Promise<number> {
  const began = performance.now()
  await work()
  return (count / (performance.now() - began)) * 1000
}

const figure = (value: number) => Math.round(value).toLocaleString('en').padStart(9)
const compare = (what: string, value: number, baseline: string, of: number) =>
  say(
    `${what.padEnd(34)} ${figure(value)} alerts/s   ${(of / value).toFixed(1)}x the time of ${baseline} (${figure(of).trim()}/s)`,
  )

async function spoolRates() {
  const lines = openSync(join(folder, 'lines'), 'a')
  const bareIn = await rateOf(() => {
    for (const alert of alerts) writeSync(lines, `${JSON.stringify(alert)}\n`)
  })
  closeSync(lines)
  const bareOut = await rateOf(() => {
    for (const line of readFileSync(join(folder, 'lines'), 'utf8').trimEnd().split('\n')) JSON.parse(line)
  })

  const directory = join(folder, 'spool')
  const first = await openSpool({ directory, metrics: createMetrics(), ...common })
  const [reader] = await first.attach([{ name: 'soc', minSeverity: 'info' }])
  const into = await rateOf(() => {
    for (const alert of alerts) first.append(alert)
  })
  reader?.close()
  await first.close()
  const began = performance.now()
  const second = await openSpool({ directory, metrics: createMetrics(), ...common })
  const recovery = performance.now() - began
  const [again] = await second.attach([{ name: 'soc', minSeverity: 'info' }])
  const out = await rateOf(async () => {
    for (let entry = await again?.next(); entry; entry = await again?.next()) again?.done(entry.sequence, 1)
  })
  again?.close()
  await second.close()
  compare('into the spool', into, 'appended JSON lines', bareIn)
  compare('out of the spool', out, 'lines read and parsed', bareOut)
  say(
    `${'recovery at the start'.padEnd(34)} ${figure(recovery)} ms for ${count} alerts, ${Math.round((count * size) / 2 ** 20)} MiB`,
  )
}

/** A server that notes when it has which alert. */
async function server() {
  const arrived = new Map<string, number>()
  let notice = () => {}
  const http = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const now = performance.now()
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    for (const { id } of body.alerts ?? [body]) arrived.set(id, now)
    response.writeHead(204).end()
    notice()
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/`,
    arrived,
    has: (wanted: number) =>
      new Promise<void>((resolve) => {
        notice = () => {
          if (arrived.size >= wanted) resolve()
        }
        notice()
      }),
    close: () => new Promise((resolve) => http.close(resolve).closeAllConnections()),
  }
}

async function deliveryRate(what: string, config: Partial<WebhookConfig>) {
  const soc = await server()
  const receiver = await webhook({ name: 'soc', url: soc.url, minSeverity: 'info', ...config })
  const directory = mkdtempSync(join(folder, 'delivery-'))
  const dispatch = await openDispatch([receiver], { directory, metrics: createMetrics(), ...common })
  const wanted = config.batch ? count : count / 5
  const began = performance.now()
  for (const alert of alerts.slice(0, wanted)) dispatch.send(alert)
  await soc.has(wanted)
  say(
    `${what.padEnd(34)} ${figure((wanted / (performance.now() - began)) * 1000)} alerts/s   spool, HTTP and the server that parses it`,
  )
  await dispatch.close(1000)
  await soc.close()
}

function sayLatency(what: string, list: number[]) {
  const at = (part: number) => `${(list[Math.floor(list.length * part)] ?? 0).toFixed(2)} ms`
  const figures = `p50 ${at(0.5)}   p99 ${at(0.99)}   worst ${at(1 - 1 / list.length)}`
  say(`${`latency at ${rate}/s, ${what}`.padEnd(44)} ${figures}`)
}

/** At a steady rate; milliseconds from raised to arrived, in ascending order. */
async function latencies(send: (alert: Alert) => unknown, arrived: Map<string, number>): Promise<number[]> {
  const raised = new Map<string, number>()
  const began = performance.now()
  for (let index = 0; index < rate * seconds; index++) {
    await pause(Math.max(0, began + (index * 1000) / rate - performance.now()))
    const alert = alerts[index] ?? sample
    raised.set(alert.id, performance.now())
    send(alert)
  }
  await pause(500)
  return [...raised]
    .map(([id, at]) => (arrived.get(id) ?? Number.POSITIVE_INFINITY) - at)
    .sort((one, other) => one - other)
}

async function latency() {
  const soc = await server()
  const client = new Client(new URL(soc.url).origin)
  const bare = await latencies((alert) => {
    const headers = { 'content-type': 'application/json' }
    client.request({ method: 'POST', path: '/', headers, body: JSON.stringify(alert) }).then(({ body }) => body.dump())
  }, soc.arrived)
  await client.close()
  soc.arrived.clear()
  const receiver = await webhook({ name: 'soc', url: soc.url, minSeverity: 'info' })
  const directory = mkdtempSync(join(folder, 'latency-'))
  const dispatch = await openDispatch([receiver], { directory, metrics: createMetrics(), ...common })
  const spooled = await latencies(dispatch.send, soc.arrived)
  await dispatch.close(1000)
  await soc.close()
  sayLatency('bare POST', bare)
  sayLatency('by way of the spool', spooled)
}

try {
  say(`${count} alerts of ${size} bytes`)
  await spoolRates()
  await deliveryRate('delivered, one a request', {})
  await deliveryRate('delivered, 100 a request', { batch: { size: 100, wait: '50ms' } })
  await latency()
  const missing = (await checks()).filter(({ ok }) => ok === false)
  if (missing.length > 0) say(`not measured from the kernel on: ${missing.map(({ name }) => name).join(', ')}`)
  else sayLatency('kernel event to receiver', await kernelLatencies(folder, rate, rate * seconds))
} finally {
  rmSync(folder, { recursive: true })
}
