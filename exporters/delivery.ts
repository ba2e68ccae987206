/**
 * Alerts from the spool to one receiver, until each is delivered or given up. How a single attempt is made is the
 * receiver's own affair; waiting, trying again, giving up and accounting are here, and the same for all.
 *
 * An attempt that failed is made again, after a growing time, for as long as the spool keeps the alert. What the receiver
 * refuses goes to the dead letters; of a batch it's found out which alert that was. An alert that failed ten times may be
 * the cause itself, unless there is nobody to connect to: from then on others are tried in between, and when it has
 * failed twenty times more, each time after another was delivered, it's given up. So an alert that breaks its receiver
 * doesn't hold up the others for ever, and an outage costs none.
 */
import type { Alert } from '../sensor/alert.ts'
import { backoff } from './backoff.ts'
import { batches, type Sendable } from './batches.ts'
import type { DeadLetters } from './dead-letters.ts'
import { type FailureReason, failureReasons, type Metrics } from './metrics.ts'
import type { Outcome, Receiver } from './receiver.ts'
import type { SparingLog } from './sparing-log.ts'
import type { SpoolReader } from './spool-reader.ts'

export interface DeliveryOptions {
  receiver: Receiver
  reader: SpoolReader
  deadLetters: DeadLetters
  /** Milliseconds after which an alert is no longer tried. */
  maxAge: number
  metrics: Metrics
  log: SparingLog
  /** In [0, 1), as Math.random. */
  random(): number
  /** Unix time in milliseconds. */
  now(): number
}

export interface Delivery {
  /**
   * Goes on for `deadlineMs` milliseconds at most, without waiting where it could try, and ends. What is not delivered by
   * then stays in the spool. Never rejects.
   */
  close(deadlineMs: number): Promise<void>
}

/** Failures after which an alert, and not the receiver, is suspected. */
const suspicious = 10
/** Failures, each after a delivery of another alert, after which it's given up. */
const hopeless = 20

