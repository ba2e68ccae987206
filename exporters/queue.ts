/** Alerts that wait for one receiver: in order, and not more than so many. */
import { type Alert, type Severity, severities } from '../sensor/alert.ts'

/** An alert, and since when it waits: milliseconds on the monotonic clock. */
export interface Waiting {
  alert: Alert
  since: number
}

export interface AlertQueue {
  readonly size: number
  /** Puts it last. If there are too many now, returns the one that had to go: the oldest of the lowest severity. */
  put(waiting: Waiting): Waiting | undefined
  /** Takes out the first one; undefined if none waits. */
  take(): Waiting | undefined
}

/** A queue of at most `capacity` alerts. */
export function alertQueue(capacity: number): AlertQueue {
  // One lane a severity, so that the victim is found at once; the numbers keep the order between the lanes.
  const lanes = new Map<Severity, { number: number; waiting: Waiting }[]>(severities.map((severity) => [severity, []]))
  const lowestFirst = severities.map((severity) => lanes.get(severity) ?? []).reverse()
  let next = 0
  let size = 0

  return {
    get size() {
      return size
    },
    put(waiting) {
      lanes.get(waiting.alert.severity)?.push({ number: next++, waiting })
      size++
      if (size <= capacity) return undefined
      size--
      return lowestFirst.find((lane) => lane.length > 0)?.shift()?.waiting
    },
    take() {
      const waiting = lowestFirst.filter((lane) => lane.length > 0)
      if (waiting.length === 0) return undefined
      size--
      return waiting.reduce((first, lane) => (numberOf(lane) < numberOf(first) ? lane : first)).shift()?.waiting
    },
  }
}

function numberOf(lane: { number: number }[]): number {
  return lane[0]?.number ?? Number.POSITIVE_INFINITY
}
