/** Kernel time -> wall-clock time. */
export interface Clock {
  /** CLOCK_MONOTONIC nanoseconds -> Unix milliseconds. */
  unix(monotonic: number): number
  /** CLOCK_BOOTTIME nanoseconds -> Unix milliseconds. */
  sinceBoot(boottime: number): number
  /** Call now and then: takes over a step of the wall clock or a suspend. */
  refresh(): void
}

/** A wall clock that moved by less is being slewed: following it would put events out of order. */
const step = 5

/** Node's hrtime is CLOCK_MONOTONIC (libuv, uv_hrtime), the clock of bpftrace's nsecs. `uptime`: CLOCK_BOOTTIME in ms. */
export function createClock(sources: { wall(): number; monotonic(): bigint; uptime(): number }): Clock {
  const measure = () => {
    const monotonic = Number(sources.monotonic()) / 1e6
    const offset = sources.wall() - monotonic
    // CLOCK_BOOTTIME runs ahead of CLOCK_MONOTONIC by the time spent in suspend, and is known to 10 ms only.
    const suspended = sources.uptime() - monotonic
    return { monotonic: offset, boottime: offset - (suspended > 20 ? suspended : 0) }
  }
  let offset = measure()
  return {
    unix: (monotonic) => offset.monotonic + monotonic / 1e6,
    sinceBoot: (boottime) => offset.boottime + boottime / 1e6,
    refresh() {
      const now = measure()
      if (Math.abs(now.monotonic - offset.monotonic) > step) offset = now
    },
  }
}
