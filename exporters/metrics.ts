/**
 * What the sensor counts about itself. Names and labels are part of the outside contract: dashboards and alerting
 * rules are written against them. All labels have few values: rule ids, severities, configured exporters, fixed lists, and
 * as many identities as have a name of their own here.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Alert } from '../sensor/alert.ts'
import { eventTypes } from '../sensor/event.ts'
import { boundedLabel } from './bounded-label.ts'
import { redactionKinds } from './redaction.ts'

/** Where an event can be lost, in the order of its way. */
export const lossStages = ['kernel_buffer', 'decoder', 'shed'] as const

/**
 * Why a delivery failed. After the first seven the alert is kept and tried again; after the others it is gone, so the
 * sum over those is the number of alerts that a receiver never got.
 */
export const failureReasons = [
  'connection', // refused, reset, no route, name not found
  'tls', // the certificate, or the handshake
  'timeout', // no status within the configured time
  'protocol', // the answer is not HTTP
  'throttled', // 429
  'server_error', // 408, 425, 5xx
  'storage', // a file can't be written now: the disk is full, the folder is gone
  'rejected', // any other status: the receiver does not want this alert, whenever it comes
  'given_up', // the receiver failed on it again and again, and took others meanwhile
  'spool_full', // the oldest of the lowest severity made room
  'expired', // nobody took it for longer than the spool keeps alerts
  'queue_full', // stdout: the reader is too slow
  'shutdown', // waiting in memory, not on disk, when the sensor ended
  'write', // stdout: the reader has gone, or the disk is full
] as const
export type FailureReason = (typeof failureReasons)[number]

/** The program that runs; a part that is not known is left out. */
export interface Build {
  version: string
  nodejs: string
  kernel?: string
  bpftrace?: string
  /** What the kernel is watched through. */
  backend?: string
  /** What of it can't be watched here. */
  missing?: string
}

export interface Metrics {
  readonly registry: Registry
  readonly events: Counter<'type'>
  readonly eventsLost: Counter<'stage'>
  readonly eventsShed: Counter<'type'>
  readonly programsSkipped: Counter
  readonly alerts: Counter<'rule' | 'severity'>
  /** Counts an alert by who did it, and how far that reaches. */
  countIdentity(identity: Alert['identity']): void
  readonly alertsSuppressed: Counter<'rule' | 'reason'>
  readonly ruleEvaluations: Counter
  readonly ruleErrors: Counter<'rule'>
  readonly ruleExceptionsExpired: Counter<'rule'>
  readonly breakGlassRefused: Counter<'reason'>
  readonly ruleStateEvictions: Counter<'rule' | 'kind'>
  /** Seconds. */
  readonly eventLatency: Histogram
  /** Seconds. */
  readonly alertDelivery: Histogram<'exporter'>
  readonly exportFailures: Counter<'exporter' | 'reason'>
  readonly exportQueueAlerts: Gauge<'exporter'>
  readonly spoolAlerts: Gauge
  readonly spoolBytes: Gauge
  /** 1 or 0. */
  readonly spoolDurable: Gauge
  readonly spoolDamaged: Counter
  readonly probeRestarts: Counter
  /** 1 or 0. */
  readonly probeUp: Gauge
  readonly enrichment: Counter<'result'>
  readonly redactions: Counter<'kind'>
  /** Sets the `build_info` metric, in place of what it said before. */
  describeBuild(build: Build): void
}

/** A node runs some hundred pods; over the months a sensor may see more accounts than anyone wants as series. */
const mostIdentities = 200

