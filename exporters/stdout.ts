/** Alerts on the standard output: one JSON object a line for programs, or a few lines each for a person. */
import type { Writable } from 'node:stream'
import type { Logger } from 'pino'
import type { Alert } from '../sensor/alert.ts'
import type { Exporter } from './exporter.ts'
import type { Metrics } from './metrics.ts'
import { pretty } from './pretty.ts'
import { printableJson } from './printable.ts'

/** `none` makes an exporter that writes nothing and never fails. */
export const stdoutFormats = ['json', 'pretty', 'none'] as const
export type StdoutFormat = (typeof stdoutFormats)[number]

/** What may wait in memory for a slow reader, in bytes. Beyond it an alert is dropped, and counted. */
const mostUnwritten = 16 * 1024 * 1024

const texts: Record<Exclude<StdoutFormat, 'none'>, (alert: Alert, color: boolean) => string> = {
  json: (alert) => `${printableJson(alert)}\n`,
  pretty: (alert, color) => pretty(alert, { color }),
}

/**
 * Writes to `stream`, which stays open on close. A reader that has gone (EPIPE) or a full disk costs the alerts that
 * could not be written: counted, logged once, and the sensor goes on for its other exporters.
 */
export function stdoutExporter(
  options: { format: StdoutFormat; stream: Writable; color: boolean },
  { metrics, log }: { metrics: Metrics; log: Pick<Logger, 'warn'> },
): Exporter {
  const { format, stream, color } = options
  const exporter = 'stdout'
  if (format === 'none') return { name: exporter, send() {}, close: async () => 0 }

  const text = texts[format]
  let pending = 0
  let failed = 0
  let warned = false
  let closed: Promise<number> | undefined
  let settled: (() => void) | undefined

  function fail(reason: 'write' | 'queue_full', message: string) {
    failed++
    metrics.exportFailures.inc({ exporter, reason })
    if (warned) return
    warned = true
    log.warn({ exporter, reason, error: message }, 'alerts can not be written to stdout; they are counted, not shown')
  }

  // Without a listener the first EPIPE would end the process. The failed write's own callback counts it.
  const ignore = () => {}
  stream.on('error', ignore)

  return {
    name: exporter,

    send(alert) {
      if (closed !== undefined) return fail('write', 'closed')
      if (stream.destroyed || stream.writableEnded) return fail('write', 'the stream is closed')
      if (stream.writableLength > mostUnwritten) return fail('queue_full', 'the reader is too slow')
      const taken = performance.now()
      pending++
      stream.write(text(alert, color), (error) => {
        pending--
        if (error) fail('write', error.message)
        else metrics.alertDelivery.observe({ exporter }, (performance.now() - taken) / 1000)
        if (pending === 0) settled?.()
      })
    },

    close(deadlineMs) {
      closed ??= new Promise((resolve) => {
        const failedBefore = failed
        const deadline = setTimeout(() => settled?.(), deadlineMs)
        settled = () => {
          clearTimeout(deadline)
          resolve(pending + failed - failedBefore)
        }
        if (pending === 0) settled()
      })
      return closed
    },
  }
}
