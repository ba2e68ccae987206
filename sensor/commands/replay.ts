/** `nightjar replay FILE`: judges a capture offline. The same events raise the same alerts as they did live. */
import type { Logger } from 'pino'
import { createMetrics, type Metrics } from '../../exporters/metrics.ts'
import type { StdoutFormat } from '../../exporters/stdout.ts'
import { loadRules, packPaths } from '../../rules/load.ts'
import type { RuleSet } from '../../rules/rule.ts'
import { CaptureError, readCapture } from '../capture.ts'
import { closeExporters, createRedactor, createStdout } from '../exporting.ts'
import { createJudge } from '../judge.ts'
import { UsageError } from '../usage.ts'

/** Sets the exit code 1 for a capture that was cut: what is whole is judged. Throws UsageError for a damaged one. */
export async function replay(
  file: string,
  options: { rules: string[]; builtinRules: boolean; output?: StdoutFormat; summary?: true },
  log: Logger,
): Promise<void> {
  const rules = await loadRules(packPaths(options.builtinRules, options.rules))
  const metrics = createMetrics()
  const output = options.summary ? 'none' : options.output
  const exporters = [createStdout({}, { ...(output && { output }), metrics, log })]
  let node = ''
  const judge = createJudge({
    rules,
    metrics,
    log,
    exporters: () => exporters,
    sensor: () => ({ node, lostEvents: 0 }),
    redact: createRedactor({}, metrics),
  })
  try {
    const { events, truncated } = await readCapture(file, (event) => {
      node = event.k8s?.node?.name ?? event.host?.name ?? node
      judge.judge(event)
    })
    if (truncated !== undefined) {
      log.error({ events }, `${truncated}; the ${events} events before it were judged`)
      process.exitCode = 1
    }
  } catch (error) {
    if (error instanceof CaptureError || isFileError(error)) throw new UsageError(error.message)
    throw error
  } finally {
    await closeExporters(exporters, 10_000, log)
  }
  if (options.summary) process.stdout.write(await summary(rules, metrics, options.output ?? 'pretty'))
}

/**
 * What each rule made of the capture, the loudest first: an author sees the noise before the pager does. A match that a
 * threshold or a sequence only remembers is none yet.
 */
async function summary({ rules }: RuleSet, metrics: Metrics, output: StdoutFormat): Promise<string> {
  const [alerts, suppressed] = await Promise.all([metrics.alerts.get(), metrics.alertsSuppressed.get()])
  const rows = rules.map(({ id, enabled }) => {
    const counted = (values: typeof suppressed.values, reason?: string) =>
      values
        .filter(({ labels }) => labels.rule === id && (reason === undefined || labels.reason === reason))
        .reduce((sum, { value }) => sum + value, 0)
    const [raised, folded, excepted] = [
      counted(alerts.values),
      counted(suppressed.values, 'folded'),
      counted(suppressed.values, 'exception'),
    ]
    return { rule: id, enabled, matches: raised + folded + excepted, alerts: raised, folded, excepted }
  })
  rows.sort((one, other) => other.alerts - one.alerts || other.matches - one.matches)
  if (output === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  const width = Math.max('rule'.length, ...rows.map(({ rule }) => rule.length))
  const line = (rule: string, ...numbers: (string | number)[]) =>
    `${rule.padEnd(width)}${numbers.map((number) => String(number).padStart(10)).join('')}\n`
  const lines = rows.map((row) => line(row.rule, row.matches, row.alerts, row.folded, row.excepted))
  return [line('rule', 'matches', 'alerts', 'folded', 'excepted'), ...lines].join('')
}

const isFileError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error && 'path' in error
