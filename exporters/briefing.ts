/**
 * An alert in the few lines that a person acts on: what happened, who did it, how far that identity reaches, and what
 * to do next. Every value is one line without control characters (printable.ts); the form is the chat's own affair.
 */
import type { Alert } from '../sensor/alert.ts'
import { type Endpoint, identityOf } from './identified.ts'
import { printable } from './printable.ts'

export interface Briefing {
  /** `CRITICAL: Reverse shell` */
  headline: string
  message: string
  facts: { label: string; text: string }[]
  /** The command line of the process. */
  command?: string
  next: string
  /** An http or https URL. */
  runbook?: string
}

const longestMessage = 1000
const longestCommand = 1000
const longestFact = 300

export function briefing(alert: Alert): Briefing {
  const facts = rows.flatMap(([label, value]) => {
    const text = value(alert)
    return text ? [{ label, text: clipped(printable(text), longestFact) }] : []
  })
  const command = alert.process?.command_line
  const runbook = webAddress(alert.runbook)
  return {
    headline: clipped(printable(`${alert.severity.toUpperCase()}: ${alert.rule.name}`), 140),
    message: clipped(printable(alert.message), longestMessage),
    facts,
    ...(command && { command: clipped(printable(command), longestCommand) }),
    next: nextStep(alert),
    ...(runbook && { runbook }),
  }
}

/** In the order in which they are read. What is not known has no line. */
const rows: [label: string, value: (alert: Alert) => string | false | undefined][] = [
  ['Workload', workload],
  ['Identity', ({ identity }) => listed([identity?.subject, doubt(identity?.freshness)], ' ')],
  [
    'Acts as',
    (alert) =>
      listed([...(identityOf(alert).cloud ?? []).map(({ principal }) => principal), identityOf(alert).spiffe_id]),
  ],
  ['Blast radius', blastRadius],
  ['Reaches', reach],
  ['Did', deed],
  ['Container', ({ container }) => listed([container?.name, container?.image?.name ?? container?.image?.id])],
  [
    'Node',
    ({ host, k8s, sensor }) =>
      listed([k8s?.node?.name ?? host?.name ?? sensor.node, k8s?.cluster?.name && `cluster ${k8s.cluster.name}`]),
  ],
  ['User', ({ process }) => listed([process?.user?.name, process?.user?.id !== undefined && `uid ${process.user.id}`])],
  ['Seen', ({ time, count, first_seen }) => (count > 1 ? `${count} times since ${first_seen}` : time)],
  ['Rule', ({ rule, priority }) => `${rule.pack}/${rule.id}, priority ${priority}`],
]

/** `payments/checkout-7d9f (Deployment checkout)` */
export function workload({ k8s }: Alert): string | undefined {
  const pod = listed([k8s?.namespace?.name, k8s?.pod?.name], '/')
  const owner = listed([k8s?.owner?.kind, k8s?.owner?.name], ' ')
  return listed([pod, pod && owner ? `(${owner})` : owner], ' ')
}

/** What is to be said of an identity that is not known from a current watch. */
const doubt = (freshness: string | undefined) => freshness !== undefined && freshness !== 'live' && `(${freshness})`

const mostPaths = 3

/** `high, 72 of 100: read secrets cluster-wide; create pods; and 4 more` */
export function blastRadius(alert: Alert): string | undefined {
  const { level, score, paths = [] } = identityOf(alert).blast_radius ?? {}
  const measure = listed([level, score !== undefined && `${score} of 100`])
  const titles = paths.slice(0, mostPaths).map(({ title, id }) => title ?? id)
  const more = paths.length > mostPaths && `and ${paths.length - mostPaths} more`
  return listed([measure, listed([...titles, more], '; ')], ': ')
}

