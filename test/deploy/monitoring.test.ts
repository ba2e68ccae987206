/** The dashboard and the alerts about Nightjar itself: promtool takes them, and they ask for what the sensor shows. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { rows } from '../../deploy/grafana/panels.ts'
import { createMetrics } from '../../exporters/metrics.ts'

const deploy = resolve(import.meta.dirname, '../../deploy')
const promtool = (...args: string[]) => spawnSync('promtool', args, { encoding: 'utf8', cwd: import.meta.dirname })
/** Debian's package prometheus has it. Skipped where it is not installed, failed in CI. */
const withPromtool = promtool('--version').error === undefined || process.env.CI === 'true' ? test : test.skip

const alerts: { alert: string; expr: string; annotations: Record<string, string> }[] = parse(
  readFileSync(join(deploy, 'prometheus/rules.yaml'), 'utf8'),
).groups[0].rules
const panels = rows.flatMap((row) => row.panels)

const queries: [where: string, expr: string][] = [
  ...alerts.map(({ alert, expr }): [string, string] => [`the alert ${alert}`, expr]),
  ...panels.flatMap(({ title, queries }) => queries.map(({ expr }): [string, string] => [`the panel ${title}`, expr])),
]

withPromtool('promtool takes the rules, and each alert fires when it should and not before', () => {
  expect(promtool('check', 'rules', join(deploy, 'prometheus/rules.yaml'))).toMatchObject({ status: 0 })
  const { status, stdout, stderr } = promtool('test', 'rules', 'prometheus-rules.yaml')
  expect(stdout + stderr).toContain('SUCCESS')
  expect(status).toBe(0)
})

test('every alert is tried by promtool', () => {
  const tried = readFileSync(join(import.meta.dirname, 'prometheus-rules.yaml'), 'utf8')
  for (const { alert } of alerts) expect(tried).toContain(alert)
})

withPromtool("Prometheus parses the dashboard's queries", () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-dashboard-'))
  try {
    const rules = queries.map(([, expr], at) => ({
      record: `query_${at}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h'),
    }))
    const file = join(directory, 'queries.json') // YAML takes JSON
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }))
    const { status, stderr } = promtool('check', 'rules', file)
    expect(stderr).toBe('')
    expect(status).toBe(0)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

/** Of Prometheus itself and of kube-state-metrics. */
const ofOthers: Record<string, string[]> = {
  up: ['job', 'instance'],
  kube_daemonset_status_number_unavailable: ['daemonset', 'namespace'],
}
/** What the scrape adds (the monitors' relabelling gives node). */
const ofTheScrape = ['job', 'node', 'instance']

async function labelsByMetric(): Promise<Map<string, string[]>> {
  const { registry } = createMetrics()
  const found = new Map(Object.entries(ofOthers))
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: string[] }
    if (String(type) === 'histogram') found.set(`${name}_bucket`, [...labelNames, 'le'])
    else found.set(name, labelNames)
  }
  return found
}

test.each(queries)('%s asks for metrics that there are, by labels that they have', async (_, expr) => {
  const known = await labelsByMetric()
  const selectors = [...expr.matchAll(/([a-z_]+)\{([^}]*)\}/g)]
  expect(selectors).not.toHaveLength(0)
  const names = selectors.map(([, name = '']) => name)
  for (const [, name = '', matchers = ''] of selectors) {
    expect([...known.keys()]).toContain(name)
    const labels = [...matchers.matchAll(/([a-z_]+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label)
    for (const label of labels) expect([...(known.get(name) ?? []), ...ofTheScrape]).toContain(label)
  }
  const grouped = [...expr.matchAll(/(?:by|without) \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '))
  const possible = new Set([...names.flatMap((name) => known.get(name) ?? []), ...ofTheScrape])
  for (const label of grouped) expect([...possible]).toContain(label)
})

test('a legend, and an annotation, names a label that its query leaves', () => {
  const grouping = (expr: string) => /by \(([^)]*)\)/.exec(expr)?.[1]?.split(', ')
  for (const { title, queries } of panels)
    for (const { expr, legend } of queries)
      for (const [, label = ''] of legend.matchAll(/\{\{(\w+)\}\}/g))
        expect(grouping(expr) ?? ofTheScrape, title).toContain(label)
  for (const { alert, expr, annotations } of alerts)
    for (const [, label = ''] of Object.values(annotations)
      .join('\n')
      .matchAll(/\$labels\.(\w+)/g))
      expect(grouping(expr) ?? ofTheScrape, alert).toContain(label)
})

test("it shows the sensor's health, event rates, loss, latency, and alerts by rule, identity and blast radius", () => {
  const all = queries.map(([, expr]) => expr).join('\n')
  for (const metric of [
    'nightjar_probe_up',
    'nightjar_events_total',
    'nightjar_events_lost_total',
    'nightjar_event_latency_seconds_bucket',
    'nightjar_alert_delivery_seconds_bucket',
  ])
    expect(all).toContain(metric)
  expect(all).toMatch(/by \(rule, severity\)/)
  expect(all).toMatch(/by \(identity, blast_radius\)/)
})

test("panels have ids of their own and do not cover each other's place; every one says what it shows", () => {
  const dashboard = JSON.parse(readFileSync(join(deploy, 'grafana/nightjar.json'), 'utf8'))
  const taken = new Set<string>()
  const ids = new Set<number>()
  for (const { id, type, title, description, gridPos } of dashboard.panels) {
    ids.add(id)
    if (type !== 'row') expect(description, title).toMatch(/\.$/)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(x, title).toBeLessThan(24)
        expect(taken, title).not.toContain(`${x} ${y}`)
        taken.add(`${x} ${y}`)
      }
  }
  expect(ids.size).toBe(dashboard.panels.length)
})
