/**
 * OCSF 1.5.0, Detection Finding (class 2004) with the profiles host and container. https://schema.ocsf.io/1.5.0
 *
 * Who did it is `actor` (the process and its parents, the user or the service account), where is `device` (the node),
 * what it was done to is in `evidences`, and what is at risk in `resources`: the pod and the identity. What OCSF has no
 * place for is in `unmapped`.
 */
import { isIP } from 'node:net'
import type { Alert, Severity } from '../../sensor/alert.ts'
import type { ProcessBase } from '../../sensor/event.ts'
import { blastRadius, listed, reach } from '../briefing.ts'
import type { Format } from '../formats.ts'
import { identityOf } from '../identified.ts'

const version = '1.5.0'
const classUid = 2004
const create = 1

const severityIds: Record<Severity, number> = { info: 1, low: 2, medium: 3, high: 4, critical: 5 }
const riskLevels = new Map<string | undefined, { risk_level: string; risk_level_id: number }>([
  ['none', { risk_level: 'Info', risk_level_id: 0 }],
  ['low', { risk_level: 'Low', risk_level_id: 1 }],
  ['medium', { risk_level: 'Medium', risk_level_id: 2 }],
  ['high', { risk_level: 'High', risk_level_id: 3 }],
  ['critical', { risk_level: 'Critical', risk_level_id: 4 }],
])
/** OCSF's types of files, by the alert's. */
const fileTypes = new Map<string | undefined, { type_id: number; type: string }>([
  ['regular', { type_id: 1, type: 'Regular File' }],
  ['directory', { type_id: 2, type: 'Folder' }],
  ['character_device', { type_id: 3, type: 'Character Device' }],
  ['block_device', { type_id: 4, type: 'Block Device' }],
  ['socket', { type_id: 5, type: 'Local Socket' }],
  ['pipe', { type_id: 6, type: 'Named Pipe' }],
  ['symlink', { type_id: 7, type: 'Symbolic Link' }],
])
const unknownFile = { type_id: 0, type: 'Unknown' }

type Told = Omit<ProcessBase, 'start_time'> & { start_time?: string }

/** The object without the keys whose values are unknown; undefined if nothing is left. */
function known<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } | undefined {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined && value !== '')
  return entries.length > 0 ? (Object.fromEntries(entries) as { [K in keyof T]: NonNullable<T[K]> }) : undefined
}

/** The first of them must be known, or OCSF doesn't want the object. */
function knownBy<T extends object>(key: keyof T, values: T) {
  return values[key] === undefined || values[key] === '' ? undefined : known(values)
}

const milliseconds = (time: string) => Date.parse(time)

function file(path: string | undefined, more: object = {}, type?: string) {
  const name = path?.slice(path.lastIndexOf('/') + 1)
  return !path ? undefined : known({ name: name || path, path, ...(fileTypes.get(type) ?? unknownFile), ...more })
}

function user(process: Told | undefined) {
  const { id, name } = process?.user ?? {}
  return known({ uid: id === undefined ? undefined : String(id), name })
}

/** With its parents, as far as they are known; OCSF wants to know each by its number. */
function processOf(process: Told | undefined, ancestors: readonly Told[] = []): object | undefined {
  if (process?.pid === undefined) return undefined
  const { executable, start_time } = process
  return known({
    pid: process.pid,
    name: process.name ?? executable?.name,
    cmd_line: process.command_line,
    created_time: start_time === undefined ? undefined : milliseconds(start_time),
    file: file(executable?.path, executable?.deleted ? { is_deleted: true } : {}, 'regular'),
    path: executable?.path,
    working_directory: process.working_directory,
    user: user(process),
    parent_process: processOf(ancestors[0], ancestors.slice(1)),
  })
}

/** A static pod's is a hash, and none. */
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

function containerOf({ container, k8s }: Alert) {
  const { id, name, runtime, image } = container ?? {}
  return knownBy(id === undefined ? 'name' : 'uid', {
    uid: id,
    name: name ?? k8s?.container?.name,
    runtime,
    image: knownBy('uid', { uid: image?.id ?? image?.name, name: image?.name }),
    orchestrator: k8s === undefined ? undefined : 'kubernetes',
    pod_uuid: uuid.test(k8s?.pod?.uid ?? '') ? k8s?.pod?.uid : undefined,
  })
}

const endpoint = (address: { ip?: string; port?: number } | undefined) =>
  knownBy('ip', { ip: isIP(address?.ip ?? '') ? address?.ip : undefined, port: address?.port })

/** MITRE's own numbers: TA0002 is a tactic, T1059 a technique, T1059.004 one of its sub-techniques. */
function attack(tag: string): object | undefined {
  const [, tactic, technique, sub] = /^(?:(TA\d{4})|(T\d{4})(\.\d{3})?)$/.exec(tag) ?? []
  if (tactic) return { tactic: { uid: tactic } }
  if (!technique) return undefined
  return { technique: { uid: technique }, ...(sub && { sub_technique: { uid: technique + sub } }) }
}

