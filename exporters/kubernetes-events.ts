/**
 * Alerts as Kubernetes Events on the pod: who looks at a pod with kubectl describe, or watches its namespace, sees them.
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
 *
 * Whoever may read the namespace's Events reads them, so an Event tells no command line, and nothing of what the
 * identity reaches. It wants the verb create on events in events.k8s.io, and asks for no other.
 */

import type { Alert } from '../sensor/alert.ts'
import { Type } from '../sensor/schema.ts'
import { complaintAbout } from './complaint.ts'
import { printable } from './printable.ts'
import type { Outcome, Receiver } from './receiver.ts'
import { type ReceiverConfig, receiverProperties, receiverSettings } from './receiver-config.ts'

const defaults = { minSeverity: 'medium', rateLimit: { alerts: 30, per: '1m' } } as const

const { batch: _, ...properties } = receiverProperties

export const KubernetesEventsConfig = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'Whether alerts about pods become Events of the pods; by default of severity medium and above, 30 a minute.',
      }),
    ),
    ...properties,
  },
  { additionalProperties: false, description: 'Kubernetes Events on the pods that alerts are about.' },
)

export interface KubernetesEventsConfig extends Omit<ReceiverConfig, 'batch'> {
  enabled?: boolean
}

/** How the API server is asked; it rejects when there is no answer. */
export interface ApiServerPost {
  /** What log lines call it. */
  readonly address: string
  post(
    path: string,
    body: object,
    signal: AbortSignal,
  ): Promise<{ status: number; message: string; retryAfter?: number }>
  close(): Promise<void>
}

const complain = complaintAbout('exporters.kubernetesEvents')
/** Bytes: the API server refuses an Event with longer ones. */
const longest = { note: 1024, reason: 128, reportingInstance: 128 }

/** Undefined if it isn't enabled. Rejects with an error for a person if a value can't be used. */
export async function kubernetesEvents(
  config: KubernetesEventsConfig = {},
  connect: () => Promise<ApiServerPost>,
): Promise<Receiver | undefined> {
  if (config.enabled !== true) return undefined
  const settings = receiverSettings({ ...defaults, ...config }, complain)
  const { wants = () => true } = settings
  const server = await connect()

  return {
    name: 'kubernetes-events',
    address: server.address,
    ...settings,
    wants: (alert) => placeOf(alert) !== undefined && wants(alert),
    async attempt([alert], signal): Promise<Outcome> {
      const place = alert && placeOf(alert)
      // The summary of what a rate limit withheld is about no pod.
      if (!place) return { verdict: 'delivered' }
      const path = `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(place.namespace)}/events`
      try {
        return outcomeOf(await server.post(path, eventOf(alert, place), signal))
      } catch (error) {
        const detail = error instanceof Error ? error.message.slice(0, 200) : String(error)
        return { verdict: 'failed', reason: signal.aborted ? 'timeout' : 'connection', detail }
      }
    },
    close: server.close,
  }
}

function outcomeOf({ status, message, retryAfter }: Awaited<ReturnType<ApiServerPost['post']>>): Outcome {
  // 409: it is there already. An attempt whose answer was lost is made again under the same name.
  if ((status >= 200 && status <= 299) || status === 409) return { verdict: 'delivered' }
  const detail = `status ${status}: ${printable(message).slice(0, 200)}`
  const wait = retryAfter === undefined ? {} : { retryAfter }
  if (status === 429) return { verdict: 'failed', reason: 'throttled', detail, ...wait }
  // 401: the token is about to be another one.
  if (status === 401 || status === 408 || status >= 500) {
    return { verdict: 'failed', reason: 'server_error', detail, ...wait }
  }
  return { verdict: 'refused', detail }
}

interface Place {
  namespace: string
  pod: string
}

function placeOf({ k8s }: Alert): Place | undefined {
  const [namespace, pod] = [k8s?.namespace?.name, k8s?.pod?.name]
  return namespace && pod ? { namespace, pod } : undefined
}

function eventOf(alert: Alert, { namespace, pod }: Place): object {
  const { id, rule, severity, priority, time, sensor, k8s, count } = alert
  const times = count > 1 ? ` (${count} times)` : ''
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: `nightjar-${id.toLowerCase()}`, namespace },
    // MicroTime wants six digits.
    eventTime: microTime(time),
    type: severity === 'info' || severity === 'low' ? 'Normal' : 'Warning',
    reason: reasonOf(rule.id),
    action: 'Detected',
    reportingController: 'nightjar.dev/sensor',
    reportingInstance: cut(printable(sensor.node), longest.reportingInstance) || 'unknown',
    regarding: {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace,
      name: pod,
      ...(k8s?.pod?.uid && { uid: k8s.pod.uid }),
      ...(k8s?.container?.name && { fieldPath: `spec.containers{${k8s.container.name}}` }),
    },
    note: cut(
      printable(
        `${rule.name}${times}: severity ${severity}, priority ${priority}, rule ${rule.pack}/${rule.id}, alert ${id}`,
      ),
      longest.note,
    ),
  }
}

/** `reverse-shell` -> `ReverseShell`, as reasons are written. */
function reasonOf(ruleId: string): string {
  const words = ruleId.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const name = words.map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`).join('')
  return name.slice(0, longest.reason) || 'Alert'
}

function microTime(time: string): string {
  const [, whole = time, fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) ?? []
  return `${whole}.${fraction.padEnd(6, '0').slice(0, 6)}Z`
}

function cut(text: string, bytes: number): string {
  const buffer = Buffer.from(text)
  if (buffer.length <= bytes) return text
  // A character that is cut in two becomes U+FFFD, which takes three bytes.
  return buffer.subarray(0, bytes - 3).toString('utf8')
}
