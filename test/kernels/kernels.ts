/** What is booted: Debian's kernels, each with each Debian whose bpftrace Nightjar supports. */

export interface Kernel {
  /** How it is asked for on the command line. */
  name: string
  /** Suites of Debian that may have it, the first one that can be had is taken. */
  suites: readonly string[]
}

export const kernels: readonly Kernel[] = [
  { name: '5.10', suites: ['bullseye'] },
  { name: '6.1', suites: ['bookworm'] },
  { name: '6.12', suites: ['trixie'] },
  { name: 'newest', suites: ['trixie-backports', 'sid'] },
]

/** The suites whose root file systems are booted: their bpftrace is the oldest that is supported, and the image's. */
export const roots = ['bookworm', 'trixie'] as const
