/** `nightjar replay FILE`: judges a capture offline. The same events raise the same alerts as they did live. */
import type { Logger } from 'pino'
import { createMetrics } from '../../exporters/metrics.ts'
import type { StdoutFormat } from '../../exporters/stdout.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { CaptureError, readCapture } from '../capture.ts'
import { closeExporters, createExporters } from '../exporting.ts'
import { createJudge } from '../judge.ts'
import { UsageError } from '../usage.ts'

/** Sets the exit code 1 for a capture that was cut: what is whole is judged. Throws UsageError for a damaged one. */
export async function replay(
  file: string,
  options: { rules: string[]; builtinRules: boolean; output?: StdoutFormat },
  log: Logger,
): Promise<void> {
  const rules = await loadRules([...(options.builtinRules ? [builtinPacks()] : []), ...options.rules])
  const metrics = createMetrics()
  const exporters = await createExporters({}, { ...options, metrics, log })
  let node = ''
  const judge = createJudge({
    rules,
    metrics,
    log,
    exporters: () => exporters,
    sensor: () => ({ node, lostEvents: 0 }),
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
}

const isFileError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error && 'path' in error
