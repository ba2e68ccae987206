/** What is found of a machine, line by line: most of it by the core within it. Times are seconds. */

/** The sensor with its first pack, the same as in a pod, with the events of some families, and with all packs. */
export const steps = ['first', 'pod', 'files', 'network', 'privilege', 'kernel', 'all'] as const
export type Step = (typeof steps)[number]

export type Finding =
  | { step: 'booted'; kernel: string; bpftrace: string }
  | { step: Step; attached: number }
  | { step: Step; failed: string }
  /** Node itself was ended by this signal while it started, and the sensor was started again: the emulator's doing. */
  | { step: Step; died: string }
  /** What of the kernel program was refused, and left out. */
  | { step: Step; omitted: string; why: string }
  | { step: Step; gap: string }
  /** Whether the reverse shell raised its alert, or what came instead. */
  | { step: 'first' | 'pod' | 'all'; alert: true | string; build?: string }
  | { step: 'act'; family: string; name: string; ok: boolean; why?: string }
  | { step: 'done' }
  /** From outside: the kernel can't be had; the machine had to be ended, or can't run. */
  | { step: 'missing'; why: string }
  | { step: 'broken'; why: string }
  | { step: 'took'; seconds: number }
