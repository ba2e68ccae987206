/**
 * At most so many alerts in a time, for a receiver that is a person's chat or pager. What is beyond the limit is withheld
 * and told of in one summary when the time is over. Critical alerts are never withheld: otherwise making noise would hide
 * them.
 */
import { ulid } from 'ulid'
import { type Alert, alertSchema, severities } from '../sensor/alert.ts'

export interface RateLimit {
  /** Whether the alert may be sent now; else it counts into the summary. `now`: Unix time in milliseconds. */
  admits(alert: Alert, now: number): boolean
  /** Milliseconds until a summary is due; undefined if nothing is withheld. */
  dueIn(now: number): number | undefined
  /** What was withheld, as one alert, and a new time begins. Undefined if nothing was. */
  summary(now: number): Alert | undefined
}

interface Withheld {
  count: number
  readonly rules: Map<string, number>
  worst: Alert
  readonly firstSeen: string
  lastSeen: string
}

export function rateLimit({ alerts: most, per }: { alerts: number; per: number }): RateLimit {
  let began = Number.NEGATIVE_INFINITY
  let sent = 0
  let withheld: Withheld | undefined

  return {
    admits(alert, now) {
      // A clock that is set back must not stretch the time.
      if (withheld === undefined && (now >= began + per || now < began)) {
        began = now
        sent = 0
      }
      if (alert.severity === 'critical' || (withheld === undefined && sent < most)) {
        sent++
        return true
      }
      withheld ??= { count: 0, rules: new Map(), worst: alert, firstSeen: alert.first_seen, lastSeen: alert.last_seen }
      withheld.count++
      withheld.rules.set(alert.rule.id, (withheld.rules.get(alert.rule.id) ?? 0) + 1)
      if (severities.indexOf(alert.severity) < severities.indexOf(withheld.worst.severity)) withheld.worst = alert
      withheld.lastSeen = alert.last_seen
      return false
    },
    dueIn: (now) => withheld && Math.min(per, Math.max(0, began + per - now)),
    summary(now) {
      const told = withheld
      withheld = undefined
      began = Number.NEGATIVE_INFINITY
      return told && summaryOf(told, per, now)
    },
  }
}

/** Rules that the summary names. */
const mostRules = 10

function summaryOf({ count, rules, worst, firstSeen, lastSeen }: Withheld, per: number, now: number): Alert {
  const byCount = [...rules].sort(([, one], [, other]) => other - one)
  const named = byCount.slice(0, mostRules).map(([rule, count]) => `${count} ${rule}`)
  const others = byCount.length > mostRules ? [`${byCount.length - mostRules} more rules`] : []
  return {
    schema: alertSchema,
    id: ulid(now),
    time: new Date(now).toISOString(),
    rule: { id: 'rate-limit', name: 'Alerts withheld by the rate limit', pack: 'nightjar', tags: {} },
    severity: worst.severity,
    priority: worst.priority,
    message: `${count} more alerts in ${per / 1000} s than the receiver is to get: ${[...named, ...others].join(', ')}`,
    event: { type: 'gap' },
    ...(worst.host && { host: worst.host }),
    count,
    first_seen: firstSeen,
    last_seen: lastSeen,
    sensor: worst.sensor,
  }
}
