/** What /proc says of the maps and programs that a bpftrace holds: how the kernel hands it events, and what it skips. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** BPF_MAP_TYPE_RINGBUF, include/uapi/linux/bpf.h; /proc/<pid>/fdinfo has it for each map, kernel/bpf/syscall.c. */
const ringBuffer = /^map_type:\s*27$/m

/** How often the kernel did not run a program that this one would have interrupted. */
const skipped = /^recursion_misses:\s*(\d+)$/m

/** What /proc/<pid>/fdinfo has of each descriptor; nothing of a process that is gone, or whose descriptors can't be read. */
function descriptorsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fdinfo`
  try {
    return readdirSync(directory).map((descriptor) => readFileSync(join(directory, descriptor), 'utf8'))
  } catch {
    return []
  }
}

/**
 * How many runs of its programs the kernel skipped, because another BPF program or a call of bpf(2) was under way on that
 * processor (trace_call_bpf, kernel/trace/bpf_trace.c, which counts since 6.7; before that it is 0).
 */
export const skippedRuns = (pid: number): number =>
  descriptorsOf(pid).reduce((sum, text) => sum + Number(skipped.exec(text)?.[1] ?? 0), 0)

/**
 * Whether this process reads a BPF ring buffer. bpftrace does from 0.20 on, where the kernel has them (5.8); else it has a
 * perf buffer for each CPU.
 */
export const readsOneBuffer = (pid: number): boolean => descriptorsOf(pid).some((text) => ringBuffer.test(text))
