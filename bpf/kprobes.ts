/** Which functions of the kernel a kprobe can be set on, as far as that shows without trying. */
import { existsSync, readFileSync } from 'node:fs'

/** Where perf events of kprobes are made (perf_event_open(2)): there if the kernel has kprobes at all. */
const events = '/sys/bus/event_source/devices/kprobe'
const types = '/sys/kernel/btf/vmlinux'

/**
 * Tells whether a function is there to be probed: one that the compiler has left out (without CONFIG_SECURITY_PATH the hooks
 * of security/security.c are empty) has no name among the kernel's types. A kernel may still refuse it (lockdown); then so
 * does bpftrace, and the block is left out (omissions.ts).
 */
export function kprobesOf(from = { events, types }): (name: string) => boolean {
  if (!existsSync(from.events)) return () => false
  let names: Buffer | undefined
  return (name) => {
    try {
      names ??= readFileSync(from.types)
      return names.includes(`\0${name}\0`, 0, 'latin1')
    } catch {
      return false
    }
  }
}
