/**
 * Alerts into the spool, out of it and to a receiver: `npm run bench:export`, `--quick`, `--json FILE`.
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
import { type Figure, options, tell } from './figures.ts'
import { kernelLatencies } from './kernel-latencies.ts'

const { quick, json } = options()
const count = quick ? 4_000 : 20_000
const rate = 100
const seconds = quick ? 3 : 10

const folder = mkdtempSync(join(tmpdir(), 'nightjar-bench-'))
const silent = { info() {}, warn() {}, error() {} }
const common = { maxBytes: 256 * 1024 * 1024, maxAge: 86_400_000, log: silent, patience: 0 }
const figures: Figure[] = []

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

const measured = (what: string, figure: string, value: number, more: Pick<Figure, 'target' | 'baseline'> = {}) => {
  figures.push({ what, figure, value, ...more })
}

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
  const alone = 'appending JSON lines'
  measured('put alerts into the spool', 'alerts/s', into, {
    baseline: { what: alone, value: bareIn },
    target: '>= 2,000',
  })
  const reading = { what: 'reading and parsing lines', value: bareOut }
  measured('take alerts out of the spool', 'alerts/s', out, { baseline: reading, target: '>= 2,000' })
  const mebibytes = Math.round((count * size) / 2 ** 20)
  measured(`open a spool of ${count} alerts, ${mebibytes} MiB`, 'ms', recovery, { target: '<= 5,000' })
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
  measured(what, 'alerts/s', (wanted / (performance.now() - began)) * 1000)
  await dispatch.close(1000)
  await soc.close()
}

/** Of a list in ascending order. */
function quantiles(what: string, list: readonly number[], bare?: readonly number[]) {
  const at = (list: readonly number[], part: number) => list[Math.floor(list.length * part)] ?? Number.NaN
  for (const [name, part] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    const baseline = bare && { what: 'a bare POST', value: at(bare, part) }
    measured(`${what}, ${rate} alerts/s`, `${name}, ms`, at(list, part), { ...(baseline && { baseline }) })
  }
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
  quantiles('from raised to arrived, by way of the spool', spooled, bare)
}

try {
  await spoolRates()
  await deliveryRate('deliver to a server that parses, one a request', {})
  await deliveryRate('deliver to a server that parses, 100 a request', { batch: { size: 100, wait: '50ms' } })
  await latency()
  const missing = (await checks()).filter(({ ok }) => ok === false)
  if (missing.length === 0)
    quantiles('from the kernel’s time of an exec to arrived', await kernelLatencies(folder, rate, rate * seconds))
  else
    process.stderr.write(
      `not measured from the kernel on, for want of: ${missing.map(({ name }) => name).join(', ')}\n`,
    )
  tell(figures, json)
} finally {
  rmSync(folder, { recursive: true })
}
