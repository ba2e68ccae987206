/** An alert as a person reads it in a terminal: what happened, who did it, and what to do next. */
import { styleText } from 'node:util'
import type { Alert, Severity } from '../sensor/alert.ts'
import type { ProcessBase, Stdio } from '../sensor/event.ts'
import { printable, shellQuoted } from './printable.ts'
import { dataStoresInWords, radiusInWords } from './reach-in-words.ts'

type Style = Parameters<typeof styleText>[0]
type Paint = (style: Style, text: string) => string
/** The alert's process, or one of its ancestors. */
type Told = Omit<ProcessBase, 'start_time'>
type Part = string | undefined | false
type Credential = NonNullable<NonNullable<Alert['identity']>['credential']>

const severityStyles: Record<Severity, Style> = {
  critical: ['bold', 'white', 'bgRed'],
  high: ['bold', 'red'],
  medium: ['bold', 'yellow'],
  low: ['bold', 'cyan'],
  info: ['bold', 'blue'],
}

/** What is to be said of an identity that is not `live`. */
const doubts: Record<string, string> = {
  stale: 'stale: the API server is away',
  runtime: 'its service account is not known: only the container runtime knew the pod',
  unknown: 'unknown: the pod was not found in time',
}

/** Longest value that is printed whole, in characters. The rest is in the JSON. */
const longest = 1000
const longestOfAncestor = 200

/** The lines under the headline, in their order; one of which nothing is known is left out. */
const rows: [label: string, value: (alert: Alert, paint: Paint) => Part][] = [
  ['pod', pod],
  ['identity', identity],
  ['radius', radiusInWords],
  ['data', dataStoresInWords],
  ['holds', holds],
  ['cloud', cloud],
  ['spiffe', ({ identity }) => identity?.spiffe_id && printable(identity.spiffe_id)],
  ['shared', ({ identity }) => identity?.shared_with && printable(`with ${identity.shared_with.join(', ')}`)],
  ['missing', ({ identity }) => identity?.missing && printable(`not looked up: ${identity.missing.join(', ')}`)],
  ['container', container],
  ['process', ({ process }, paint) => process && paint('bold', commandLine(process, longest))],
  ['', ({ process }) => process && particulars(process)],
  ['stdio', ({ process }) => process && stdio(process)],
  ['to', destination],
  ['parent', ({ process }) => process?.ancestors?.[0] && commandLine(process.ancestors[0], longestOfAncestor)],
  ['lineage', lineage],
  ['before', earlier],
  ['blind', gap],
  [
    'seen',
    ({ count, first_seen, last_seen }) => count > 1 && printable(`${count} times, ${first_seen} to ${last_seen}`),
  ],
  ['lost', ({ sensor }) => sensor.lost_events > 0 && `${sensor.lost_events} events since the sensor started`],
  ['rule', rule],
  ['runbook', ({ runbook }) => runbook && printable(runbook)],
]

/**
 * Several lines, the last one ended by a newline, then an empty one. With `color` the only control sequences are the
 * colours chosen here; whatever the alert's values hold is escaped (see printable.ts).
 */
export function pretty(alert: Alert, options: { color: boolean }): string {
  const paint: Paint = options.color
    ? (style, text) => styleText(style, text, { validateStream: false })
    : (_, text) => text
  const badge = paint(severityStyles[alert.severity], alert.severity.toUpperCase())
  const when = some(
    [alert.time, `node ${alert.sensor.node}`, `priority ${alert.priority}`].map((part) => printable(part)),
    '  ',
  )
  const lines = [
    `${badge}  ${paint('bold', printable(alert.rule.name))}  ${paint('dim', when ?? '')}`,
    `  ${clip(printable(alert.message), longest)}`,
  ]
  for (const [label, value] of rows) {
    const text = value(alert, paint)
    if (text) lines.push(`  ${paint('dim', label.padEnd(9))}  ${text}`)
  }
  return `${lines.join('\n')}\n\n`
}

function pod({ k8s }: Alert): Part {
  if (k8s === undefined) return undefined
  const name = some([k8s.namespace?.name, k8s.pod?.name], '/')
  return some(
    [
      name && printable(name),
      k8s.owner && printable(some([k8s.owner.kind, k8s.owner.name], ' ') ?? ''),
      k8s.cluster?.name !== undefined && `cluster ${printable(k8s.cluster.name)}`,
    ],
    ', ',
  )
}

function identity({ identity }: Alert, paint: Paint): Part {
  const { subject, freshness } = identity ?? {}
  const doubt = freshness && freshness !== 'live' && `(${printable(doubts[freshness] ?? freshness)})`
  return some([subject && paint('bold', printable(subject)), doubt], ' ')
}

/** The tokens and Secrets that the container has. */
function holds({ identity }: Alert): Part {
  const { credential, secrets } = identity ?? {}
  return some(
    [
      credential && printable(token(credential)),
      secrets && printable(`secrets ${secrets.map(({ name, via }) => `${name} (${via})`).join(', ')}`),
    ],
    '; ',
  )
}

function token({ kind, api_server, automounted, audiences, secret }: Credential): string {
  if (kind === 'none') return 'no token'
  const whose = [...(api_server ? ['the API server'] : []), ...(audiences ?? [])].join(', ')
  if (kind !== 'legacy_secret') return `token for ${whose}${automounted ? ' (automounted)' : ''}`
  const age = secret?.age_days === undefined ? '' : `, ${secret.age_days} days old`
  return `token for ${whose} that never expires (Secret ${secret?.name ?? '?'}${age})`
}

