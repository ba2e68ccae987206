/** What is found of a machine, line by line: most of it by the core within it. Times are seconds. */
export type Finding =
  | { step: 'booted'; kernel: string; bpftrace: string }
  /** The sensor with the first pack, with all types of events, and with all packs. */
  | { step: 'nightjar' | 'events' | 'packs'; attached: number }
  | { step: 'nightjar' | 'events' | 'packs'; failed: string }
  /** Whether the reverse shell raised its alert, or what came instead. */
  | { step: 'nightjar' | 'packs'; alert: true | string; build?: string }
  | { step: 'act'; family: string; name: string; ok: boolean; why?: string }
  | { step: 'gaps'; gaps: string }
  | { step: 'done' }
  /** From outside: the kernel can't be had; the machine had to be ended, or can't run. */
  | { step: 'missing'; why: string }
  | { step: 'broken'; why: string }
  | { step: 'took'; seconds: number }
