/** The table of what was found: kernel x bpftrace x backend x result, and what is missing, line by line. */
import { type Finding, type Step, steps } from './findings.ts'

export interface Result {
  kernel: string
  suite: string
  findings: readonly Finding[]
}

const of = <S extends Finding['step']>(findings: readonly Finding[], step: S) =>
  findings.filter((one): one is Extract<Finding, { step: S }> => one.step === step)

/** "attached in 80 s, alert", or what went wrong. A step that was not asked for is no failure. */
function outcome(findings: readonly Finding[], step: Step): { text: string; ok: boolean } {
  const all = findings.filter((one) => one.step === step)
  if (all.length === 0) return { text: '-', ok: true }
  const attached = all.find((one) => 'attached' in one)
  if (!attached || !('attached' in attached)) return { text: 'FAILED', ok: false }
  const text = `${Math.round(attached.attached)} s`
  if (step !== 'first' && step !== 'pod' && step !== 'all') return { text, ok: true }
  const alert = all.find((one) => 'alert' in one)
  const raised = alert !== undefined && 'alert' in alert && alert.alert === true
  return { text: `${text}, ${raised ? 'alert' : 'NO ALERT'}`, ok: raised }
}

const headings: Record<Step, string> = {
  first: 'first pack',
  pod: 'as in a pod',
  files: 'files',
  network: 'network',
  privilege: 'privilege',
  kernel: 'kernel',
  all: 'all packs',
}

/** Gives the text, and how many things failed. */
export function table(results: readonly Result[]): { text: string; failures: number } {
  const rows = [['kernel', 'bpftrace', 'backend', ...steps.map((step) => headings[step]), 'acts told', 'minutes']]
  const notes: string[] = []
  let failures = 0
  for (const { kernel, suite, findings } of results) {
    const [booted] = of(findings, 'booted')
    const [took] = of(findings, 'took')
    const outside = [...of(findings, 'missing'), ...of(findings, 'broken')]
    const name = booted ? `${booted.kernel} with bpftrace ${booted.bpftrace}` : `${kernel} with ${suite}`
    for (const { why } of outside) notes.push(`${name}: ${why}`)
    failures += of(findings, 'broken').length
    if (!booted) {
      rows.push([kernel, suite, ...(rows[0]?.slice(2).map(() => '-') ?? [])])
      continue
    }
    const outcomes = steps.map((step) => outcome(findings, step))
    const acts = of(findings, 'act')
    const wrong = acts.filter(({ ok }) => !ok)
    // The last one told is of all packs, if they were asked for: the first pack needs few kprobes.
    const build = findings.map((one) => ('build' in one ? one.build : undefined)).findLast((one) => one !== undefined)
    const [, backend = '-'] = /backend="([^"]*)"/.exec(build ?? '') ?? []
    rows.push([
      booted.kernel,
      booted.bpftrace,
      backend,
      ...outcomes.map(({ text }) => text),
      `${acts.length - wrong.length} of ${acts.length}`,
      took ? String(Math.round(took.seconds / 60)) : '-',
    ])
    failures += wrong.length + outcomes.filter(({ ok }) => !ok).length
    for (const finding of findings) {
      if ('failed' in finding) notes.push(`${name}: ${headings[finding.step]}: ${finding.failed}`)
      if ('died' in finding) notes.push(`${name}: ${headings[finding.step]}: started again: ${finding.died}`)
      if ('omitted' in finding) notes.push(`${name}: ${headings[finding.step]}: left out: ${finding.omitted}`)
      if ('gap' in finding) notes.push(`${name}: ${headings[finding.step]}: gap: ${finding.gap}`)
    }
    for (const { family, name: act, why } of wrong) notes.push(`${name}: ${family}, ${act}: ${why}`)
    const [, missing] = /missing="([^"]+)"/.exec(build ?? '') ?? []
    if (missing !== undefined) notes.push(`${name}: not watched: ${missing}`)
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return { text: `${[...lines, ...(notes.length > 0 ? ['', ...notes] : [])].join('\n')}\n`, failures }
}