export function startDelivery(options: DeliveryOptions): Delivery {
  const { receiver, reader, deadLetters, maxAge, metrics, log, random, now } = options
  const { name, address, delays, timeout, concurrency } = receiver
  const about = { exporter: name, receiver: address }
  const supply = batches(receiver, reader, { metrics, now, random })
  const attempts = new Set<AbortController>()
  const pauses = new Set<() => void>()
  let closed: Promise<void> | undefined
  let stopped = false
  let successes = 0
  /** Since the last success. */
  let failuresInARow = 0
  let lastReason: FailureReason | undefined

  for (const reason of failureReasons) metrics.exportFailures.inc({ exporter: name, reason }, 0)
  const working = work()

  async function work() {
    const underWay = new Set<Promise<void>>()
    while (!stopped) {
      const batch = await supply.next()
      if (batch === undefined) break
      const settled = deliver(batch.entries).then((isSettled) => {
        underWay.delete(settled)
        if (isSettled) batch.done()
      })
      underWay.add(settled)
      if (underWay.size >= concurrency) await Promise.race(underWay)
    }
    await Promise.all(underWay)
  }

  /** Resolves after so many milliseconds, or when cut short. */
  function pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        pauses.delete(end)
        resolve()
      }
      const timer = setTimeout(end, milliseconds)
      pauses.add(end)
    })
  }

  async function attempt(alerts: readonly Alert[]): Promise<Outcome> {
    const controller = new AbortController()
    const late = () => controller.abort(new DOMException(`no answer within ${timeout} ms`, 'TimeoutError'))
    const timer = setTimeout(late, timeout)
    attempts.add(controller)
    // A receiver that breaks its word and rejects must not end the sensor.
    const outcome = await receiver
      .attempt(alerts, controller.signal)
      .catch(
        (error: unknown): Outcome => ({ verdict: 'failed', reason: 'connection', detail: String(error).slice(0, 200) }),
      )
    attempts.delete(controller)
    clearTimeout(timer)
    return outcome
  }

  function failed({ reason, detail }: Outcome & { verdict: 'failed' }) {
    metrics.exportFailures.inc({ exporter: name, reason })
    failuresInARow++
    // Once, and again when it fails in another way: a receiver that is away all night is one line, not a thousand.
    if (reason !== lastReason) log.warn({ ...about, reason, detail }, 'delivery failed; trying again until it succeeds')
    lastReason = reason
  }

  function delivered(entries: readonly Sendable[], { refused = 0, detail = '' }: Outcome & { verdict: 'delivered' }) {
    successes++
    for (const { time } of entries) metrics.alertDelivery.observe({ exporter: name }, Math.max(0, now() - time) / 1000)
    if (refused > 0) giveUp(entries, 'rejected', `${refused} of ${entries.length}: ${detail}`, refused)
    if (lastReason !== undefined) log.info({ ...about, failures: failuresInARow }, 'delivery succeeds again')
    lastReason = undefined
    failuresInARow = 0
  }

  function giveUp(entries: readonly Sendable[], reason: FailureReason, detail: string, count = entries.length) {
    metrics.exportFailures.inc({ exporter: name, reason }, count)
    deadLetters(
      entries.map(({ alert }) => alert),
      detail,
    )
  }

  /**
   * True when all are delivered or given up; false when everything is stopped before.
   *
   * @param failures how often they have failed, as part of a larger batch
   */
  async function deliver(all: readonly Sendable[], failures = 0): Promise<boolean> {
    let entries = all
    let others = successes
    /** Failures each of which came after another alert was delivered. */
    let ownFailures = 0
    const halves = async () => {
      const middle = Math.ceil(entries.length / 2)
      return (await deliver(entries.slice(0, middle), failures)) && (await deliver(entries.slice(middle), failures))
    }
    while (!stopped) {
      const outcome = await attempt(entries.map(({ alert }) => alert))
      if (outcome.verdict === 'delivered') {
        delivered(entries, outcome)
        return true
      }
      if (outcome.verdict === 'refused') {
        if (entries.length > 1) return halves()
        giveUp(entries, 'rejected', outcome.detail)
        return true
      }
      if (stopped) return false
      failures++
      failed(outcome)
      if (successes > others) ownFailures++
      others = successes
      entries = withoutExpired(entries)
      if (entries.length === 0) return true
      if (failures >= suspicious && ownFailures > 0 && entries.length > 1) return halves()
      if (ownFailures >= hopeless) {
        giveUp(entries, 'given_up', `failed ${failures} times while others were delivered: ${outcome.detail}`)
        return true
      }
      if (failures >= suspicious && closed === undefined && !outcome.unreached) await tryAnother()
      // Short when others pass, and in a shutdown: there may be no later.
      const isShort = successes > others || closed !== undefined
      await pause(backoff(isShort ? 1 : failures, delays, random(), outcome.retryAfter))
    }
    return false
  }

  function withoutExpired(entries: readonly Sendable[]): readonly Sendable[] {
    const expired = entries.filter(({ time }) => now() - time > maxAge)
    if (expired.length === 0) return entries
    giveUp(expired, 'expired', 'not delivered for longer than exporters.spool.maxAge')
    return entries.filter((entry) => !expired.includes(entry))
  }

  /** Is it the alert, or the receiver? */
  async function tryAnother(): Promise<void> {
    const other = await supply.another()
    if (other === undefined) return
    const outcome = await attempt(other.entries.map(({ alert }) => alert))
    if (outcome.verdict !== 'delivered') return supply.putBack(other)
    delivered(other.entries, outcome)
    other.done()
  }

  async function finish(deadlineMs: number): Promise<void> {
    supply.close()
    for (const end of pauses) end()
    const deadline = setTimeout(() => {
      stopped = true
      for (const controller of attempts) controller.abort()
      for (const end of pauses) end()
    }, deadlineMs)
    await working
    clearTimeout(deadline)
  }

  return {
    close(deadlineMs) {
      closed ??= finish(deadlineMs)
      return closed
    },
  }
}
