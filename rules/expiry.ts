/** Until when an exception holds: a date or a time of RFC 3339. */

const day = 24 * 60 * 60 * 1000

/** A date (full-date) or a time with its zone (date-time). */
export const expiryPattern = '^\\d{4}-\\d{2}-\\d{2}([Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?([Zz]|[+-]\\d{2}:\\d{2}))?$'

/** Looks like one; the calendar is asked by parseExpiry. */
export const looksLikeExpiry = (text: string): boolean => new RegExp(expiryPattern).test(text)

/**
 * The first moment (Unix, milliseconds) at which it no longer holds: a time is that moment, a date holds to the end of
 * that day in UTC. Undefined if it's none, or a day that no calendar has (Date.parse takes February 30 for March 2).
 */
export function parseExpiry(text: string): number | undefined {
  if (!looksLikeExpiry(text)) return undefined
  const date = text.slice(0, 10)
  const midnight = Date.parse(`${date}T00:00:00Z`)
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== date) return undefined
  if (text.length === 10) return midnight + day
  const moment = Date.parse(text.toUpperCase())
  return Number.isNaN(moment) ? undefined : moment
}
