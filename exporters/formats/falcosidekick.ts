/** What Falco sends with json_output and http_output, so that falcosidekick and whatever else reads it can be used. */
import type { Alert, Severity } from '../../sensor/alert.ts'
import { blastRadius, listed, reach } from '../briefing.ts'
import type { Format } from '../formats.ts'
import { identityOf } from '../identified.ts'
import { printable } from '../printable.ts'

/** Falco's priorities are syslog's; it knows no Low. */
const priorities: Record<Severity, string> = {
  critical: 'Critical',
  high: 'Error',
  medium: 'Warning',
  low: 'Notice',
  info: 'Informational',
}

function fieldsOf(alert: Alert): Record<string, string | number | undefined> {
  const { process, container, k8s, file, destination, source, network, identity, time } = alert
  const [parent, grandparent] = process?.ancestors ?? []
  const { repository, tag } = imageOf(container?.image?.name)
  return {
    // Nanoseconds don't fit a double; Falco's own number is read as one by most.
    'evt.time': Date.parse(time) * 1_000_000,
    'evt.type': alert.event.type,
    'proc.name': process?.name ?? process?.executable?.name,
    'proc.cmdline': process?.command_line,
    'proc.exepath': process?.executable?.path,
    'proc.cwd': process?.working_directory,
    'proc.pid': process?.pid,
    'proc.ppid': process?.ppid,
    'proc.pname': parent?.name,
    'proc.pcmdline': parent?.command_line,
    'proc.aname[2]': grandparent?.name,
    'user.name': process?.user?.name,
    'user.uid': process?.user?.id,
    'group.gid': process?.group?.id,
    'container.id': container === undefined ? 'host' : container.id?.slice(0, 12),
    'container.name': container?.name,
    'container.image.repository': repository,
    'container.image.tag': tag,
    'k8s.ns.name': k8s?.namespace?.name,
    'k8s.pod.name': k8s?.pod?.name,
    'k8s.pod.uid': k8s?.pod?.uid,
    'k8s.pod.sa.name': identity?.service_account?.name,
    'fd.name': file?.path ?? destination?.path,
    'fd.sip': destination?.ip,
    'fd.sport': destination?.port,
    'fd.cip': source?.ip,
    'fd.cport': source?.port,
    'fd.l4proto': network?.transport,
    'nightjar.id': alert.id,
    'nightjar.priority': alert.priority,
    'nightjar.count': alert.count,
    'nightjar.identity': identity?.subject,
    'nightjar.spiffe_id': identityOf(alert).spiffe_id,
    'nightjar.cloud': listed((identityOf(alert).cloud ?? []).map(({ principal }) => principal)),
    'nightjar.blast_radius': blastRadius(alert),
    'nightjar.reach': reach(alert),
    'nightjar.cluster': k8s?.cluster?.name,
    'nightjar.owner': listed([k8s?.owner?.kind, k8s?.owner?.name], '/'),
    'nightjar.runbook': alert.runbook,
  }
}

/** The tag comes after a colon that is in the last part of the reference: the first may be a registry's port. */
function imageOf(reference: string | undefined): { repository?: string; tag?: string } {
  const [, repository, tag] = /^([^@]*?)(?::([^:/@]+))?(?:@.*)?$/.exec(reference ?? '') ?? []
  return { ...(repository && { repository }), ...(tag && { tag }) }
}

function payload(alert: Alert): object {
  const { rule, severity, time, message, sensor } = alert
  const priority = priorities[severity]
  const fields = Object.entries(fieldsOf(alert)).filter(([, value]) => value !== undefined && value !== '')
  return {
    uuid: alert.id,
    // Falco's own begins with the time and the priority too; consumers show it as it is, so it is one line.
    output: printable(`${time}: ${priority} ${message}`),
    priority,
    rule: rule.name,
    time,
    source: 'syscall',
    hostname: alert.host?.name ?? sensor.node,
    tags: ['nightjar', ...Object.values(rule.tags).flat()],
    output_fields: Object.fromEntries(
      fields.map(([name, value]) => [name, typeof value === 'string' ? printable(value) : value]),
    ),
  }
}

export const falcosidekick: Format = {
  contentType: 'application/json',
  one: (alert) => JSON.stringify(payload(alert)),
}
