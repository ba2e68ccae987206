/** Identities as a person reads them in a terminal: one with all its ways, or all of them ranked. */
import { styleText } from 'node:util'
import { type Level, levels } from '../../enrich/blast-radius.ts'
import type { IdentityReport, WorkloadReport } from '../../enrich/identity-report.ts'
import { printable } from '../../exporters/printable.ts'
import type { Endpoint, Identity } from '../event.ts'

type Style = Parameters<typeof styleText>[0]
type Paint = (style: Style, text: string) => string
type Path = NonNullable<NonNullable<Identity['blast_radius']>['paths']>[number]

const levelStyles: Record<Level, Style> = {
  critical: ['bold', 'red'],
  high: 'red',
  medium: 'yellow',
  low: 'cyan',
  none: 'green',
}
const styleOf = (level: string): Style => levelStyles[levels.find(([name]) => name === level)?.[0] ?? 'none']
const barWidth = 20

const painter = (color: boolean): Paint =>
  color ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text

/** One identity: its score, its rights, what runs as it and what that reaches. */
export function prettyIdentity(report: IdentityReport, { color }: { color: boolean }): string {
  const paint = painter(color)
  const { service_account, score, level, rights, roles, workloads, exists } = report
  const title = `${service_account.namespace}/${service_account.name}`
  const lines = [
    `${paint('bold', printable(title))}  ${paint('dim', printable(report.subject))}`,
    score === undefined || level === undefined
      ? paint('yellow', 'UNKNOWN')
      : `${bar(score, level, paint)}  ${paint(styleOf(level), level.toUpperCase())} ${score} of 100`,
    ...(exists === false ? [paint('yellow', 'There is no such account; whoever makes it gets these rights.')] : []),
    '',
    heading('What its rights allow', paint, rights && `${rights.level}, ${rights.score}`),
    ...(rights ? pathLines(rights.paths, paint) : ['  unknown: roles and bindings could not be read']),
    '',
    heading('Roles', paint),
    ...(roles.length > 0
      ? roles.map(({ binding, role }) => `  ${printable(role)}  ${paint('dim', `by ${printable(binding)}`)}`)
      : [rights ? '  none of its own' : '  unknown']),
    '',
    heading('Runs as it', paint),
    ...(workloads.length > 0 ? workloads.flatMap((one) => workloadLines(one, paint)) : ['  nothing that is running']),
  ]
  return `${lines.join('\n')}\n`
}

/** One line an identity; those that reach nothing are counted. */
export function prettyRanking(reports: readonly IdentityReport[], { color }: { color: boolean }): string {
  const paint = painter(color)
  const telling = reports.flatMap(({ score, level, ...report }) =>
    score === undefined || level === undefined || score === 0 ? [] : [{ ...report, score, level }],
  )
  const name = ({ service_account }: Pick<IdentityReport, 'service_account'>) =>
    printable(`${service_account.namespace}/${service_account.name}`)
  const width = Math.max('account'.length, ...telling.map((report) => name(report).length))
  const rows = telling.map((report) => {
    const [worst] = report.rights?.paths ?? []
    const [exposed] = report.workloads[0]?.blast_radius?.paths ?? []
    const why = report.score === report.rights?.score ? worst : (exposed ?? worst)
    const pods = report.workloads.reduce((sum, one) => sum + one.pods, 0)
    return [
      paint(styleOf(report.level), `${String(report.score).padStart(5)}  ${report.level.padEnd('critical'.length)}`),
      name(report).padEnd(width),
      String(pods || '').padStart(4),
      printable(why?.title ?? ''),
    ].join('  ')
  })
  const head = paint(
    'dim',
    ['score', 'level   ', 'account'.padEnd(width), 'pods', 'worst of what it can do'].join('  '),
  )
  const rest = reports.length - telling.length
  const unknown = reports.some(({ score }) => score === undefined)
  return `${[head, ...rows, ...(rest > 0 ? ['', paint('dim', `${rest} more accounts ${unknown ? 'could not be judged' : 'reach nothing'}.`)] : [])].join('\n')}\n`
}

const heading = (text: string, paint: Paint, aside?: string | false) =>
  `${paint('bold', text)}${aside ? `  ${paint('dim', aside)}` : ''}`

function bar(score: number, level: string, paint: Paint): string {
  const filled = Math.round((score / 100) * barWidth)
  return paint(styleOf(level), '█'.repeat(filled)) + paint('dim', '░'.repeat(barWidth - filled))
}

function pathLines(paths: readonly Path[] | undefined, paint: Paint, indent = '  '): string[] {
  if (!paths || paths.length === 0) return [`${indent}nothing that matters`]
  return paths.flatMap(({ title, why, grants }) => [
    `${indent}${paint('bold', printable(title ?? ''))}`,
    `${indent}  ${printable(why ?? '')}`,
    ...(grants ?? []).map((grant) => paint('dim', `${indent}  by ${printable(grant)}`)),
  ])
}

function workloadLines({ name, pods, nodes, token, blast_radius, reach }: WorkloadReport, paint: Paint): string[] {
  const places = nodes.length > 0 ? ` on ${nodes.slice(0, 3).join(', ')}${nodes.length > 3 ? ' ...' : ''}` : ''
  const score = blast_radius && `${blast_radius.level}, ${blast_radius.score}`
  const exposures = reach?.node ?? []
  return [
    `  ${paint('bold', printable(name))}  ${paint('dim', printable(`${pods} ${pods === 1 ? 'pod' : 'pods'}${places}`))}${score ? `  ${paint(styleOf(blast_radius?.level ?? 'none'), score)}` : ''}`,
    ...(token ? [] : [paint('dim', '    holds no token: its rights are out of its reach')]),
    ...exposures.map(({ title, why }) => `    ${paint('yellow', printable(title ?? ''))}: ${printable(why ?? '')}`),
    ...endpointLine('data', reach?.data_stores, paint),
    ...endpointLine('control', reach?.control_plane, paint),
  ]
}

function endpointLine(label: string, endpoints: readonly Endpoint[] | undefined, paint: Paint): string[] {
  if (!endpoints || endpoints.length === 0) return []
  const told = endpoints.map(
    ({ type, name, port, policy }) =>
      `${printable(`${type} ${name}:${port}`)}${policy === 'unknown' ? ' (policies leave it open)' : ''}`,
  )
  return [`    ${paint('dim', label.padEnd('control'.length))}  ${told.join(', ')}`]
}
