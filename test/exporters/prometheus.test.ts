/** Prometheus and Alertmanager themselves, as Debian has them, take what Nightjar shows and sends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rows } from '../../deploy/grafana/panels.ts'
import { type Dispatch, openDispatch } from '../../exporters/dispatch.ts'
import { createMetrics } from '../../exporters/metrics.ts'
import { toOpenMetrics } from '../../exporters/openmetrics.ts'
import { redactor } from '../../exporters/redaction.ts'
import { type MetricsServer, serveMetrics } from '../../exporters/server.ts'
import { webhook } from '../../exporters/webhook.ts'
import { loadRules, packPaths } from '../../rules/load.ts'
import { readCapture } from '../../sensor/capture.ts'
import { createJudge } from '../../sensor/judge.ts'
import { createLog } from '../../sensor/log.ts'

const programs = ['prometheus', 'promtool', 'prometheus-alertmanager']
const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined)
/** Skipped with the reason where they are not installed, failed in CI. */
const withThem = missing.length === 0 || process.env.CI === 'true' ? test : test.skip
if (missing.length > 0) process.stderr.write(`not run, for want of ${missing.join(', ')}: test/exporters/prometheus\n`)

const metrics = createMetrics()
const log = createLog()
let folder: string
let server: MetricsServer | undefined
let dispatch: Dispatch | undefined
const children: ChildProcess[] = []
let prometheus: string
let alertmanager: string

async function freePort(): Promise<number> {
  const listener = createServer()
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as AddressInfo
  await new Promise((resolve) => listener.close(resolve))
  return port
}

/** Resolves when what is asked for is there. An API can only be asked again. */
async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask().catch(() => undefined)
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function start(program: string, args: string[]) {
  const child = spawn(program, args, { stdio: 'ignore', cwd: folder })
  children.push(child)
}

beforeAll(async () => {
  if (missing.length > 0) return
  folder = mkdtempSync(join(tmpdir(), 'nightjar-prometheus-'))
  const well = () => ({ ok: true })
  server = await serveMetrics({ host: '127.0.0.1', port: 0, registry: metrics.registry, healthy: well, ready: well })

  const ports = await Promise.all([freePort(), freePort()])
  prometheus = `http://127.0.0.1:${ports[0]}`
  alertmanager = `http://127.0.0.1:${ports[1]}`
  const scrape = { scrape_interval: '1s', scrape_timeout: '1s' }
  const targets = [{ targets: [`127.0.0.1:${server.port}`] }]
  // YAML takes JSON.
  writeFileSync(
    join(folder, 'prometheus.yml'),
    JSON.stringify({ global: scrape, scrape_configs: [{ job_name: 'nightjar', static_configs: targets }] }),
  )
  writeFileSync(
    join(folder, 'alertmanager.yml'),
    JSON.stringify({
      route: { receiver: 'nobody', group_by: ['alertname', 'namespace'] },
      receivers: [{ name: 'nobody' }],
    }),
  )
  start('prometheus', [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${ports[0]}`,
  ])
  start('prometheus-alertmanager', [
    `--config.file=${join(folder, 'alertmanager.yml')}`,
    `--storage.path=${join(folder, 'alertmanager')}`,
    `--web.listen-address=127.0.0.1:${ports[1]}`,
    '--cluster.listen-address=',
  ])
  const receiver = await webhook({
    name: 'pager',
    url: `${alertmanager}/api/v2/alerts`,
    format: 'alertmanager',
    batch: { size: 50, wait: '10ms' },
    minSeverity: 'info',
    retry: { initialDelay: '100ms', maxDelay: '1s' },
  })
  const spool = { directory: join(folder, 'spool'), maxBytes: 8 * 1024 * 1024, maxAge: 3_600_000 }
  dispatch = await openDispatch([receiver], { ...spool, metrics, log })
})

afterAll(async () => {
  await dispatch?.close(1000)
  await server?.close()
  for (const child of children) {
    const exited = new Promise((resolve) => child.once('exit', resolve))
    if (child.exitCode === null && child.kill('SIGKILL')) await exited
  }
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

withThem("a recorded attack's alerts are in Alertmanager, and counted in Prometheus", async () => {
  const redact = redactor({}, (kind) => metrics.redactions.inc({ kind }))
  const raised = new Set<string>()
  const judge = createJudge({
    rules: await loadRules(packPaths(true, [])),
    metrics,
    log,
    exporters: () => (dispatch ? [dispatch] : []),
    sensor: () => ({ node: 'node-1', lostEvents: 0 }),
    redact(alert) {
      raised.add(alert.rule.id)
      return redact(alert)
    },
  })
  await readCapture(join(import.meta.dirname, '../captures/demo.nightjar'), (event) => judge.judge(event))
  expect(raised).toContain('reverse-shell')

  const held = await eventually(async () => {
    const alerts = (await (await fetch(`${alertmanager}/api/v2/alerts`)).json()) as {
      labels: Record<string, string>
      annotations: Record<string, string>
      status: { state: string }
    }[]
    const names = new Set(alerts.map(({ labels }) => labels.alertname))
    return raised.isSubsetOf(names) ? alerts : undefined
  })
  const shell = held.find(({ labels }) => labels.alertname === 'reverse-shell')
  expect(shell).toMatchObject({ labels: { severity: 'critical' }, status: { state: 'active' } })
  expect(shell?.annotations.summary).toMatch(/./)

  const counted = await eventually(async () => {
    const query = encodeURIComponent('nightjar_alerts_total{rule="reverse-shell"}')
    const { data } = (await (await fetch(`${prometheus}/api/v1/query?query=${query}`)).json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] }
    }
    return data.result[0]
  })
  expect(counted).toMatchObject({ metric: { severity: 'critical', job: 'nightjar' } })
  expect(Number(counted.value[1])).toBeGreaterThan(0)

  const { data } = (await (await fetch(`${prometheus}/api/v1/targets`)).json()) as {
    data: { activeTargets: { health: string; lastError: string }[] }
  }
  expect(data.activeTargets).toMatchObject([{ health: 'up', lastError: '' }])
})

withThem("the dashboard's queries are answered, and the first alert of a rule shows", async () => {
  const ask = async (expr: string) => {
    const query = expr.replaceAll('$node', '.*').replaceAll('$__rate_interval', '1m').replaceAll('$__range', '1h')
    const answer = await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(query)}`)
    return (await answer.json()) as Answer
  }
  interface Answer {
    status: string
    error?: string
    data: { result: { metric: Record<string, string>; value: [number, string] }[] }
  }
  const panels = rows.flatMap((row) => row.panels)
  for (const { title, queries } of panels)
    for (const { expr } of queries) expect(await ask(expr), title).toMatchObject({ status: 'success' })

  const shown = async (title: string) => {
    const [query] = panels.find((panel) => panel.title === title)?.queries ?? []
    return (await ask(query?.expr ?? '')).data.result
  }
  const [byRule, byIdentity] = [await shown('Rules that alert most'), await shown('Identities that alert most')]
  const shell = byRule.find(({ metric }) => metric.rule === 'reverse-shell')
  expect(Number(shell?.value[1])).toBeGreaterThan(0)
  expect(byIdentity.map(({ metric }) => metric.identity)).toContain('user:root')
})

withThem('promtool has nothing to say against the metrics', async () => {
  const input = await metrics.registry.metrics()
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' })
  expect([status, stdout, stderr]).toEqual([0, '', ''])
  expect(toOpenMetrics(input)).toMatch(/# EOF\n$/)
})
