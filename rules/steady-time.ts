/**
 * The time of events as a clock that is never set back would show it: what is remembered by it stays as long ago as it
 * was. What comes first after the wall clock was set back is taken to come at the time of the newest before it.
 */

/**
 * How far an event may come after later ones, in milliseconds. Those of a container that is new wait for its pod (2 s
 * unless kubernetes.maxWait says another time), and others pass them.
 */
export const mostLate = 5_000
/** One that is further behind has another clock: nobody waits for a pod as long. */
const step = 60_000

export interface SteadyTime {
  /** The time of the next event (Unix, milliseconds), as that clock would show it. */
  readonly of: (time: number) => number
  /** How far that clock is ahead of the one of the last events, in milliseconds. */
  readonly ahead: () => number
}

export function createSteadyTime(): SteadyTime {
  let newest = -Infinity
  let ahead = 0
  return {
    of(time) {
      if (newest - (time + ahead) > step) ahead = newest - time
      newest = Math.max(newest, time + ahead)
      return time + ahead
    },
    ahead: () => ahead,
  }
}
