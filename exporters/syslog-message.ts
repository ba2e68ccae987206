/** An alert as an RFC 5424 message, framed by its length (RFC 6587 3.4.1, RFC 5425 4.3). */
import type { Alert, Severity } from '../sensor/alert.ts'
import { clipped, listed, workload } from './briefing.ts'
import { printableJson, printableJsonText } from './printable.ts'

/** RFC 5424 6.2.1. */
const severityCodes: Record<Severity, number> = { critical: 2, high: 3, medium: 4, low: 5, info: 6 }
export const facilities = {
  auth: 4,
  authpriv: 10,
  audit: 13,
  alert: 14,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const
export type Facility = keyof typeof facilities

export interface SyslogOptions {
  facility: Facility
  /** Bytes of a whole message, without its frame. */
  maxBytes: number
  processId: number
  /** The alert as JSON. */
  one(alert: Alert): string
}

/**
 * Its text is the alert as JSON; of an alert that is larger than `maxBytes` the most important of it, with
 * `truncated: true`, because a receiver cuts what is too long for it anywhere.
 */
export function syslogFrame(alert: Alert, options: SyslogOptions): Buffer {
  const header = headerOf(alert, options)
  const whole = Buffer.from(`${header} ${printableJsonText(options.one(alert))}`)
  const message = whole.length <= options.maxBytes ? whole : shortMessage(header, alert, options.maxBytes)
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

/** A character takes up to six bytes, so it may need several tries. */
function shortMessage(header: string, alert: Alert, maxBytes: number): Buffer {
  for (let share = 1; ; share /= 2) {
    const message = Buffer.from(`${header} ${printableJson(shortened(alert, share))}`)
    if (message.length <= maxBytes || share < 1 / 64) return message
  }
}

function headerOf({ severity, time, sensor, rule }: Alert, { facility, processId }: SyslogOptions): string {
  const priority = facilities[facility] * 8 + severityCodes[severity]
  const host = word(sensor.node, 255)
  // There is no structured data: an id for it would want an enterprise number.
  return `<${priority}>1 ${time} ${host} nightjar ${processId} ${word(rule.id, 32)} -`
}

/** PRINTUSASCII of RFC 5424: without blanks, or a header field would be two. */
const word = (text: string, longest: number) => text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, longest) || '-'

function shortened(alert: Alert, share: number): object {
  const { schema, id, time, rule, severity, priority, message, event, identity, process, count } = alert
  const cut = (text: string | undefined, longest: number) =>
    text === undefined ? undefined : clipped(text, Math.ceil(longest * share))
  return {
    schema,
    id,
    time,
    rule: { id: cut(rule.id, 128), name: cut(rule.name, 100), pack: cut(rule.pack, 64) },
    severity,
    priority,
    message: cut(message, 300),
    event,
    process: { pid: process?.pid, name: cut(process?.name, 64), command_line: cut(process?.command_line, 200) },
    workload: cut(workload(alert), 200),
    identity: cut(listed([identity?.subject]), 200),
    count,
    truncated: true,
  }
}
