/**
 * Elastic Common Schema 8.17: an alert document as Elasticsearch takes it (POST /<index>/_doc), and a batch as its
 * _bulk interface does. What ECS has no field for is under `nightjar`. https://www.elastic.co/docs/reference/ecs
 */
import { isIP } from 'node:net'
import type { Alert, Severity } from '../../sensor/alert.ts'
import type { EventType, ProcessBase } from '../../sensor/event.ts'
import { listed } from '../briefing.ts'
import type { Format } from '../formats.ts'

/** As Elastic's own rules number them. */
const severityNumbers: Record<Severity, number> = { critical: 99, high: 73, medium: 47, low: 21, info: 1 }

/** event.category and event.type, from ECS's lists. Of a type that isn't here: process, info. */
const categories: Partial<Record<EventType, [categories: string[], types: string[]]>> = {
  exec: [['process'], ['start']],
  exit: [['process'], ['end']],
  open: [['file'], ['access']],
  connect: [['network'], ['connection', 'start']],
  dns: [['network'], ['protocol', 'connection']],
  listen: [['network'], ['info']],
  accept: [['network'], ['connection', 'start']],
  mount: [['host'], ['change']],
  module: [['driver'], ['start']],
  bpf: [['driver'], ['info']],
  credentials: [['iam'], ['change']],
  chmod: [['file'], ['change']],
  chown: [['file'], ['change']],
  link: [['file'], ['creation']],
  rename: [['file'], ['change']],
  unlink: [['file'], ['deletion']],
  mkdir: [['file'], ['creation']],
  memfd: [['file'], ['creation']],
  gap: [['host'], ['info']],
}

type Told = Omit<ProcessBase, 'start_time'> & { start_time?: string }
type Tree = { [key: string]: unknown }

/** Without what is unknown or empty, all the way down. */
function pruned(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? value : undefined
  if (typeof value !== 'object' || value === null) return value === '' || value === null ? undefined : value
  const entries = Object.entries(value).map(([key, item]) => [key, pruned(item)] as const)
  const kept = entries.filter(([, item]) => item !== undefined)
  return kept.length > 0 ? Object.fromEntries(kept) : undefined
}

function processOf(process: Told | undefined): Tree {
  const { user, group } = process ?? {}
  return {
    pid: process?.pid,
    name: process?.name,
    executable: process?.executable?.path,
    args: process?.command_args,
    args_count: process?.args_truncated ? undefined : process?.command_args?.length,
    command_line: process?.command_line,
    working_directory: process?.working_directory,
    start: process?.start_time,
    exit_code: process?.exit_code,
    user: { id: user?.id === undefined ? undefined : String(user.id), name: user?.name },
    group: { id: group?.id === undefined ? undefined : String(group.id) },
  }
}

/** ECS wants the tag apart, and the digest in image.hash. */
function imageOf(image: { name?: string; id?: string } | undefined): Tree {
  const [, name, tag] = /^([^@]*?)(?::([^:/@]+))?(?:@.*)?$/.exec(image?.name ?? '') ?? []
  return { name, tag: tag && [tag], hash: { all: image?.id && [image.id] } }
}

/** Elasticsearch refuses a document whose ip is none. */
const endpoint = ({ ip, port, path }: { ip?: string; port?: number; path?: string } = {}): Tree => ({
  ip: ip !== undefined && isIP(ip) ? ip : undefined,
  port,
  address: ip ?? path,
})

