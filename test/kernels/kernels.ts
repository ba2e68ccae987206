/**
 * What is booted: Debian's kernels, each with the oldest bpftrace that Nightjar supports and with the image's, the newest one also
 * with the newest; for arm64 with the image's alone.
 */

import type { MachineName } from './machines.ts'

export interface Kernel {
  /** How it is asked for on the command line. */
  name: string
  /** Suites of Debian that may have it, the first one that can be had is taken. */
  suites: readonly string[]
  machine: MachineName
  roots: readonly (typeof roots)[number][]
}

/** The suites whose root file systems are booted, for their bpftrace: the oldest that is supported, the image's, the newest. */
export const roots = ['bookworm', 'trixie', 'sid'] as const

export const kernels: readonly Kernel[] = [
  { name: '5.10', suites: ['bullseye'], machine: 'x64', roots: ['bookworm', 'trixie'] },
  { name: '6.1', suites: ['bookworm'], machine: 'x64', roots: ['bookworm', 'trixie'] },
  { name: '6.12', suites: ['trixie'], machine: 'x64', roots: ['bookworm', 'trixie'] },
  { name: 'newest', suites: ['trixie-backports', 'sid'], machine: 'x64', roots },
  { name: '5.10-arm64', suites: ['bullseye'], machine: 'arm64', roots: ['trixie'] },
  { name: '6.12-arm64', suites: ['trixie'], machine: 'arm64', roots: ['trixie'] },
]
