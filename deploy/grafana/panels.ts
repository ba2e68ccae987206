/** What the dashboard shows, panel by panel. */

interface Query {
  expr: string
  legend: string
}
export interface Panel {
  title: string
  description: string
  type: 'stat' | 'timeseries' | 'table'
  /** Grafana's names: short, s, bytes, percentunit, ops, dateTimeFromNow. */
  unit: string
  /** Of the 24 columns. */
  width: number
  queries: Query[]
  /** From this value on it is red. */
  redFrom?: number
  stacked?: true
}
interface Row {
  title: string
  panels: Panel[]
}

/** The series of the nodes that are chosen above. */
const ours = 'job="nightjar",node=~"$node"'
const rate = '$__rate_interval'
const range = '$__range'
/**
 * By how much counters have grown whose series begin with their first count: increase() sees nothing of a series' first value,
 * which for most rules is the only alert in weeks.
 */
const grown = (metric: string, range: string) =>
  `((${metric}{${ours}} unless ${metric}{${ours}} offset ${range}) or increase(${metric}{${ours}}[${range}]))`
const quantile = (q: number, metric: string, by = '') =>
  `histogram_quantile(${q}, sum by (${by}le) (rate(${metric}_bucket{${ours}}[${rate}])))`

export const rows: Row[] = [
  {
    title: 'The sensor',
    panels: [
      {
        title: 'Nodes that are watched',
        description: 'Their kernel probe is attached, and its heartbeat arrives.',
        ...{ type: 'stat', unit: 'short', width: 4 },
        queries: [{ expr: `sum(nightjar_probe_up{${ours}})`, legend: '' }],
      },
      {
        title: 'Nodes that are not',
        description: 'The sensor answers, but sees nothing; or it does not answer.',
        ...{ type: 'stat', unit: 'short', width: 4, redFrom: 1 },
        queries: [{ expr: `count(up{${ours}}) - (sum(nightjar_probe_up{${ours}}) or vector(0))`, legend: '' }],
      },
      {
        title: 'Events lost',
        description: 'In the time that is shown. None is what to expect.',
        ...{ type: 'stat', unit: 'short', width: 4, redFrom: 1 },
        queries: [{ expr: `sum(increase(nightjar_events_lost_total{${ours}}[$__range]))`, legend: '' }],
      },
      {
        title: 'Alerts that wait',
        description: 'For a receiver that is slow or away.',
        ...{ type: 'stat', unit: 'short', width: 4, redFrom: 1000 },
        queries: [{ expr: `sum(nightjar_spool_alerts{${ours}})`, legend: '' }],
      },
      {
        title: 'Probe restarts',
        description: 'Each was a gap, in which nothing was seen.',
        ...{ type: 'stat', unit: 'short', width: 4, redFrom: 1 },
        queries: [{ expr: `sum(increase(nightjar_probe_restarts_total{${ours}}[$__range]))`, legend: '' }],
      },
      {
        title: 'Rules that failed',
        description: 'A rule that fails is off until rules are loaded anew.',
        ...{ type: 'stat', unit: 'short', width: 4, redFrom: 1 },
        queries: [{ expr: `sum${grown('nightjar_rule_errors_total', range)} or vector(0)`, legend: '' }],
      },
      {
        title: 'Processor',
        description: "Of the sensor's own process, without bpftrace: 1 is one core.",
        ...{ type: 'timeseries', unit: 'percentunit', width: 8 },
        queries: [{ expr: `rate(process_cpu_seconds_total{${ours}}[${rate}])`, legend: '{{node}}' }],
      },
      {
        title: 'Memory',
        description: "Resident set of the sensor's own process, without bpftrace.",
        ...{ type: 'timeseries', unit: 'bytes', width: 8 },
        queries: [{ expr: `process_resident_memory_bytes{${ours}}`, legend: '{{node}}' }],
      },
      {
        title: 'What runs',
        description: 'Versions, and on how many nodes.',
        ...{ type: 'table', unit: 'short', width: 8 },
        queries: [{ expr: `count by (version, nodejs, kernel, bpftrace) (nightjar_build_info{${ours}})`, legend: '' }],
      },
    ],
  },
  {
    title: 'Events',
    panels: [
      {
        title: 'Events a second, by type',
        description: 'As the kernel sent them: those that a rule could want.',
        ...{ type: 'timeseries', unit: 'ops', width: 12, stacked: true },
        queries: [{ expr: `sum by (type) (rate(nightjar_events_total{${ours}}[${rate}])) > 0`, legend: '{{type}}' }],
      },
      {
        title: 'Events lost a second, by stage',
        description:
          'kernel_buffer: the node did more than bpftrace could read. decoder: records not come whole. shed: the sensor was behind.',
        ...{ type: 'timeseries', unit: 'ops', width: 12, stacked: true },
        queries: [{ expr: `sum by (stage) (rate(nightjar_events_lost_total{${ours}}[${rate}]))`, legend: '{{stage}}' }],
      },
      {
        title: 'Shed events a second, by type',
        description:
          'Dropped unjudged because the sensor was behind, the least valuable first. None is what to expect.',
        ...{ type: 'timeseries', unit: 'ops', width: 12, stacked: true },
        queries: [
          { expr: `sum by (type) (rate(nightjar_events_shed_total{${ours}}[${rate}])) > 0`, legend: '{{type}}' },
        ],
      },
      {
        title: 'From the kernel to the verdict',
        description: 'Time between an event and the end of all rules on it.',
        ...{ type: 'timeseries', unit: 's', width: 12 },
        queries: [0.5, 0.99, 0.999].map((q) => ({
          expr: quantile(q, 'nightjar_event_latency_seconds'),
          legend: `p${q * 100}`,
        })),
      },
      {
        title: 'Whose events they are',
        description: 'Results of looking up container, pod and identity.',
        ...{ type: 'timeseries', unit: 'ops', width: 12, stacked: true },
        queries: [
          { expr: `sum by (result) (rate(nightjar_enrichment_total{${ours}}[${rate}]))`, legend: '{{result}}' },
        ],
      },
      {
        title: 'Conditions tried a second',
        description: 'The work of the rule engine. It hardly grows with the number of rules.',
        ...{ type: 'timeseries', unit: 'ops', width: 6 },
        queries: [
          { expr: `sum by (node) (rate(nightjar_rule_evaluations_total{${ours}}[${rate}]))`, legend: '{{node}}' },
        ],
      },
      {
        title: 'Keys forgotten by sequences and thresholds',
        description: 'Their memory is bounded; what was forgotten may have been the beginning of a match.',
        ...{ type: 'timeseries', unit: 'ops', width: 6 },
        queries: [
          {
            expr: `sum by (rule, kind) (rate(nightjar_rule_state_evictions_total{${ours}}[${rate}]))`,
            legend: '{{rule}} {{kind}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Alerts',
    panels: [
      {
        title: 'Alerts, by severity',
        description: 'Repeats of one act are folded into one alert.',
        ...{ type: 'timeseries', unit: 'short', width: 12, stacked: true },
        queries: [{ expr: `sum by (severity) ${grown('nightjar_alerts_total', rate)}`, legend: '{{severity}}' }],
      },
      {
        title: 'Alerts, by blast radius',
        description: 'How far the identities reach that raised them.',
        ...{ type: 'timeseries', unit: 'short', width: 12, stacked: true },
        queries: [
          {
            expr: `sum by (blast_radius) ${grown('nightjar_identity_alerts_total', rate)}`,
            legend: '{{blast_radius}}',
          },
        ],
      },
      {
        title: 'Rules that alert most',
        description: 'In the time that is shown.',
        ...{ type: 'table', unit: 'short', width: 12 },
        queries: [
          {
            expr: `topk(20, sum by (rule, severity) ${grown('nightjar_alerts_total', range)} > 0)`,
            legend: '',
          },
        ],
      },
      {
        title: 'Identities that alert most',
        description: 'Each sensor names the first two hundred that it sees; the rest is other.',
        ...{ type: 'table', unit: 'short', width: 12 },
        queries: [
          {
            expr: `topk(20, sum by (identity, blast_radius) ${grown('nightjar_identity_alerts_total', range)} > 0)`,
            legend: '',
          },
        ],
      },
      {
        title: 'Matches without an alert of their own',
        description: 'Repeats, exceptions, and what a phase or a limit held back.',
        ...{ type: 'timeseries', unit: 'short', width: 12, stacked: true },
        queries: [
          {
            expr: `sum by (reason) ${grown('nightjar_alerts_suppressed_total', rate)}`,
            legend: '{{reason}}',
          },
        ],
      },
      {
        title: 'Secrets taken out of alerts',
        description: 'Before anybody was told, by kind.',
        ...{ type: 'timeseries', unit: 'short', width: 12, stacked: true },
        queries: [{ expr: `sum by (kind) ${grown('nightjar_redactions_total', rate)}`, legend: '{{kind}}' }],
      },
    ],
  },
  {
    title: 'Delivery',
    panels: [
      {
        title: 'To the receiver',
        description: 'From the moment a receiver has an alert to take until it has taken it, retries included.',
        ...{ type: 'timeseries', unit: 's', width: 8 },
        queries: [
          { expr: quantile(0.99, 'nightjar_alert_delivery_seconds', 'exporter, '), legend: 'p99 {{exporter}}' },
        ],
      },
      {
        title: 'Failed deliveries',
        description: 'By receiver and reason. connection to storage: tried again. The others: the alert is gone.',
        ...{ type: 'timeseries', unit: 'short', width: 8 },
        queries: [
          {
            expr: `sum by (exporter, reason) (increase(nightjar_export_failures_total{${ours}}[${rate}]))`,
            legend: '{{exporter}} {{reason}}',
          },
        ],
      },
      {
        title: 'Waiting, by receiver',
        description: 'Alerts that are on disk and not yet taken.',
        ...{ type: 'timeseries', unit: 'short', width: 8 },
        queries: [{ expr: `sum by (exporter) (nightjar_export_queue_alerts{${ours}})`, legend: '{{exporter}}' }],
      },
      {
        title: 'Spool on disk',
        description:
          'Beyond its limit the oldest alerts of the lowest severity are dropped, and counted as spool_full.',
        ...{ type: 'timeseries', unit: 'bytes', width: 8 },
        queries: [{ expr: `nightjar_spool_bytes{${ours}}`, legend: '{{node}}' }],
      },
      {
        title: 'Spools that are not durable',
        description: 'Alerts wait in memory there, and end with the sensor.',
        ...{ type: 'timeseries', unit: 'short', width: 8 },
        queries: [{ expr: `nightjar_spool_durable{${ours}} == 0`, legend: '{{node}}' }],
      },
      {
        title: 'Damage found in spools',
        description: 'Records and cursors that a crash of the node or its disk left unreadable.',
        ...{ type: 'timeseries', unit: 'short', width: 8 },
        queries: [{ expr: `increase(nightjar_spool_damaged_total{${ours}}[${rate}])`, legend: '{{node}}' }],
      },
    ],
  },
]