// Gauges whose names say counter. The ones without `_total` carry the same numbers, and `promtool check metrics` is
// right to complain.
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** All metrics of the sensor, on a registry of their own, with every series that can be known now present and 0. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  // The event loop's delay is sampled by a timer. Its default, every 10 ms, is much of an idle sensor's whole cost.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 })
  for (const name of misnamed) registry.removeSingleMetric(name)

  const registers = [registry]
  const identityLabel = boundedLabel(mostIdentities)
  const identityAlerts = new Counter({
    name: 'nightjar_identity_alerts_total',
    help: `Alerts by the identity that did it and the level of its blast radius. Identities beyond the first ${mostIdentities} are one, other.`,
    labelNames: ['identity', 'blast_radius'],
    registers,
  })
  const buildInfo = new Gauge({
    name: 'nightjar_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'nodejs', 'kernel', 'bpftrace', 'backend', 'missing'],
    registers,
  })
  const metrics: Metrics = {
    registry,
    events: new Counter({
      name: 'nightjar_events_total',
      help: 'Events received from the kernel and decoded.',
      labelNames: ['type'],
      registers,
    }),
    eventsLost: new Counter({
      name: 'nightjar_events_lost_total',
      help: 'Events known to be lost, by the stage that lost them.',
      labelNames: ['stage'],
      registers,
    }),
    programsSkipped: new Counter({
      name: 'nightjar_kernel_programs_skipped_total',
      help: 'Runs of the kernel program that the kernel skipped, as another BPF program or bpf call was under way on that processor: mostly packets sent in interrupts, of which nothing is told. Since kernel 6.7; 0 before.',
      registers,
    }),
    eventsShed: new Counter({
      name: 'nightjar_events_shed_total',
      help: 'Events dropped unjudged because the sensor was behind, by type; in nightjar_events_lost_total as stage shed.',
      labelNames: ['type'],
      registers,
    }),
    alerts: new Counter({
      name: 'nightjar_alerts_total',
      help: 'Alerts raised.',
      labelNames: ['rule', 'severity'],
      registers,
    }),
    countIdentity(identity) {
      identityAlerts.inc({
        identity: identity?.subject === undefined ? 'unknown' : identityLabel(identity.subject),
        blast_radius: identity?.blast_radius?.level ?? 'unknown',
      })
    },
    alertsSuppressed: new Counter({
      name: 'nightjar_alerts_suppressed_total',
      help: 'Matches that raised no alert of their own, by reason.',
      labelNames: ['rule', 'reason'],
      registers,
    }),
    ruleEvaluations: new Counter({
      name: 'nightjar_rule_evaluations_total',
      help: 'Conditions of rules tried on an event.',
      registers,
    }),
    ruleErrors: new Counter({
      name: 'nightjar_rule_errors_total',
      help: 'Rules that failed while judging an event.',
      labelNames: ['rule'],
      registers,
    }),
    ruleExceptionsExpired: new Counter({
      name: 'nightjar_rule_exceptions_expired_total',
      help: 'Exceptions of rules that came to their end: the rule alerts again where they held.',
      labelNames: ['rule'],
      registers,
    }),
    breakGlassRefused: new Counter({
      name: 'nightjar_break_glass_refused_total',
      help: 'Pods whose break-glass annotation did not hold when it was asked for, by reason: expired, malformed.',
      labelNames: ['reason'],
      registers,
    }),
    ruleStateEvictions: new Counter({
      name: 'nightjar_rule_state_evictions_total',
      help: 'Keys that a sequence or a threshold had to forget because its memory was full.',
      labelNames: ['rule', 'kind'],
      registers,
    }),
    eventLatency: new Histogram({
      name: 'nightjar_event_latency_seconds',
      help: 'From the kernel timestamp of an event to the verdict of all rules.',
      buckets: [0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.012, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    alertDelivery: new Histogram({
      name: 'nightjar_alert_delivery_seconds',
      help: 'From the moment an exporter takes an alert to its delivery, waiting and retries included.',
      labelNames: ['exporter'],
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
      registers,
    }),
    exportFailures: new Counter({
      name: 'nightjar_export_failures_total',
      help: 'Failed deliveries. Retried for connection, tls, timeout, protocol, throttled, server_error; else it is gone.',
      labelNames: ['exporter', 'reason'],
      registers,
    }),
    exportQueueAlerts: new Gauge({
      name: 'nightjar_export_queue_alerts',
      help: 'Alerts that wait for delivery, the one in delivery included.',
      labelNames: ['exporter'],
      registers,
    }),
    spoolAlerts: new Gauge({
      name: 'nightjar_spool_alerts',
      help: 'Alerts in the spool that the receiver that is furthest behind is not done with.',
      registers,
    }),
    spoolBytes: new Gauge({
      name: 'nightjar_spool_bytes',
      help: 'Size of the spool, delivered alerts included that are not removed yet.',
      registers,
    }),
    spoolDurable: new Gauge({
      name: 'nightjar_spool_durable',
      help: '1 while alerts wait on disk, 0 while they wait in memory; 1 also if there is nobody to wait for.',
      registers,
    }),
    spoolDamaged: new Counter({
      name: 'nightjar_spool_damaged_total',
      help: 'Damaged records and cursors found in the spool.',
      registers,
    }),
    probeRestarts: new Counter({
      name: 'nightjar_probe_restarts_total',
      help: 'Times that the kernel probe was started again after it had ended or stalled.',
      registers,
    }),
    probeUp: new Gauge({
      name: 'nightjar_probe_up',
      help: '1 while the kernel probe is attached and its heartbeat arrives, else 0.',
      registers,
    }),
    enrichment: new Counter({
      name: 'nightjar_enrichment_total',
      help: 'Events whose container, pod and identity were looked up, by result.',
      labelNames: ['result'],
      registers,
    }),
    redactions: new Counter({
      name: 'nightjar_redactions_total',
      help: 'Secrets taken out of alerts before they left, by kind.',
      labelNames: ['kind'],
      registers,
    }),
    describeBuild(build) {
      buildInfo.reset()
      buildInfo.set({ ...build }, 1)
    },
  }
  for (const type of eventTypes) metrics.events.inc({ type }, 0)
  for (const stage of lossStages) metrics.eventsLost.inc({ stage }, 0)
  for (const kind of redactionKinds) metrics.redactions.inc({ kind }, 0)
  metrics.probeUp.set(0)
  metrics.spoolDurable.set(1)
  return metrics
}