function documentOf(alert: Alert): unknown {
  const { rule, process, file, destination, source, network, dns, container, k8s, host, identity } = alert
  const [category, type] = categories[alert.event.type] ?? [['process'], ['info']]
  const [parent, grandparent] = process?.ancestors ?? []
  const mitre = rule.tags.mitre ?? []
  const techniques = mitre.filter((tag) => /^T\d{4}$/.test(tag))
  const subtechniques = mitre.filter((tag) => /^T\d{4}\.\d{3}$/.test(tag))
  const parents = subtechniques.map((tag) => tag.slice(0, 5))
  const user = process?.user
  return pruned({
    '@timestamp': alert.time,
    ecs: { version: '8.17.0' },
    message: alert.message,
    tags: Object.values(rule.tags).flat(),
    event: {
      id: alert.id,
      kind: 'alert',
      category,
      type,
      action: alert.event.type,
      outcome: alert.error ? 'failure' : undefined,
      module: 'nightjar',
      dataset: 'nightjar.alert',
      provider: 'nightjar',
      severity: severityNumbers[alert.severity],
      risk_score: alert.priority,
      start: alert.first_seen,
      end: alert.last_seen,
      url: alert.runbook && URL.canParse(alert.runbook) ? alert.runbook : undefined,
    },
    rule: { id: rule.id, name: rule.name, ruleset: rule.pack, version: rule.version, reference: alert.runbook },
    threat: {
      framework: mitre.length > 0 ? 'MITRE ATT&CK' : undefined,
      tactic: { id: mitre.filter((tag) => tag.startsWith('TA')) },
      technique: { id: [...new Set([...techniques, ...parents])], subtechnique: { id: subtechniques } },
    },
    process: { ...processOf(process), parent: { ...processOf(parent), parent: undefined } },
    user: { id: user?.id === undefined ? undefined : String(user.id), name: user?.name },
    file: {
      path: file?.path ?? file?.requested_path,
      name: file?.name,
      directory: file?.directory,
      target_path: file?.target_path,
      inode: file?.inode,
      mode: file?.mode,
      uid: file?.uid === undefined ? undefined : String(file.uid),
      gid: file?.gid === undefined ? undefined : String(file.gid),
    },
    destination: endpoint(destination),
    source: endpoint(source),
    network: { transport: network?.transport, type: network?.type },
    dns: { question: { name: dns?.question?.name, type: dns?.question?.type } },
    error: { code: alert.error?.code },
    container: {
      id: container?.id,
      name: container?.name ?? k8s?.container?.name,
      runtime: container?.runtime,
      image: imageOf(container?.image),
    },
    orchestrator: {
      type: k8s === undefined ? undefined : 'kubernetes',
      cluster: { name: k8s?.cluster?.name },
      namespace: k8s?.namespace?.name,
      resource: {
        type: k8s?.pod?.name === undefined ? undefined : 'pod',
        id: k8s?.pod?.uid,
        name: k8s?.pod?.name,
        parent: { type: k8s?.owner?.kind },
        label: Object.entries(k8s?.pod?.label ?? {}).map(([name, value]) => `${name}:${value}`),
      },
    },
    host: { name: host?.name, hostname: host?.name, os: { type: 'linux', kernel: host?.kernel } },
    observer: {
      type: 'sensor',
      product: 'Nightjar',
      vendor: 'Nightjar',
      version: alert.sensor.version,
      name: alert.sensor.node,
    },
    related: {
      ip: [...new Set([destination?.ip, source?.ip].filter((ip) => ip !== undefined && isIP(ip) > 0))],
      user: [...new Set([user?.name, identity?.subject].filter((name) => name !== undefined))],
    },
    nightjar: {
      schema: alert.schema,
      severity: alert.severity,
      count: alert.count,
      identity,
      owner: listed([k8s?.owner?.kind, k8s?.owner?.name], '/'),
      node: k8s?.node?.name,
      grandparent: grandparent?.command_line,
      stdin: process?.stdin,
      target: alert.target,
      gap: alert.gap,
      mount: alert.mount,
      module: alert.module,
      bpf: alert.bpf,
      namespace: alert.namespace,
      ptrace: alert.ptrace,
      credentials: alert.credentials,
      lost_events: alert.sensor.lost_events,
    },
  })
}

export const ecs: Format = {
  contentType: 'application/json',
  one: (alert) => JSON.stringify(documentOf(alert)),
  // The id makes a second delivery of the same alert a conflict, not a second document.
  many: (alerts) =>
    alerts
      .map((alert) => `${JSON.stringify({ create: { _id: alert.id } })}\n${JSON.stringify(documentOf(alert))}\n`)
      .join(''),
  batchContentType: 'application/x-ndjson',
}
