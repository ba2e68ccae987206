/**
 * How long to wait before a failed delivery is tried again, in milliseconds.
 *
 * The backoff is exponential with full jitter: anything between nothing and the doubled delay, so that a thousand
 * sensors that lost one receiver don't come back to it together. What the receiver asked for (`retryAfter`) comes
 * before that. The whole is never more than `maxDelay`: a receiver can't put its own alerts off for a day.
 *
 * @param failures how many attempts have failed, 1 or more
 * @param random in [0, 1)
 */
export function backoff(
  failures: number,
  delays: { initialDelay: number; maxDelay: number },
  random: number,
  retryAfter = 0,
): number {
  const ceiling = Math.min(delays.maxDelay, delays.initialDelay * 2 ** (failures - 1))
  return Math.min(delays.maxDelay, retryAfter + random * ceiling)
}

/**
 * Milliseconds that a Retry-After header asks for: seconds or an HTTP date (RFC 9110, 10.2.3), a date that has passed
 * being 0. Undefined if there is no such header or it is neither.
 *
 * @param now Unix time in milliseconds
 */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  const text = header?.trim()
  if (!text) return undefined
  if (/^\d+$/.test(text)) return Number(text) * 1000
  // Date.parse takes much that is no HTTP date ("1.5" is a day in January); an HTTP date begins with the day's name.
  const date = /^[A-Za-z]{3}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
