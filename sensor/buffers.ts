/** How the kernel hands events to a bpftrace: by one buffer that all CPUs share, or by one for each CPU. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** BPF_MAP_TYPE_RINGBUF, include/uapi/linux/bpf.h; /proc/<pid>/fdinfo has it for each map, kernel/bpf/syscall.c. */
const ringBuffer = /^map_type:\s*27$/m

/**
 * Whether this process reads a BPF ring buffer. bpftrace does from 0.20 on, where the kernel has them (5.8); else it has a
 * perf buffer for each CPU. False also for a process that is gone, or whose descriptors can't be read.
 */
export function readsOneBuffer(pid: number): boolean {
  const directory = `/proc/${pid}/fdinfo`
  try {
    return readdirSync(directory).some((descriptor) =>
      ringBuffer.test(readFileSync(join(directory, descriptor), 'utf8')),
    )
  } catch {
    return false
  }
}
