/** What this kernel can be asked: a program with one probe for a tracepoint that isn't there is refused as a whole. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from './architecture.ts'
import { kprobesOf } from './kprobes.ts'
import { type Block, blocksOf, isKprobe } from './omissions.ts'

/**
 * `category:name` -> the fields of its record; undefined if the kernel has no such tracepoint. `kprobe:function` -> no fields;
 * undefined if it can't be probed.
 */
export type Tracepoints = (name: string) => Pick<ReadonlySet<string>, 'has'> | undefined

const kprobe = 'kprobe:'

/** The tracepoints of this kernel, as its tracefs lists them; undefined where that isn't mounted or may not be read. */
export function tracepointsOf(tracefs = '/sys/kernel/tracing'): Tracepoints | undefined {
  if (!existsSync(join(tracefs, 'events/sched'))) return undefined
  const canBeProbed = kprobesOf()
  return (name) => {
    if (name.startsWith(kprobe)) return canBeProbed(name.slice(kprobe.length)) ? new Set() : undefined
    try {
      const format = readFileSync(join(tracefs, 'events', name.replace(':', '/'), 'format'), 'utf8')
      // Documentation/trace/events.rst: `field:<type> <name>;`, an array's name with its size behind.
      return new Set([...format.matchAll(/^\s*field:.*?(\w+)(?:\[\w*\])?;/gm)].map(([, field = '']) => field))
    } catch {
      return undefined
    }
  }
}

/** Those that an architecture can have, whatever else is known of them. */
export const within =
  ({ lacks }: Architecture, tracepoints: Tracepoints = () => ({ has: () => true })): Tracepoints =>
  (name) => {
    const [, call = ''] = /^syscalls:sys_(?:enter|exit)_(\w+)$/.exec(name) ?? []
    return lacks.has(call) ? undefined : tracepoints(name)
  }

/**
 * The program without the probes that the kernel doesn't have, or that lack a field which their block reads; a block
 * whose probes are all gone is gone itself. A name with a wildcard stays: bpftrace takes what there is.
 */
export function fitting(program: string, tracepoints: Tracepoints): string {
  return program.replaceAll(
    /^((?:(?:tracepoint|k(?:ret)?probe):\S+\n)+)((?:\/[^{}]*?\/\n)?\{\n(?:.*\n)*?\}\n)/gm,
    (_, probes: string, block: string) => {
      const read = [...block.matchAll(/\bargs->(\w+)/g)].map(([, field = '']) => field)
      const there = probes
        .split('\n')
        .map((probe) => probe.replace(/,$/, ''))
        .filter((probe) => probe !== '')
        .filter((probe) => {
          if (probe.includes('*')) return true
          const fields = tracepoints(probe.replace(/^tracepoint:/, '').replace(/^kretprobe:/, kprobe))
          return fields && read.every((field) => fields.has(field))
        })
      return there.length === 0 ? '' : `${there.join(',\n')}\n${block}`
    },
  )
}

/**
 * The blocks of the program that a kernel with these tracepoints can't run, though what they watch is there. That it has no
 * tracepoint for one system call means that it has no such call, which is no loss; if it has none for any, all are lost. One
 * with a kprobe is none of them: it only adds to what tracepoints tell, and the backend says whether there are any.
 */
export function lostBlocks(program: string, tracepoints: Tracepoints): Block[] {
  const left = new Set(
    blocksOf(fitting(program, tracepoints)).flatMap(({ fragment, probes }) =>
      probes.map((probe) => `${fragment} ${probe}`),
    ),
  )
  const calls = tracepoints('syscalls:sys_exit_openat') !== undefined
  return blocksOf(program).filter(
    (block) =>
      !isKprobe(block) &&
      !block.probes.some((probe) => left.has(`${block.fragment} ${probe}`)) &&
      !(calls && block.probes.every((probe) => probe.startsWith('tracepoint:syscalls:'))),
  )
}
