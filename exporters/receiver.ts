/**
 * Someone outside who is told of alerts: one file here per kind (webhook, ...). A receiver only knows how one attempt is
 * made; what waits on disk, what is tried again and what is given up is the delivery's affair, and the same for all.
 */
import type { Alert, Severity } from '../sensor/alert.ts'
import type { FailureReason } from './metrics.ts'

/**
 * What came of one attempt. `detail` is for a person and a log: no address beyond the host, no header, no secret, and
 * nothing that the receiver could have chosen beyond a short, printable word.
 */
export type Outcome =
  /** All were taken, but for `refused` of them that the receiver says it will never want: it doesn't say which. */
  | { verdict: 'delivered'; detail?: string; refused?: number }
  /**
   * None was taken; the same alerts may be tried again, after `retryAfter` milliseconds if the receiver asked for it.
   * `unreached`: there was nobody to take any, so that no alert can be the cause.
   */
  | { verdict: 'failed'; reason: FailureReason; detail: string; retryAfter?: number; unreached?: true }
  /** None was taken, and none will be if it is tried again as it is. */
  | { verdict: 'refused'; detail: string }

export interface Receiver {
  /** Unique, `[A-Za-z0-9._-]`: the `exporter` label in metrics and logs, and the name of its cursor in the spool. */
  readonly name: string
  /** What log lines call it, such as `https://soc.example`: no user, path or query, any of which may be a secret. */
  readonly address: string
  /** Alerts below it are not even read for this receiver. */
  readonly minSeverity: Severity
  /** A finer filter; without it everything from `minSeverity` on is wanted. Pure. */
  readonly wants?: (alert: Alert) => boolean
  /** Up to `size` alerts an attempt; an alert waits at most `wait` milliseconds for others. Without it: one by one. */
  readonly batch?: { readonly size: number; readonly wait: number }
  /** Attempts at the same time. Only with 1 do alerts arrive in the order in which they were raised. */
  readonly concurrency: number
  /** Milliseconds that an attempt may take. */
  readonly timeout: number
  /** Milliseconds; see backoff.ts. */
  readonly delays: { readonly initialDelay: number; readonly maxDelay: number }
  /** At most so many alerts in so many milliseconds; the others are told of in one summary. */
  readonly rateLimit?: { readonly alerts: number; readonly per: number }
  /**
   * Tries once, with at least one alert, all of them wanted. Never rejects; ends soon after `signal` is aborted, with
   * `failed` and the reason `timeout` if the signal's reason is a TimeoutError.
   */
  attempt(alerts: readonly Alert[], signal: AbortSignal): Promise<Outcome>
  /** Lets go of connections and files. Called once, when no attempt is under way. */
  close(): Promise<void>
}
