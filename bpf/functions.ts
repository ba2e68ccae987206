/** The kernel's functions that can be watched where they begin and end, and by what: kprobes, or fentry where it allows that. */
import { existsSync, readFileSync } from 'node:fs'
import { parametersIn } from './btf.ts'
import { isKprobe, mapBlocks } from './omissions.ts'
import type { Tracepoints } from './tracepoints.ts'

/** Where perf events of kprobes are made (perf_event_open(2)): there if the kernel has kprobes at all. */
const events = '/sys/bus/event_source/devices/kprobe'
const types = '/sys/kernel/btf/vmlinux'

/**
 * The names of the parameters of a function that is there to be probed, in their order. One that the compiler has left out
 * (without CONFIG_SECURITY_PATH the hooks of security/security.c are empty) is none of the kernel's types. A kernel may still
 * refuse it (lockdown); then so does bpftrace, and the block is left out (omissions.ts).
 */
export function functionsOf(from = { events, types }): (name: string) => string[] | undefined {
  if (!existsSync(from.events)) return () => undefined
  let parameters: ((name: string) => string[] | undefined) | undefined
  return (name) => {
    try {
      parameters ??= parametersIn(readFileSync(from.types))
      return parameters(name)
    } catch {
      return undefined
    }
  }
}

/**
 * The program with fentry and fexit in place of kprobes and kretprobes. They cost the function less (the kernel calls the
 * program itself, kernel/bpf/trampoline.c), and the end of a function is seen for any number of threads at once. What they
 * are given is known by the names of the parameters. bpftrace 0.17 knows them as kfunc and kretfunc, and the newest still does.
 *
 * One block for each function: of several together bpftrace would take the parameters of one for those of all.
 */
export const byFentry = (program: string, functions: Tracepoints): string =>
  mapBlocks(program, (block, text) => {
    if (!isKprobe(block)) return text
    const body = text.slice(text.search(/^[/{]/m))
    return block.probes
      .map((probe) => {
        const [kind = '', name = ''] = probe.split(':')
        const parameters = functions(`kprobe:${name}`)?.parameters
        if (!parameters) return `${probe}\n${body}`
        const passed = body.replaceAll(/\barg(\d)\b/g, (_, at: string) => `((uint64)args->${parameters[Number(at)]})`)
        return `${kind === 'kprobe' ? 'kfunc' : 'kretfunc'}:${name}\n${passed}`
      })
      .join('\n')
  })
