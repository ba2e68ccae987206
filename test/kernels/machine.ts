/** A virtual machine in software emulation: no hardware virtualization is asked for, so that it runs anywhere. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { MachineKind } from './machines.ts'

export interface Machine {
  kind: MachineKind
  kernel: string
  initrd: string
  /** Of the kernel's command line, besides those of every machine. */
  parameters: string
  /** In the order in which the machine sees them; read only. */
  disks: readonly string[]
  /** What its kernel and its programs print. */
  console: string
  /** Milliseconds after which it is ended, whatever it does. */
  limit: number
  /** A line that it wrote to its second serial port. */
  onLine(line: string): void
}

const quiet = 'quiet panic=-1 mitigations=off nokaslr'

/** Resolves when the machine is off; rejects if it had to be ended, or qemu can't run it. */
export function boot({ kind, kernel, initrd, parameters, disks, console, limit, onLine }: Machine): Promise<void> {
  const child = spawn(
    'nice',
    [
      ...['-n', '19', kind.emulator, ...kind.hardware, '-smp', '2', '-m', '3G'],
      ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-nic', 'none'],
      ...['-kernel', kernel, '-initrd', initrd],
      ...['-append', `console=${kind.console} nightjar.results=${kind.results} ${quiet} ${parameters}`],
      ...['-serial', `file:${console}`, ...kind.second],
      ...disks.flatMap((disk) => ['-drive', `file=${disk},if=virtio,format=raw,readonly=on`]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  createInterface(child.stdout).on('line', onLine)
  return new Promise((resolve, reject) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, limit)
    const end = () => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      process.off('exit', end)
      if (late) reject(new Error(`not done in ${limit / 60_000} minutes; see ${console}`))
      else if (code === 0) resolve()
      else reject(new Error(`qemu ended with ${code}: ${complaint}`))
    })
  })
}
