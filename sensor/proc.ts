/** What /proc knows of the processes that were there before the sensor. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

export interface RunningProcess {
  pid: number
  ppid: number
  /** CLOCK_BOOTTIME of the fork, nanoseconds; /proc gives it in ticks of 10 ms. */
  started: number
  /** The kernel's name of the task, 15 bytes: the executable's, unless the program changed it. */
  comm: string
  args: string[]
  uid: number
  gid: number
  /** Absent where this process may not look (other users' processes, without CAP_SYS_PTRACE). */
  executable?: string
}

const nanosecondsPerTick = 1e7 // USER_HZ is 100 on every architecture that we run on

/**
 * All processes of the PID namespace that `root` (a procfs) shows. Left out are those that end meanwhile, and those that
 * this process may not look at (a procfs mounted with hidepid, without CAP_SYS_PTRACE).
 */
export function runningProcesses(root = '/proc'): RunningProcess[] {
  return runningNumbers(root)
    .map((pid) => runningProcess(root, pid))
    .filter((process) => process !== undefined)
}

/** The numbers of all processes that it shows. */
export const runningNumbers = (root = '/proc'): number[] =>
  readdirSync(root)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** include/linux/sched.h: PF_EXITING, among the flags of proc(5)'s stat. */
const exitingFlag = 0x4

/**
 * The wait status (wait(2)) of a process that is on its way out, or gone: 0 too where it can't be told; undefined while it
 * lives. Its end can take long: a dead tracer lives on, silent, until the kernel has detached its last probe, one grace
 * period of RCU each.
 */
export function endOf(pid: number, root = '/proc'): number | undefined {
  try {
    const stat = readFileSync(join(root, String(pid), 'stat'), 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[6]) & exitingFlag) === 0 ? undefined : Number(fields[49] ?? 0)
  } catch (error) {
    if (isHidden(error)) return 0
    throw error
  }
}

function runningProcess(root: string, pid: number): RunningProcess | undefined {
  const read = (file: string) => readFileSync(join(root, String(pid), file), 'utf8')
  try {
    const stat = read('stat')
    // proc(5): pid (comm) state ppid ...; comm may hold spaces and parentheses, so it ends at the last one.
    const end = stat.lastIndexOf(')')
    const fields = stat.slice(end + 2).split(' ')
    const status = read('status')
    const effective = (key: string) => Number(new RegExp(`^${key}:\\t\\d+\\t(\\d+)`, 'm').exec(status)?.[1])
    const cmdline = read('cmdline')
    const executable = link(join(root, String(pid), 'exe'))
    return {
      pid,
      ppid: Number(fields[1]),
      started: Number(fields[19]) * nanosecondsPerTick,
      comm: stat.slice(stat.indexOf('(') + 1, end),
      args: cmdline === '' ? [] : cmdline.replace(/\0$/, '').split('\0'),
      uid: effective('Uid'),
      gid: effective('Gid'),
      ...(executable !== undefined && { executable }),
    }
  } catch (error) {
    if (isHidden(error)) return undefined
    throw error
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined // refused, or a kernel thread, which has none
  }
}

const hiding = new Set<unknown>(['ENOENT', 'ESRCH', 'EPERM', 'EACCES'])
const isHidden = (error: unknown) => error instanceof Error && 'code' in error && hiding.has(error.code)
