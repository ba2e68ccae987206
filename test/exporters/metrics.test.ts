import { expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { prefersOpenMetrics, toOpenMetrics } from '../../exporters/openmetrics.ts'

test('the first scrape shows every stage of loss and every event type at 0, before anything has happened', async () => {
  const text = await createMetrics().registry.metrics()
  for (const stage of ['kernel_buffer', 'decoder', 'shed']) {
    expect(text).toContain(`nightjar_events_lost_total{stage="${stage}"} 0\n`)
  }
  for (const type of ['exec', 'exit', 'connect', 'stdio', 'gap']) {
    expect(text).toContain(`nightjar_events_total{type="${type}"} 0\n`)
  }
  expect(text).toContain('\nnightjar_probe_up 0\n')
  expect(text).toContain('\nnightjar_probe_restarts_total 0\n')
})

test('the metrics of the contract are there, and those of the process', async () => {
  const metrics = createMetrics()
  metrics.describeBuild({ version: '1.2.3', nodejs: 'v24.0.0', bpftrace: 'v0.23' })
  const text = await metrics.registry.metrics()
  const families = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
  expect(families).toEqual(
    expect.arrayContaining([
      'nightjar_events_total counter',
      'nightjar_events_lost_total counter',
      'nightjar_alerts_total counter',
      'nightjar_alerts_suppressed_total counter',
      'nightjar_rule_evaluations_total counter',
      'nightjar_rule_errors_total counter',
      'nightjar_event_latency_seconds histogram',
      'nightjar_alert_delivery_seconds histogram',
      'nightjar_export_failures_total counter',
      'nightjar_export_queue_alerts gauge',
      'nightjar_probe_restarts_total counter',
      'nightjar_probe_up gauge',
      'nightjar_enrichment_total counter',
      'nightjar_redactions_total counter',
      'nightjar_spool_alerts gauge',
      'nightjar_spool_bytes gauge',
      'nightjar_build_info gauge',
      'process_resident_memory_bytes gauge',
      'process_cpu_seconds_total counter',
    ]),
  )
  expect(text).toContain('nightjar_build_info{version="1.2.3",nodejs="v24.0.0",bpftrace="v0.23"} 1\n')
})

test('build_info is one series: what is learnt later replaces what was said before', async () => {
  const metrics = createMetrics()
  metrics.describeBuild({ version: '1', nodejs: 'v24' })
  metrics.describeBuild({ version: '1', nodejs: 'v24', kernel: '6.18.0', bpftrace: 'v0.23' })
  const series = (await metrics.registry.metrics()).match(/^nightjar_build_info\{.*$/gm)
  expect(series).toEqual(['nightjar_build_info{version="1",nodejs="v24",kernel="6.18.0",bpftrace="v0.23"} 1'])
})

test('alerts are counted by identity and blast radius; beyond two hundred identities the others are one', async () => {
  const metrics = createMetrics()
  for (let pod = 0; pod < 300; pod++)
    metrics.countIdentity({ subject: `system:serviceaccount:shop:${pod}`, blast_radius: { level: 'high' } })
  metrics.countIdentity({ subject: 'system:serviceaccount:shop:7', blast_radius: { level: 'high' } })
  metrics.countIdentity(undefined)
  const text = await metrics.registry.metrics()
  const series = text.split('\n').filter((line) => line.startsWith('nightjar_identity_alerts_total{'))
  expect(series).toHaveLength(202)
  const line = (identity: string, level: string, count: number) =>
    `nightjar_identity_alerts_total{identity="${identity}",blast_radius="${level}"} ${count}`
  expect(series).toContain(line('system:serviceaccount:shop:7', 'high', 2))
  expect(series).toContain(line('unknown', 'unknown', 1))
  expect(series).toContain(line('other', 'high', 100))
})

test('two sets of metrics share nothing', async () => {
  const [one, other] = [createMetrics(), createMetrics()]
  one.events.inc({ type: 'exec' })
  expect(await other.registry.metrics()).toContain('nightjar_events_total{type="exec"} 0\n')
})

test('OpenMetrics: each sample belongs to the family above it, by the suffixes that its type allows', async () => {
  const metrics = createMetrics()
  metrics.alerts.inc({ rule: 'le="5",\n"quoted" \\', severity: 'high' })
  metrics.eventLatency.observe(0.004)
  const text = toOpenMetrics(await metrics.registry.metrics())
  const suffixes: Record<string, string[]> = {
    counter: ['_total', '_created'],
    gauge: [''],
    histogram: ['_bucket', '_sum', '_count', '_created'],
  }
  expect(text.endsWith('\n# EOF\n')).toBe(true)
  const seen = new Set<string>()
  let allowed: string[] = []
  for (const line of text.slice(0, -'# EOF\n'.length).trimEnd().split('\n')) {
    expect(line).toMatch(/^(# (HELP|TYPE) [a-z_0-9]+ .+|[a-z_0-9]+(\{([a-z]+="([^"\\]|\\["\\n])*",?)*\})? \S+)$/)
    const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (name !== '') {
      expect(seen).not.toContain(name)
      seen.add(name)
      expect(Object.keys(suffixes)).toContain(type)
      allowed = (suffixes[type] ?? []).map((suffix) => name + suffix)
    } else if (!line.startsWith('#')) {
      expect(allowed).toContain(/^[a-z_0-9]+/.exec(line)?.[0])
    }
  }
  expect(text).toContain(
    '# TYPE nightjar_alerts counter\nnightjar_alerts_total{rule="le=\\"5\\",\\n\\"quoted\\" \\\\",severity="high"} 1\n',
  )
  expect(text).toContain('nightjar_event_latency_seconds_bucket{le="1.0"} 1\n')
})

test.each([
  // What Prometheus 2 and 3 send.
  [
    'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    true,
  ],
  [
    'application/openmetrics-text; version=1.0.0; escaping=allow-utf-8; q=0.6, text/plain; version=0.0.4; q=0.3, */*; q=0.1',
    true,
  ],
  ['application/openmetrics-text', true],
  [undefined, false],
  ['*/*', false],
  ['text/html, */*;q=0.8', false],
  ['text/plain;version=0.0.4', false],
  ['text/plain;q=1, application/openmetrics-text;q=0.5', false],
  ['application/openmetrics-text;q=0', false],
  ['application/openmetrics-text;version=2.0.0', false],
  ['application/openmetrics-text;q=often', false],
])('a scraper that accepts %j gets OpenMetrics: %j', (accept, expected) => {
  expect(prefersOpenMetrics(accept)).toBe(expected)
})

test('every label has few values: there is none for what a workload can make up', async () => {
  const bounded: Record<string, string> = {
    type: 'the event types',
    stage: 'the stages of loss',
    rule: 'the ids of the loaded rules',
    severity: 'five',
    reason: 'a fixed list each',
    exporter: 'the configured receivers',
    result: 'the results of enrichment',
    identity: 'the first two hundred, and other',
    blast_radius: 'the levels, and unknown',
    kind: 'a fixed list each, and the configured patterns',
    le: 'the buckets',
    version: 'one',
    nodejs: 'one',
    kernel: 'one',
    bpftrace: 'one',
    backend: 'one',
    missing: 'the parts of the kernel program',
  }
  const families = (await createMetrics().registry.getMetricsAsJSON()).filter(({ name }) =>
    name.startsWith('nightjar_'),
  )
  expect(families.length).toBeGreaterThan(15)
  const registered = families.flatMap(({ name }) => {
    const metric = createMetrics().registry.getSingleMetric(name) as unknown as { labelNames: string[] }
    return metric.labelNames
  })
  for (const label of registered) expect(Object.keys(bounded)).toContain(label)
})
