/** The exporters that the configuration and the command line ask for. */
import type { Logger } from 'pino'
import type { Exporter } from '../exporters/exporter.ts'
import type { Metrics } from '../exporters/metrics.ts'
import { redactor } from '../exporters/redaction.ts'
import { type StdoutFormat, stdoutExporter } from '../exporters/stdout.ts'
import { webhookExporter } from '../exporters/webhook.ts'
import type { Alert } from './alert.ts'
import type { Config } from './config.ts'
import { UsageError } from './usage.ts'

/** Throws UsageError if a receiver can't be set up: a file that isn't there, a name that is used twice. */
export async function createExporters(
  config: Config,
  options: { output?: StdoutFormat; metrics: Metrics; log: Logger },
): Promise<Exporter[]> {
  const { metrics, log } = options
  const webhooks = config.exporters?.webhooks ?? []
  const names = webhooks.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new UsageError(`exporters.webhooks: two receivers are named ${JSON.stringify(twice)}`)
  try {
    const receivers = await Promise.all(webhooks.map((webhook) => webhookExporter(webhook, { metrics, log })))
    return [stdoutExporter(stdout(config, options.output), { metrics, log }), ...receivers]
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** What of an alert may leave, as the configuration has it. Throws UsageError for a pattern that is none. */
export function createRedactor(config: Config, metrics: Metrics): (alert: Alert) => Alert {
  try {
    return redactor(config.exporters?.redaction ?? {}, (kind) => metrics.redactions.inc({ kind }))
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function stdout(config: Config, output: StdoutFormat | undefined) {
  const asked = output ?? config.exporters?.stdout?.format ?? 'auto'
  const terminal = process.stdout.isTTY === true
  const format: StdoutFormat = asked === 'auto' ? (terminal ? 'pretty' : 'json') : asked
  return { format, stream: process.stdout, color: terminal && process.env.NO_COLOR === undefined }
}

/** Closes all at once; logs what could not be delivered in `deadline` milliseconds. */
export async function closeExporters(exporters: readonly Exporter[], deadline: number, log: Logger): Promise<void> {
  await Promise.all(
    exporters.map(async (exporter) => {
      const undelivered = await exporter.close(deadline)
      if (undelivered > 0) log.warn({ exporter: exporter.name, undelivered }, 'alerts were not delivered')
    }),
  )
}
