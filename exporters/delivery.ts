/**
 * Alerts to one receiver over the network: one after the other, in order, each until it is delivered or refused. How a
 * single attempt is made is the exporter's own affair; waiting, trying again, giving up and accounting are here.
 */
import type { Logger } from 'pino'
import type { Alert } from '../sensor/alert.ts'
import { backoff } from './backoff.ts'
import type { Exporter } from './exporter.ts'
import { type FailureReason, failureReasons, type Metrics } from './metrics.ts'
import { alertQueue, type Waiting } from './queue.ts'

/** What came of one attempt. `detail` is for a person and a log: no address beyond the host, no header, no secret. */
export type Outcome =
  | { verdict: 'delivered' }
  | { verdict: 'failed'; reason: FailureReason; detail: string; retryAfter?: number }
  | { verdict: 'refused'; detail: string }

export interface DeliveryOptions {
  name: string
  /** What log lines call the receiver, such as `https://soc.example`. */
  receiver: string
  /** Tries once. Never rejects; ends soon after `signal` is aborted. */
  attempt(alert: Alert, signal: AbortSignal): Promise<Outcome>
  /** Milliseconds that an attempt may take. */
  timeout: number
  /** Milliseconds; see backoff.ts. */
  delays: { initialDelay: number; maxDelay: number }
  /** Alerts that may wait, the one in delivery not counted. */
  capacity: number
  metrics: Metrics
  log: Pick<Logger, 'info' | 'warn'>
  /** In [0, 1), as Math.random. */
  random(): number
}

/** An exporter that makes these attempts. */
export function delivery(options: DeliveryOptions): Exporter {
  const { name, receiver, attempt, timeout, delays, metrics, log, random } = options
  const queue = alertQueue(options.capacity)
  const about = { exporter: name, receiver }
  let current: Waiting | undefined
  let working: Promise<void> | undefined
  let closed: Promise<number> | undefined
  let stopped = false
  /** Alerts that will never arrive. */
  let lost = 0
  let crowdedOut = 0
  let cutShort = () => {}

  for (const reason of failureReasons) metrics.exportFailures.inc({ exporter: name, reason }, 0)
  showQueue()

  function showQueue() {
    metrics.exportQueueAlerts.set({ exporter: name }, queue.size + (current === undefined ? 0 : 1))
  }

  function lose(reason: FailureReason, alerts: number) {
    lost += alerts
    metrics.exportFailures.inc({ exporter: name, reason }, alerts)
  }

  /** Resolves after so many milliseconds, or when cut short. */
  function pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(end, milliseconds)
      cutShort = end
    })
  }

  async function tryOnce(alert: Alert): Promise<Outcome> {
    const controller = new AbortController()
    const late = () => controller.abort(new DOMException(`no answer within ${timeout} ms`, 'TimeoutError'))
    const timer = setTimeout(late, timeout)
    cutShort = () => {
      if (stopped) controller.abort()
    }
    const outcome = await attempt(alert, controller.signal)
    clearTimeout(timer)
    return outcome
  }

  /** Ends when the alert is delivered, refused, or everything is stopped; then `current` stays what it is. */
  async function deliver({ alert, since }: Waiting) {
    let lastReason: FailureReason | undefined
    for (let failures = 1; !stopped; failures++) {
      const outcome = await tryOnce(alert)
      if (outcome.verdict === 'failed') {
        if (stopped) return
        const { reason, detail } = outcome
        metrics.exportFailures.inc({ exporter: name, reason })
        // Once, and again when it fails in another way: a receiver that is away all night is one line, not a thousand.
        if (reason !== lastReason)
          log.warn({ ...about, reason, detail }, 'delivery failed; trying again until it succeeds')
        lastReason = reason
        // In a shutdown the waits are short again: what is not delivered by its deadline never will be.
        await pause(backoff(closed === undefined ? failures : 1, delays, random(), outcome.retryAfter))
        continue
      }
      current = undefined
      if (outcome.verdict === 'refused') {
        lose('rejected', 1)
        const { detail } = outcome
        log.warn(
          { ...about, detail, alert: alert.id, rule: alert.rule.id },
          'the receiver refused an alert; it is dropped',
        )
        return
      }
      metrics.alertDelivery.observe({ exporter: name }, (performance.now() - since) / 1000)
      if (lastReason !== undefined) log.info({ ...about, failures: failures - 1 }, 'delivery succeeds again')
      return
    }
  }

  async function deliverAll() {
    while (!stopped) {
      current = queue.take()
      showQueue()
      if (current === undefined) break
      await deliver(current)
    }
    working = undefined
  }

  async function flush(deadlineMs: number): Promise<number> {
    const lostBefore = lost
    // Whoever waits for the receiver to come back tries now: there may be no later.
    cutShort()
    const deadline = setTimeout(() => {
      stopped = true
      cutShort()
    }, deadlineMs)
    await working
    clearTimeout(deadline)
    const left = queue.size + (current === undefined ? 0 : 1)
    if (left > 0) {
      lose('shutdown', left)
      log.warn({ ...about, alerts: left }, 'shut down before these alerts were delivered')
    }
    return lost - lostBefore
  }

  return {
    name,

    send(alert) {
      if (closed !== undefined) return lose('shutdown', 1)
      const victim = queue.put({ alert, since: performance.now() })
      if (victim !== undefined) {
        lose('queue_full', 1)
        crowdedOut++
        if (Number.isInteger(Math.log10(crowdedOut))) {
          const { id, rule, severity } = victim.alert
          log.warn(
            { ...about, dropped: crowdedOut, alert: id, rule: rule.id, severity },
            'too many alerts wait for the receiver; the oldest of the lowest severity is dropped',
          )
        }
      }
      showQueue()
      working ??= deliverAll()
    },

    close(deadlineMs) {
      closed ??= flush(deadlineMs)
      return closed
    },
  }
}
