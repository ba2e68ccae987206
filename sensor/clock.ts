/**
 * Kernel time -> wall-clock time. bpftrace's nsecs is CLOCK_BOOTTIME (bpf_ktime_get_boot_ns, since Linux 5.8), which goes on
 * while the machine is suspended; so are the start times of processes.
 */
export interface Clock {
  /** CLOCK_BOOTTIME nanoseconds -> Unix milliseconds. */
  unix(boottime: number): number
  /** It is that time: CLOCK_BOOTTIME, nanoseconds. */
  now(): number
  /** Call now and then: takes over a step of the wall clock or a suspend. */
  refresh(): void
}

/** A wall clock that moved by less is being slewed: following it would put events out of order. */
const step = 5
/** /proc/uptime is cut to 10 ms, and read a moment after the other clock. */
const coarse = 20
/** Some microseconds each: more than a change of /proc/uptime is away. */
const mostReads = 20_000

/** Node's hrtime is CLOCK_MONOTONIC (libuv, uv_hrtime), which stands still in a suspend. `uptime`: CLOCK_BOOTTIME in ms. */
export function createClock(sources: { wall(): number; monotonic(): bigint; uptime(): number }): Clock {
  /** Milliseconds that CLOCK_BOOTTIME is ahead: the time spent in suspend. */
  let suspended = 0
  const monotonic = () => Number(sources.monotonic()) / 1e6

  /** At the moment at which /proc/uptime changes it is exact. */
  const exactly = () => {
    const before = sources.uptime()
    let uptime = before
    for (let reads = 0; reads < mostReads && uptime === before; reads++) uptime = sources.uptime()
    return uptime - monotonic()
  }
  const measure = () => {
    if (Math.abs(sources.uptime() - monotonic() - suspended) > coarse) suspended = exactly()
    return sources.wall() - monotonic() - suspended
  }
  let offset = measure()
  return {
    unix: (boottime) => offset + boottime / 1e6,
    now: () => (monotonic() + suspended) * 1e6,
    refresh() {
      const now = measure()
      if (Math.abs(now - offset) > step) offset = now
    },
  }
}