/** `data stores postgresql shop/db, redis shop/cache; control plane kubernetes-api; node privileged` */
export function reach(alert: Alert): string | undefined {
  const { data_stores = [], control_plane = [], node = [] } = identityOf(alert).reach ?? {}
  const group = (what: string, items: (string | undefined)[]) => {
    const shown = listed([
      ...items.slice(0, mostPaths),
      items.length > mostPaths && `and ${items.length - mostPaths} more`,
    ])
    return shown && `${what} ${shown}`
  }
  return listed(
    [
      group('data stores', data_stores.map(endpoint)),
      group('control plane', control_plane.map(endpoint)),
      group(
        'node',
        node.map(({ title, id }) => title ?? id),
      ),
    ],
    '; ',
  )
}

const endpoint = ({ type, name, address }: Endpoint) => listed([type, name ?? address], ' ')

/** What the event was about besides the process, by the object that tells it. */
const deeds: [key: keyof Alert, said: (value: never) => string | undefined][] = [
  ['destination', (to: { ip?: string; port?: number; path?: string }) => to.path ?? hostAndPort(to)],
  ['dns', (dns: { question?: { name?: string } }) => dns.question?.name],
  ['file', (file: { path?: string; requested_path?: string }) => file.path ?? file.requested_path],
  ['mount', (mount: { source?: string; target?: string }) => listed([mount.source, mount.target], ' on ')],
  ['module', (module: { operation?: string; name?: string }) => listed([module.operation, module.name], ' ')],
  ['bpf', (bpf: { operation?: string; name?: string }) => listed([bpf.operation, bpf.name], ' ')],
  [
    'namespace',
    (namespace: { operation?: string; types?: string[] }) =>
      listed([namespace.operation, namespace.types?.join(' ')], ' '),
  ],
  ['ptrace', (ptrace: { request?: string }) => ptrace.request],
  [
    'target',
    (target: { name?: string; pid?: number }) =>
      listed([target.name, target.pid !== undefined && `(pid ${target.pid})`], ' '),
  ],
  ['gap', (gap: { reason?: string; detail?: string }) => listed([gap.reason, gap.detail])],
]

/** `connect 203.0.113.9:4444`, `open /etc/shadow`: the type of the event, and what it was done to. */
export function deed(alert: Alert): string | undefined {
  const objects = deeds.map(([key, said]) => (alert[key] === undefined ? undefined : said(alert[key] as never)))
  return listed([alert.event.type, listed(objects)], ' ')
}

function hostAndPort({ ip, port }: { ip?: string; port?: number }): string | undefined {
  if (ip === undefined) return undefined
  const host = ip.includes(':') ? `[${ip}]` : ip
  return port === undefined ? ip : `${host}:${port}`
}

/** A name as Kubernetes allows it: it can stand in a command that someone pastes. */
const kubernetesName = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/

function nextStep({ k8s, process, runbook, sensor }: Alert): string {
  const [namespace, pod] = [k8s?.namespace?.name ?? '', k8s?.pod?.name ?? '']
  const first = runbook === undefined ? '' : 'Follow the runbook. '
  if (kubernetesName.test(namespace) && kubernetesName.test(pod)) {
    return `${first}Look at it with: kubectl -n ${namespace} describe pod ${pod}. If it is not expected, isolate the pod before it is deleted: its memory and files are evidence.`
  }
  const where = `on ${clipped(printable(sensor.node), 100)}`
  return process?.pid === undefined
    ? `${first}Look at the sensor ${where}.`
    : `${first}Look at process ${process.pid} ${where}. If it is not expected, stop it (kill -STOP) before it is ended: its memory is evidence.`
}

/** The runbook's URL if it is one for a browser: anything else is text, and no link. */
export function webAddress(text: string | undefined): string | undefined {
  const url = text === undefined ? null : URL.parse(text)
  return url && (url.protocol === 'https:' || url.protocol === 'http:') && url.href.length <= 2000
    ? url.href
    : undefined
}

/** Not in the middle of a character that takes two units. */
export function clipped(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`
}

/** The parts that are there, joined; undefined if none is. */
export function listed(parts: readonly (string | false | undefined)[], glue = ', '): string | undefined {
  return parts.filter((part) => part).join(glue) || undefined
}
