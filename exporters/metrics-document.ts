/** docs/metrics.md: every metric of the sensor, from the registry itself. */
import { code, document, escaped, table } from '../rules/markdown.ts'
import { eventTypes } from '../sensor/event.ts'
import { createMetrics, failureReasons, lossStages } from './metrics.ts'
import { redactionKinds } from './redaction.ts'

const listed = (values: readonly string[]) => values.map(code).join(', ')

/** What a label says, by `metric{label}`, or by the label alone where it says the same in every metric. */
const labels: Readonly<Record<string, string>> = {
  backend: 'what the kernel is watched through: `tracepoint`, and `tracepoint,kprobe` where it allows kprobes',
  blast_radius: 'its level: `critical`, `high`, `medium`, `low`, `none`; `unknown`',
  bpftrace: 'its version',
  exporter: 'the receiver’s `name`; `otlp`, `file`, `syslog`, `kubernetes-events`, `stdout`',
  identity: '`identity.subject`; `unknown`, and `other` for those beyond the first',
  kernel: 'its release',
  missing: 'what of it can’t be watched here',
  nodejs: 'its version',
  rule: 'the rule’s id',
  severity: listed(['critical', 'high', 'medium', 'low', 'info']),
  version: 'Nightjar’s',
  'nightjar_alerts_suppressed_total{reason}': listed(['folded', 'exception', 'rate_limited']),
  'nightjar_break_glass_refused_total{reason}': listed(['expired', 'malformed']),
  'nightjar_enrichment_total{result}':
    '`pod` (by the API server), `runtime` (by the container runtime alone), `container` (its pod is not known), `host`, `unknown`',
  'nightjar_events_lost_total{stage}': listed(lossStages),
  'nightjar_events_total{type}': listed(eventTypes),
  'nightjar_events_shed_total{type}': listed(eventTypes),
  'nightjar_export_failures_total{reason}': listed(failureReasons),
  'nightjar_redactions_total{kind}': `${listed(redactionKinds)}, and the names of your own patterns`,
  'nightjar_rule_state_evictions_total{kind}': listed(['sequence', 'threshold']),
}

interface Described {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly labels: readonly string[]
}

/** The registry hands out its metrics as they are; their type says nothing of the labels that each of them has. */
function described(): Described[] {
  return createMetrics()
    .registry.getMetricsAsArray()
    .map((metric) => ({
      name: metric.name,
      type: String(metric.type),
      help: metric.help,
      labels: 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [],
    }))
}

function meanings(metric: Described): string {
  return metric.labels
    .map((label) => {
      const meaning = labels[`${metric.name}{${label}}`] ?? labels[label]
      if (meaning === undefined)
        throw new Error(`exporters/metrics-document.ts: ${metric.name}: no word on the label ${label}`)
      return `${code(label)}: ${meaning}`
    })
    .join('<br>')
}

export function metricsDocument(): string {
  const all = described()
  const own = all.filter(({ name }) => name.startsWith('nightjar_'))
  const others = all.filter((metric) => !own.includes(metric))
  return document([
    '# Metrics',
    '',
    'Written by `npm run docs` from the registry that `/metrics` serves, as text 0.0.4 or OpenMetrics 1.0. Names and labels are',
    'part of the contract: dashboards and alerting rules are written against them. No label holds what a workload can make up.',
    'What to alert on is in [tuning](tuning.md#what-to-watch).',
    '',
    '## Of Nightjar',
    '',
    ...table(
      ['metric', 'type', 'meaning', 'labels'],
      own.map((metric) => [code(metric.name), metric.type, escaped(metric.help), meanings(metric)]),
    ),
    '## Of its process',
    '',
    'What every Node.js program tells of itself, of the sensor alone: bpftrace is a process of its own.',
    '',
    ...table(
      ['metric', 'type', 'meaning', 'labels'],
      others.map(({ name, type, help, labels }) => [code(name), type, escaped(help), labels.map(code).join(', ')]),
    ),
  ])
}
