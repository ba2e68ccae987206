/** The table of what was found: kernel x bpftrace x backend x result, and what is missing, line by line. */
import type { Finding } from './findings.ts'

export interface Result {
  kernel: string
  suite: string
  findings: readonly Finding[]
}

const of = <S extends Finding['step']>(findings: readonly Finding[], step: S) =>
  findings.filter((one): one is Extract<Finding, { step: S }> => one.step === step)

/** "attached in 80 s, alert", or what went wrong. */
function outcome(findings: readonly Finding[], step: 'nightjar' | 'events' | 'packs'): { text: string; ok: boolean } {
  const all = findings.filter((one) => one.step === step)
  const failure = all.find((one) => 'failed' in one)
  if (failure || all.length === 0) return { text: 'FAILED', ok: false }
  const attached = all.find((one) => 'attached' in one)
  const alert = all.find((one) => 'alert' in one)
  const seconds = attached && 'attached' in attached ? `${Math.round(attached.attached)} s` : ''
  if (step === 'events') return { text: seconds, ok: true }
  const raised = alert !== undefined && 'alert' in alert && alert.alert === true
  return { text: `${seconds}, ${raised ? 'alert' : 'NO ALERT'}`, ok: raised }
}

/** Gives the text, and how many things failed. */
export function table(results: readonly Result[]): { text: string; failures: number } {
  const rows = [['kernel', 'bpftrace', 'backend', 'first pack', 'all packs', 'all events', 'acts told truly', 'took']]
  const notes: string[] = []
  let failures = 0
  for (const { kernel, suite, findings } of results) {
    const [booted] = of(findings, 'booted')
    const [took] = of(findings, 'took')
    const missing = [...of(findings, 'missing'), ...of(findings, 'broken')]
    if (!booted) {
      rows.push([kernel, suite, '-', '-', '-', '-', '-', '-'])
      notes.push(...missing.map(({ why }) => `${kernel} with ${suite}: ${why}`))
      failures += of(findings, 'broken').length
      continue
    }
    const name = `${booted.kernel} with bpftrace ${booted.bpftrace}`
    const steps = (['nightjar', 'packs', 'events'] as const).map((step) => outcome(findings, step))
    const acts = of(findings, 'act')
    const wrong = acts.filter(({ ok }) => !ok)
    const build = findings.map((one) => ('build' in one ? one.build : undefined)).find((one) => one !== undefined)
    const [, backend = 'tracepoints'] = /backend="([^"]*)"/.exec(build ?? '') ?? []
    rows.push([
      booted.kernel,
      booted.bpftrace,
      backend,
      ...steps.map(({ text }) => text),
      `${acts.length - wrong.length} of ${acts.length}`,
      took ? `${Math.round(took.seconds / 60)} min` : '-',
    ])
    failures += wrong.length + steps.filter(({ ok }) => !ok).length + missing.length
    for (const { why } of missing) notes.push(`${name}: ${why}`)
    for (const finding of findings) if ('failed' in finding) notes.push(`${name}: ${finding.step}: ${finding.failed}`)
    for (const { family, name: act, why } of wrong) notes.push(`${name}: ${family}, ${act}: ${why}`)
    const [, left] = /missing="([^"]+)"/.exec(build ?? '') ?? []
    if (left !== undefined) notes.push(`${name}: left out: ${left}`)
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
