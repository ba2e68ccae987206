/**
 * Puts acts back into the order of kernel time. Forks and exits are told some milliseconds after they happened
 * (bpf/flush.bt), and where bpftrace has a buffer for each CPU it reads one after the other, so a child's exec may come
 * before its fork.
 *
 * Where all CPUs share one buffer the kernel side says up to when all has been told: an act waits for that, and no longer.
 * Else each waits before it goes on: for `window` milliseconds, or longer than acts have lately been on their way. Where the
 * buffers are full, one that comes late may belong before many that came.
 */
export interface Order<T> {
  push(item: T): void
  /** All acts up to this time have been pushed, if they came through one buffer. */
  told(time: number): void
  /** Whether all CPUs share one buffer: not, until it's said. */
  oneBuffer(is: boolean): void
  /** Sends on all that waits, whatever its age. */
  flush(): void
}

/** What is later than this is not waited for; nanoseconds. */
const latest = 2e9
/** A factor for each window: a second after the last late act next to nothing is left of it. */
const fading = 0.97
/** Waited for beyond what came late lately; nanoseconds. */
const margin = 2e6

/** `now`: the clock of `time`, in nanoseconds. `putOff`: an act that comes late by design, which says nothing of the others. */
export function createOrder<T extends { time: number }>(
  options: { window: number; now(): number; after(ms: number, run: () => void): void; putOff?(item: T): boolean },
  emit: (item: T) => void,
): Order<T> {
  const { window, putOff } = options
  const waiting: T[] = []
  let scheduled = false
  /** How late the latest of the acts came, in nanoseconds; it fades. */
  let late = 0
  let shared = false

  const release = (until: number) => {
    let count = 0
    while (count < waiting.length && (waiting[count]?.time ?? Number.POSITIVE_INFINITY) <= until) count++
    for (const item of waiting.splice(0, count)) emit(item)
  }

  const schedule = () => {
    if (shared || scheduled || waiting.length === 0) return
    scheduled = true
    // When the oldest is due. Where it was late itself, so may be what belongs before it: then it waits a whole window.
    const due = Math.ceil(((waiting[0]?.time ?? 0) - options.now()) / 1e6 + window)
    options.after(due > 0 ? Math.min(due, window) : window, () => {
      scheduled = false
      if (shared) return
      release(options.now() - Math.max(window * 1e6, late > 0 ? late + margin : 0))
      late *= fading
      schedule()
    })
  }

  return {
    push(item) {
      if (!shared && !putOff?.(item)) late = Math.min(Math.max(late, options.now() - item.time), latest)
      // Nearly always the newest: look from the end.
      let at = waiting.length
      while (at > 0 && (waiting[at - 1]?.time ?? 0) > item.time) at--
      waiting.splice(at, 0, item)
      schedule()
    },
    told(time) {
      if (shared) release(time)
    },
    oneBuffer(is) {
      shared = is
      late = 0
      schedule()
    },
    flush: () => release(Number.POSITIVE_INFINITY),
  }
}
