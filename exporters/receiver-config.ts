/** What can be set for every receiver, whatever its kind: what it wants, how often, how many at once, how long. */

import { type Alert, severities } from '../sensor/alert.ts'
import { durationPattern, parseDuration } from '../sensor/duration.ts'
import { type Static, type TObject, Type } from '../sensor/schema.ts'
import type { Complain } from './complaint.ts'
import type { Receiver } from './receiver.ts'

const closed = { additionalProperties: false }

export const Duration = (fallback: string, description: string) =>
  Type.Optional(
    Type.String({
      title: 'a duration such as 500ms, 10s or 1m',
      pattern: durationPattern,
      default: fallback,
      description,
    }),
  )

export const FilePath = (description: string) =>
  Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], minLength: 1, description }))

const Count = (most: number, description: string) => Type.Integer({ minimum: 1, maximum: most, description })

/** `null` is the same as not being there. */
const orNull = <Schema extends TObject>(title: string, schema: Schema) =>
  Type.Optional(Type.Unsafe<Static<Schema> | null>({ ...schema, type: ['object', 'null'], title, default: null }))

const defaults = { minSeverity: 'low', initialDelay: '500ms', maxDelay: '1m', timeout: '10s' } as const

/** Properties of the receiver's entry in the configuration. */
export const receiverProperties = {
  minSeverity: Type.Optional(
    Type.Enum([...severities], { default: defaults.minSeverity, description: 'Alerts below it are not sent here.' }),
  ),
  rules: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      description: 'Only alerts of these rules are sent here: RULE, PACK/RULE or PACK/*.',
    }),
  ),
  namespaces: Type.Optional(
    Type.Array(Type.String({ minLength: 1 }), {
      description: 'Only alerts of pods in these namespaces are sent here.',
    }),
  ),
  retry: Type.Optional(
    Type.Object(
      {
        initialDelay: Duration(defaults.initialDelay, 'Longest wait after the first failure; doubled after each.'),
        maxDelay: Duration(defaults.maxDelay, 'Longest wait of all, whatever the receiver asks for.'),
      },
      closed,
    ),
  ),
  timeout: Duration(defaults.timeout, 'How long one attempt may take, from connecting to the status.'),
  concurrency: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 64,
      default: 1,
      description: 'Attempts at the same time. Alerts arrive in order only with 1.',
    }),
  ),
  batch: orNull(
    '{ size, wait } or null',
    Type.Object(
      {
        size: Count(1000, 'Alerts in one attempt, at most.'),
        wait: Duration('1s', 'How long an alert waits for others at most.'),
      },
      { ...closed, description: 'null: one alert an attempt.' },
    ),
  ),
  rateLimit: orNull(
    '{ alerts, per } or null',
    Type.Object(
      {
        alerts: Count(1_000_000, 'So many alerts at most; those beyond are told of in one summary.'),
        per: Duration('1m', 'In this time. Critical alerts are always sent.'),
      },
      closed,
    ),
  ),
}

/** What `receiverProperties` describe, as it's read from the configuration. */
export interface ReceiverConfig {
  minSeverity?: (typeof severities)[number]
  rules?: string[]
  namespaces?: string[]
  retry?: { initialDelay?: string; maxDelay?: string }
  timeout?: string
  concurrency?: number
  batch?: { size: number; wait?: string } | null
  rateLimit?: { alerts: number; per?: string } | null
}

export type ReceiverSettings = Pick<
  Receiver,
  'minSeverity' | 'wants' | 'batch' | 'concurrency' | 'timeout' | 'delays' | 'rateLimit'
>

/** Throws what `complain` makes of a duration that can't be used. */
export function receiverSettings(config: ReceiverConfig, complain: Complain): ReceiverSettings {
  const { batch, rateLimit, concurrency = 1, minSeverity = defaults.minSeverity } = config
  const duration = (key: string, text: string) => durationOf(key, text, complain)
  return {
    minSeverity,
    ...filterOf(config),
    concurrency,
    timeout: duration('timeout', config.timeout ?? defaults.timeout),
    delays: {
      initialDelay: duration('retry.initialDelay', config.retry?.initialDelay ?? defaults.initialDelay),
      maxDelay: duration('retry.maxDelay', config.retry?.maxDelay ?? defaults.maxDelay),
    },
    ...(batch && { batch: { size: batch.size, wait: duration('batch.wait', batch.wait ?? '1s') } }),
    ...(rateLimit && {
      rateLimit: { alerts: rateLimit.alerts, per: duration('rateLimit.per', rateLimit.per ?? '1m') },
    }),
  }
}

function filterOf({ rules, namespaces }: ReceiverConfig): Pick<Receiver, 'wants'> {
  if (rules === undefined && namespaces === undefined) return {}
  const ruleNames = rules && new Set(rules)
  const namespaceNames = namespaces && new Set(namespaces)
  const isOfRules = ({ rule: { id, pack } }: Alert) =>
    ruleNames === undefined || [id, `${pack}/${id}`, `${pack}/*`].some((name) => ruleNames.has(name))
  const isOfNamespaces = ({ k8s }: Alert) =>
    namespaceNames === undefined || namespaceNames.has(k8s?.namespace?.name ?? '')
  return { wants: (alert) => isOfRules(alert) && isOfNamespaces(alert) }
}

/** A timer of Node's takes 24 days at most, and then waits not at all. */
const longestDuration = 86_400_000

/** Milliseconds. */
export function durationOf(key: string, text: string, complain: Complain): number {
  const milliseconds = parseDuration(text)
  if (milliseconds !== undefined && milliseconds > 0 && milliseconds <= longestDuration) return milliseconds
  const expected = 'expected a duration such as 500ms, 10s or 1m, above zero and at most 1d'
  throw complain(key, `found ${JSON.stringify(text)}, ${expected}`)
}
