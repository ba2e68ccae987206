/** A webhook behind a real spool in a directory of its own, with what it counts and logs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Dispatch, type DispatchOptions, openDispatch } from '../../exporters/dispatch.ts'
import { createMetrics, type FailureReason } from '../../exporters/metrics.ts'
import { type WebhookConfig, webhook } from '../../exporters/webhook.ts'
import { type Journal, journal } from './journal.ts'

export interface Dispatched {
  readonly webhook: Dispatch
  readonly journal: Journal
  readonly directory: string
  /** A sample of a metric by its name and labels as they are exposed; undefined if there is none. */
  sample(series: string): Promise<number | undefined>
  failures(reason: FailureReason): Promise<number | undefined>
  queued(): Promise<number | undefined>
  delivered(): Promise<number>
  /** Ends it at once and removes its directory. */
  remove(): Promise<void>
}

export async function dispatched(
  config: Partial<WebhookConfig> & { url: string },
  surroundings: Partial<DispatchOptions> = {},
): Promise<Dispatched> {
  const directory = surroundings.directory ?? mkdtempSync(join(tmpdir(), 'nightjar-spool-'))
  const metrics = createMetrics()
  const logged = journal()
  const defaults = { name: 'soc', retry: { initialDelay: '5ms', maxDelay: '20ms' } }
  const receiver = await webhook({ ...defaults, ...config }, surroundings.now).catch((error: unknown) => {
    if (surroundings.directory === undefined) rmSync(directory, { recursive: true })
    throw error
  })
  const limits = { maxBytes: 16 * 1024 * 1024, maxAge: 3_600_000 }
  const dispatch = await openDispatch([receiver], { directory, ...limits, metrics, log: logged.log, ...surroundings })
  const sample = async (series: string) => {
    const line = (await metrics.registry.metrics()).split('\n').find((line) => line.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length + 1))
  }
  return {
    webhook: dispatch,
    journal: logged,
    directory,
    sample,
    failures: (reason) => sample(`nightjar_export_failures_total{exporter="soc",reason="${reason}"}`),
    queued: () => sample('nightjar_export_queue_alerts{exporter="soc"}'),
    delivered: async () => (await sample('nightjar_alert_delivery_seconds_count{exporter="soc"}')) ?? 0,
    async remove() {
      await dispatch.close(0)
      if (surroundings.directory === undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
}
