/** A rule's match -> the alert that leaves the sensor. */
import { ulid } from 'ulid'
import type { Match } from '../rules/engine.ts'
import { type Alert, alertSchema, type Severity } from './alert.ts'
import type { Event, Process } from './event.ts'
import { version } from './version.ts'

/** The priority where nothing is known of what the identity reaches. */
const priorities: Record<Severity, number> = { critical: 90, high: 70, medium: 50, low: 30, info: 10 }
/** How far the blast radius moves it, up or down: to where the next severity begins, and no further. */
const swing = 10

/**
 * Severity weighed with the blast radius: an identity that reaches nothing is 10 below the severity's own priority, one
 * that reaches everything 10 above, half of everything (and unknown) on it. So whatever the identities are, a critical
 * alert never comes after a high one.
 */
export function priorityOf(severity: Severity, score: number | undefined): number {
  if (score === undefined) return priorities[severity]
  // A capture may come from anywhere.
  const bounded = Math.min(100, Math.max(0, score))
  return priorities[severity] + Math.round(((bounded - 50) / 50) * swing)
}

export function createAlert(match: Match, sensor: { node: string; lostEvents: number }): Alert {
  const { rule, event, earlier, message, count, firstSeen, lastSeen } = match
  const { type, time, process, container, ...rest } = event
  return {
    schema: alertSchema,
    id: ulid(Math.floor(time)),
    time: rfc3339(time),
    rule: { id: rule.id, name: rule.name, pack: rule.pack, version: rule.version, tags: rule.tags },
    severity: rule.severity,
    priority: priorityOf(rule.severity, event.identity?.blast_radius?.score),
    message,
    ...(rule.runbook !== undefined && { runbook: rule.runbook }),
    event: { type },
    ...(process && { process: described(process) }),
    ...(earlier.length > 0 && { earlier: earlier.map(earlierStep) }),
    ...(container && { container: timed(container) }),
    ...rest,
    count,
    first_seen: rfc3339(firstSeen),
    last_seen: rfc3339(lastSeen),
    sensor: { version, node: sensor.node, lost_events: sensor.lostEvents },
  }
}

/** Where it ran and as whom is in the alert already. */
const earlierStep = ({ type, time, process, container: _, k8s: __, identity: ___, host: ____, ...told }: Event) => ({
  event: { type },
  time: rfc3339(time),
  ...(process && { process: described(process) }),
  ...told,
})

function described({ ancestors, ...process }: Process): Alert['process'] {
  return { ...timed(process), ...(ancestors && { ancestors: ancestors.map(timed) }) }
}

const timed = <T extends { start_time?: number }>({ start_time, ...rest }: T) => ({
  ...rest,
  ...(start_time !== undefined && { start_time: rfc3339(start_time) }),
})

/** Unix milliseconds -> RFC 3339 in UTC, to the nearest microsecond: a double of this size is never exactly one. */
export function rfc3339(time: number): string {
  const milliseconds = Math.floor(time)
  const micros = Math.round((time - milliseconds) * 1000)
  if (micros === 1000) return rfc3339(milliseconds + 1)
  return new Date(milliseconds).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`)
}