function resourcesOf(alert: Alert): object[] {
  const { k8s, identity } = alert
  const { cloud = [], spiffe_id } = identityOf(alert)
  const namespace = k8s?.namespace?.name
  const labels = Object.entries(k8s?.pod?.label ?? {}).map(([name, value]) => `${name}=${value}`)
  return [
    knownBy('name', {
      name: k8s?.pod?.name,
      type: 'Pod',
      uid: k8s?.pod?.uid,
      namespace,
      labels: labels.length > 0 ? labels : undefined,
    }),
    knownBy('name', { name: k8s?.owner?.name, type: k8s?.owner?.kind, namespace }),
    knownBy('name', { name: identity?.subject, type: identity?.kind, namespace: identity?.service_account?.namespace }),
    ...cloud.map(({ principal, provider }) =>
      knownBy('name', { name: principal, type: listed([provider, 'identity'], ' ') }),
    ),
    knownBy('uid', { uid: spiffe_id, type: 'SPIFFE ID' }),
  ].filter((resource) => resource !== undefined)
}

function finding(alert: Alert): object {
  const { rule, severity, message, process, k8s, host, sensor, dns } = alert
  const time = milliseconds(alert.time)
  const [first_seen_time, last_seen_time] = [milliseconds(alert.first_seen), milliseconds(alert.last_seen)]
  const attacks = (rule.tags.mitre ?? []).map(attack).filter((found) => found !== undefined)
  const { level, score } = identityOf(alert).blast_radius ?? {}
  const container = containerOf(alert)
  const actor = known({ process: processOf(process, process?.ancestors), user: identityUser(alert) ?? user(process) })
  const device = {
    type_id: 1,
    type: 'Server',
    hostname: k8s?.node?.name ?? host?.name ?? sensor.node,
    ...(host?.kernel && { os: { name: 'Linux', type_id: 200, type: 'Linux', kernel_release: host.kernel } }),
  }
  const evidence = known({
    actor,
    process: processOf(alert.target),
    container,
    file: file(alert.file?.path ?? alert.file?.requested_path, {}, alert.file?.type),
    dst_endpoint: endpoint(alert.destination),
    src_endpoint: endpoint(alert.source),
    query: knownBy('hostname', { hostname: dns?.question?.name, type: dns?.question?.type }),
    device,
  })
  return {
    class_uid: classUid,
    class_name: 'Detection Finding',
    category_uid: 2,
    category_name: 'Findings',
    activity_id: create,
    activity_name: 'Create',
    type_uid: classUid * 100 + create,
    type_name: 'Detection Finding: Create',
    time,
    start_time: first_seen_time,
    end_time: last_seen_time,
    count: alert.count,
    severity_id: severityIds[severity],
    severity: severity === 'info' ? 'Informational' : severity[0]?.toUpperCase() + severity.slice(1),
    status_id: 1,
    status: 'New',
    is_alert: true,
    message,
    metadata: {
      version,
      uid: alert.id,
      profiles: ['host', 'container'],
      product: { name: 'Nightjar', vendor_name: 'Nightjar', version: sensor.version },
      log_name: 'alert',
      labels: Object.values(rule.tags).flat(),
    },
    finding_info: {
      uid: alert.id,
      title: rule.name,
      desc: message,
      created_time: time,
      first_seen_time,
      last_seen_time,
      types: [alert.event.type],
      // 1: Rule
      analytic: known({
        uid: rule.id,
        name: rule.name,
        category: rule.pack,
        version: rule.version,
        type_id: 1,
        type: 'Rule',
      }),
      ...(attacks.length > 0 && { attacks }),
    },
    ...(alert.runbook && {
      remediation: { desc: alert.runbook, ...(URL.canParse(alert.runbook) && { references: [alert.runbook] }) },
    }),
    risk_score: alert.priority,
    ...riskLevels.get(level),
    ...known({ risk_details: listed([blastRadius(alert), reach(alert)], '. '), impact_score: score, actor }),
    device: { ...device, ...(container && { container }) },
    evidences: [evidence],
    resources: resourcesOf(alert),
    unmapped: unmapped(alert),
  }
}

/** In a cluster the account is who it is; the number of the user says little. */
function identityUser({ identity }: Alert) {
  return identity?.kind === 'service_account'
    ? known({ name: identity.subject, type: 'Service Account', type_id: 99 })
    : undefined
}

/** What the finding has no place for, under the alert's own names. */
function unmapped(alert: Alert): object {
  const { identity, k8s, gap, namespace, mount, module, bpf, ptrace, credentials, error, earlier, sensor } = alert
  const stdio = alert.process?.stdin
  return (
    known({
      identity,
      k8s,
      gap,
      namespace,
      mount,
      module,
      bpf,
      ptrace,
      credentials,
      error,
      earlier,
      sensor,
      stdin: stdio,
    }) ?? {}
  )
}

export const ocsf: Format = {
  contentType: 'application/json',
  one: (alert) => JSON.stringify(finding(alert)),
  many: (alerts) => JSON.stringify(alerts.map(finding)),
}
