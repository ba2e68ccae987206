/**
 * What a receiver will never take, kept for a person: one JSON object a line, `{ time, exporter, detail, alert }`, in the
 * spool's directory. Two files a receiver, the older one replaced when the newer is full.
 */
import { appendFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Alert } from '../sensor/alert.ts'

/** Keeps the alerts and tells of it in the log. Never throws. */
export type DeadLetters = (alerts: readonly Alert[], detail: string) => void

/** Bytes of one file. */
const largest = 4 * 1024 * 1024

/** Where there is no directory for the time, or the file can't be written, the log alone tells of them. */
export function deadLetters(
  place: { readonly directory: string | undefined },
  { exporter, receiver }: { exporter: string; receiver: string },
  log: Pick<Logger, 'warn'>,
): DeadLetters {
  return (alerts, detail) => {
    const { directory } = place
    const time = new Date().toISOString()
    const lines = alerts.map((alert) => `${JSON.stringify({ time, exporter, detail, alert })}\n`)
    const file = directory === undefined ? undefined : join(directory, `dead-letters.${exporter}.jsonl`)
    const kept = file === undefined ? { kept: false } : keep(file, lines.join(''))
    const [first] = alerts
    log.warn(
      { exporter, receiver, detail, alerts: alerts.length, alert: first?.id, rule: first?.rule.id, ...kept },
      'the receiver refused alerts: they are not sent again',
    )
  }
}

function keep(file: string, lines: string): object {
  try {
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) + lines.length > largest) renameIfThere(file)
    appendFileSync(file, lines, { mode: 0o600 })
    return { file }
  } catch (err) {
    return { kept: false, err }
  }
}

function renameIfThere(file: string): void {
  if (statSync(file, { throwIfNoEntry: false })) renameSync(file, file.replace(/\.jsonl$/, '.1.jsonl'))
}
