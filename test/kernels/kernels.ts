/** What is booted: Debian's kernels, each with the Debians whose bpftrace Nightjar supports; for arm64 with the image's alone. */

import type { MachineName } from './machines.ts'

export interface Kernel {
  /** How it is asked for on the command line. */
  name: string
  /** Suites of Debian that may have it, the first one that can be had is taken. */
  suites: readonly string[]
  machine: MachineName
  /** Of the suites whose root file systems are booted; none: all. */
  roots?: readonly (typeof roots)[number][]
}

export const kernels: readonly Kernel[] = [
  { name: '5.10', suites: ['bullseye'], machine: 'x64' },
  { name: '6.1', suites: ['bookworm'], machine: 'x64' },
  { name: '6.12', suites: ['trixie'], machine: 'x64' },
  { name: 'newest', suites: ['trixie-backports', 'sid'], machine: 'x64' },
  { name: '5.10-arm64', suites: ['bullseye'], machine: 'arm64', roots: ['trixie'] },
  { name: '6.12-arm64', suites: ['trixie'], machine: 'arm64', roots: ['trixie'] },
]

/** The suites whose root file systems are booted: their bpftrace is the oldest that is supported, and the image's. */
export const roots = ['bookworm', 'trixie'] as const
