/** The kinds of machines that are emulated, and what each is made of. */

export interface MachineKind {
  /** What Debian calls it. */
  debian: string
  emulator: string
  /** Of the emulator: what stands in for hardware. */
  hardware: readonly string[]
  /** What its kernel prints on, and where the core's findings go: the names of its two serial ports. */
  console: string
  results: string
  /** Behind the first serial port: what the emulator needs for the second. */
  second: readonly string[]
  compiler: string
}

export const machines = {
  x64: {
    debian: 'amd64',
    emulator: 'qemu-system-x86_64',
    // Both processors in one thread: code that one writes while the other runs it, as V8 does, is not safe in two. It
    // costs little, as a compiler or the verifier alone is waited for most of the time, and leaves others a processor.
    // Tables of five levels cost the emulation time and give nothing.
    hardware: ['-machine', 'q35', '-cpu', 'max,la57=off', '-accel', 'tcg,thread=single'],
    console: 'ttyS0',
    results: 'ttyS1',
    second: ['-serial', 'stdio'],
    compiler: 'gcc',
  },
  arm64: {
    debian: 'arm64',
    emulator: 'qemu-system-aarch64',
    // A processor as clouds have it; `max` has signed pointers, which cost the emulation much. A thread for each: programs
    // for arm64 say where they have written code, which x86 has no need of.
    hardware: ['-machine', 'virt', '-cpu', 'neoverse-n1', '-accel', 'tcg,thread=multi'],
    console: 'ttyAMA0',
    results: 'ttyS0',
    // The board has one port alone; the other is a card.
    second: ['-chardev', 'stdio,id=results', '-device', 'pci-serial,chardev=results'],
    compiler: 'aarch64-linux-gnu-gcc',
  },
} as const satisfies Record<string, MachineKind>
export type MachineName = keyof typeof machines
