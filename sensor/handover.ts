/**
 * From one probe to the next without a blind moment: for a while both are attached. Up to a moment the acts of the one
 * that goes count, from then on those of its successor; close to it, where each may have seen what the other calls a
 * little earlier or later, whatever one of the two has told, and no act twice.
 */

export interface Handover<T> {
  /** Where the acts of the probe that goes, and of the one that comes, are to be given. */
  readonly leaving: (act: T) => void
  readonly coming: (act: T) => void
  /** `moment` must lie ahead of every act that was given so far; on the clock of the acts' `time`, in nanoseconds. */
  at(moment: number): void
}

/** Nanoseconds to both sides of the moment in which both probes count. */
const margin = 10e6
/** Two probes at one tracepoint run one after the other, and read the clock each for itself, no further apart than this. */
const skew = 2e6

export function createHandover<T extends { time: number }>(emit: (act: T) => void): Handover<T> {
  let moment = Number.POSITIVE_INFINITY
  /** Acts near the moment that only one of the two has told so far: how many more than the other. */
  const told = { leaving: new Map<string, number>(), coming: new Map<string, number>() }

  const once = (act: T, from: 'leaving' | 'coming') => {
    const other = told[from === 'leaving' ? 'coming' : 'leaving']
    const key = JSON.stringify({ ...act, time: 0 })
    const known = other.get(key) ?? 0
    if (known > 0) other.set(key, known - 1)
    else {
      told[from].set(key, (told[from].get(key) ?? 0) + 1)
      emit(act)
    }
  }

  const tell = (act: T, from: 'leaving' | 'coming') => {
    if (Math.abs(act.time - moment) <= margin + skew) once(act, from)
    else emit(act)
  }

  return {
    leaving(act) {
      if (act.time <= moment + margin) tell(act, 'leaving')
    },
    coming(act) {
      if (act.time >= moment - margin) tell(act, 'coming')
    },
    at(time) {
      moment = time
    },
  }
}
