/** Events -> rules -> alerts -> exporters: what the live sensor and a replay have in common. */
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { Exporter } from '../exporters/exporter.ts'
import type { Metrics } from '../exporters/metrics.ts'
import { createEngine, type Engine, type Match } from '../rules/engine.ts'
import type { RuleSet } from '../rules/rule.ts'
import type { Alert } from './alert.ts'
import { createAlert } from './alerts.ts'
import { refusalsOnce } from './break-glass.ts'
import type { Event } from './event.ts'
import { createStormFold } from './storm.ts'

export interface Judge {
  judge(event: Event): void
  /** It is that time (Unix, milliseconds), whether or not there are events: tells what was awaited in vain, and counts due. */
  advance(time: number): void
  /** Puts these rules in place of the ones before; what was remembered for those is forgotten, unless they are the same. */
  use(rules: RuleSet): void
}

export function createJudge(options: {
  rules: RuleSet
  metrics: Metrics
  log: Logger
  /** The exporters of the moment. */
  exporters(): readonly Exporter[]
  sensor(): { node: string; lostEvents: number }
  /** What of an alert may leave the sensor. */
  redact(alert: Alert): Alert
}): Judge {
  const { metrics, log, exporters, sensor, redact } = options
  let engine: Engine
  let storm = createStormFold()
  let evaluations = 0
  /** One of the rules is off for that; it is tried again when rules are read anew. */
  let failed = false

  const refused = refusalsOnce(({ pod, namespace, why, detail }) => {
    metrics.breakGlassRefused.inc({ reason: why })
    log.warn({ pod, namespace }, `break-glass does not hold: ${detail}`)
  })

  const begin = (rules: RuleSet) => {
    failed = false
    engine = createEngine(rules, {
      onError(rule, error) {
        failed = true
        metrics.ruleErrors.inc({ rule })
        log.error({ rule, err: error }, 'a rule failed and is disabled; the others go on')
      },
      onSuppressed: (rule, reason) => metrics.alertsSuppressed.inc({ rule, reason }),
      onExpired(rule, { owner, reason, expires }) {
        metrics.ruleExceptionsExpired.inc({ rule })
        const ended = expires === undefined ? undefined : new Date(expires).toISOString()
        log.warn(
          { rule, owner, reason, expires: ended },
          'an exception has expired: the rule alerts again where it held',
        )
      },
      onRefused: refused,
      onEvicted: (rule, kind) => metrics.ruleStateEvictions.inc({ rule, kind }),
    })
    evaluations = 0
    storm = createStormFold()
  }
  begin(options.rules)
  let current = options.rules

  const send = (match: Match) => {
    const alert = redact(createAlert(match, sensor()))
    metrics.alerts.inc({ rule: alert.rule.id, severity: alert.severity })
    metrics.countIdentity(alert.identity)
    for (const exporter of exporters()) exporter.send(alert)
  }
  const tell = (matches: readonly Match[]) => {
    for (const each of matches) {
      const match = storm.fold(each)
      if (match === undefined) metrics.alertsSuppressed.inc({ rule: each.rule.id, reason: 'folded' })
      else send(match)
    }
  }

  /** Of what was folded before that time. */
  const tellCounts = (time: number) => {
    tell(engine.dueCounts(time))
    for (const match of storm.due(time)) send(match)
  }

  return {
    use(rules) {
      // Where a receiver or its secret is what has changed: sequences, thresholds and folds go on.
      if (!failed && isDeepStrictEqual(rules, current)) return
      current = rules
      begin(rules)
    },
    judge(event) {
      tellCounts(event.time)
      const matches = engine.judge(event)
      metrics.ruleEvaluations.inc(engine.evaluations() - evaluations)
      evaluations = engine.evaluations()
      tell(matches)
    },
    advance(time) {
      tellCounts(time)
      tell(engine.advance(time))
    },
  }
}