/** Whom it can act as; what the container doesn't hold is told as such. */
function cloud({ identity }: Alert): Part {
  const principals = (identity?.cloud ?? []).map(({ provider, principal, source, held }) =>
    some([provider, principal, `(${source}${held === false ? ', not held' : ''})`], ' '),
  )
  return some(
    principals.map((principal) => principal && printable(principal)),
    ', ',
  )
}

function container({ container, k8s }: Alert): Part {
  const name = k8s?.container?.name ?? container?.name
  // Twelve digits are what docker ps and crictl ps show.
  const id = some([container?.runtime, container?.id?.slice(0, 12)], ' ')
  return some(
    [name, container?.image?.name ?? container?.image?.id, id].map((part) => part && printable(part)),
    ', ',
  )
}

/** The arguments, quoted so that one can tell them apart; else what is known of the program. */
function commandLine(process: Told, limit: number): string {
  const { command_args: args, command_line, args_truncated, executable, name } = process
  const text =
    args === undefined || args.length === 0
      ? printable(command_line ?? executable?.path ?? name ?? '(unknown)')
      : args.map(shellQuoted).join(' ')
  return clip(text, limit) + (args_truncated ? ' … (the sensor read no further)' : '')
}

function particulars({ pid, ppid, user, working_directory, executable, exit_code }: Told): Part {
  const file = executable?.path
  return some(
    [
      pid !== undefined && `pid ${pid}`,
      ppid !== undefined && `parent ${ppid}`,
      user && `user ${userName(user)}`,
      working_directory && `in ${printable(working_directory)}`,
      file && `file ${printable(file)}${executable?.deleted ? ' (deleted)' : ''}`,
      exit_code !== undefined && `exit code ${exit_code}`,
    ],
    ', ',
  )
}

function userName({ name, id }: { name?: string; id?: number }): string {
  if (name === undefined) return String(id ?? '(unknown)')
  return id === undefined ? printable(name) : `${printable(name)} (${id})`
}

/** The standard descriptors that lead to the network; those that lead to the same place share an entry. */
function stdio({ stdin, stdout, stderr, listening, reads_commands_from }: Told): Part {
  const byPlace = new Map<string, string[]>()
  for (const [name, descriptor] of Object.entries({ stdin, stdout, stderr })) {
    const place = descriptor && placeOf(descriptor)
    if (place) byPlace.set(place, [...(byPlace.get(place) ?? []), name])
  }
  const entries = [...byPlace].map(([place, names]) => `${names.join(', ')}: ${place}`)
  if (byPlace.size > 0 && reads_commands_from) entries.push(`commands from ${printable(reads_commands_from)}`)
  if (listening?.port !== undefined) entries.push(`listens on port ${listening.port}`)
  return some(entries, '; ')
}

function placeOf({ type, peer, direction, relay }: Stdio): Part {
  if (peer === undefined && relay === undefined) return undefined
  const via = relay && some([relay.name ?? relay.command_line, relay.pid !== undefined && `(${relay.pid})`], ' ')
  return some(
    [
      type && printable(type),
      peer && addressOf(peer),
      direction && `(${printable(direction)})`,
      via && `through ${printable(via)}`,
    ],
    ' ',
  )
}

function destination({ destination, source, network }: Alert): Part {
  return some(
    [
      destination && addressOf(destination),
      network?.transport && printable(network.transport),
      destination && source && `from ${addressOf(source)}`,
    ],
    ' ',
  )
}

function addressOf({ ip, port }: { ip?: string; port?: number }): string {
  const host = ip === undefined ? '(unknown)' : printable(ip)
  if (port === undefined) return host
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Oldest first, as it came about. */
function lineage({ process }: Alert): Part {
  const ancestors = process?.ancestors ?? []
  if (process === undefined || ancestors.length === 0) return undefined
  return [process, ...ancestors]
    .reverse()
    .map(({ name, executable, pid }) => {
      return some([printable(name ?? executable?.name ?? '?'), pid !== undefined && `(${pid})`], ' ')
    })
    .join(' → ')
}

function gap({ gap }: Alert): Part {
  return some(
    [
      gap?.seconds !== undefined && `for ${gap.seconds} s`,
      gap?.reason && printable(gap.reason),
      gap?.lost_events !== undefined && `${gap.lost_events} events lost`,
      gap?.detail && clip(printable(gap.detail), longest),
    ],
    ', ',
  )
}

function rule({ rule }: Alert): Part {
  const tags = Object.entries(rule.tags)
    .filter(([, values]) => values.length > 0)
    .map(([catalogue, values]) => `${catalogue} ${values.join(' ')}`)
  return some(
    [some([rule.pack, rule.id], '/'), ...tags].map((part) => part && printable(part)),
    ', ',
  )
}

/** The parts that are there, joined; undefined if none is. */
function some(parts: Part[], glue: string): string | undefined {
  return parts.filter((part) => part).join(glue) || undefined
}

function clip(text: string, limit: number): string {
  if (text.length <= limit) return text
  // Not in the middle of a character that takes two units.
  const kept = text.slice(0, limit).replace(/[\ud800-\udbff]$/, '')
  return `${kept} … (${text.length - kept.length} more characters)`
}

/** Of a sequence: what the steps before were, each by its type and who did it. */
function earlier({ earlier = [] }: Alert): Part {
  const steps = earlier.map(({ event, time, process }) => {
    const who = process ? ` by ${commandLine(process, longestOfAncestor)}` : ''
    return `${event.type} at ${printable(time)}${who}`
  })
  return steps.length > 0 && steps.join(', then ')
}
