/**
 * Prometheus Alertmanager, POST /api/v2/alerts.
 *
 * An Alertmanager tells alerts apart by their labels and groups by them, so they say what fired and where, from names
 * that a cluster has few of; what is different each time (the command line, the process id, the id of the alert) is an
 * annotation. The same rule in the same pod again is the same alert, with the annotations of the latest.
 */
import type { Alert } from '../../sensor/alert.ts'
import { blastRadius, clipped, deed, listed, reach, webAddress } from '../briefing.ts'
import type { Format } from '../formats.ts'
import { identityOf } from '../identified.ts'
import { printable } from '../printable.ts'

const longestLabel = 256
const longestAnnotation = 2000

const texts = (values: Record<string, string | undefined>, longest: number): Record<string, string> =>
  Object.fromEntries(
    // Alertmanager drops empty labels, and refuses text that is no UTF-8.
    Object.entries(values).flatMap(([name, text]) => (text ? [[name, clipped(printable(text), longest)]] : [])),
  )

function posted(alert: Alert): object {
  const { rule, severity, k8s, host, sensor, process, identity, runbook } = alert
  const labels = {
    alertname: rule.id,
    severity,
    rule_pack: rule.pack,
    cluster: k8s?.cluster?.name,
    node: k8s?.node?.name ?? host?.name ?? sensor.node,
    namespace: k8s?.namespace?.name,
    workload: listed([k8s?.owner?.kind, k8s?.owner?.name], '/'),
    pod: k8s?.pod?.name,
    container: k8s?.container?.name ?? alert.container?.name,
    service_account: identity?.service_account?.name,
    blast_radius: identityOf(alert).blast_radius?.level,
  }
  const annotations = {
    summary: alert.message,
    title: rule.name,
    command_line: process?.command_line,
    event: deed(alert),
    identity: listed([identity?.subject, identity?.freshness !== 'live' && identity?.freshness], ', '),
    blast_radius: blastRadius(alert),
    reach: reach(alert),
    image: alert.container?.image?.name,
    tags: Object.values(rule.tags).flat().join(' '),
    priority: String(alert.priority),
    count: String(alert.count),
    last_seen: alert.last_seen,
    runbook_url: webAddress(runbook),
    runbook: webAddress(runbook) ? undefined : runbook,
    alert_id: alert.id,
  }
  return {
    labels: texts(labels, longestLabel),
    annotations: texts(annotations, longestAnnotation),
    // Without an end Alertmanager ends it by itself (resolve_timeout) after the latest of its kind.
    startsAt: alert.first_seen,
  }
}

export const alertmanager: Format = {
  contentType: 'application/json',
  one: (alert) => JSON.stringify([posted(alert)]),
  many: (alerts) => JSON.stringify(alerts.map(posted)),
}
