/** What the sensor needs of a machine, checked one by one, each with its remedy. */
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs'
import { release } from 'node:os'
import { promisify } from 'node:util'
import { filesystemOf } from './filesystem.ts'

export interface Check {
  name: string
  /** undefined: good to know, and no reason not to run. */
  ok: boolean | undefined
  found: string
  remedy?: string
}

const run = promisify(execFile)
/** Where the kernel says so of itself. */
const usual = { tracefs: '/sys/kernel/tracing', paranoid: '/proc/sys/kernel/perf_event_paranoid' }
const btf = '/sys/kernel/btf/vmlinux'
/** include/uapi/linux/capability.h */
const capabilities = { CAP_SYS_ADMIN: 21n, CAP_PERFMON: 38n, CAP_BPF: 39n }
const oldestBpftrace = [0, 17]
/** A bpftrace with one small probe answers within a second, also on an emulated machine within ten. */
const trialMs = 60_000

/** The checks, in the order in which a person would mend them. Never throws. */
export async function checks(elsewhere: Partial<typeof usual> = {}): Promise<Check[]> {
  const { tracefs, paranoid } = { ...usual, ...elsewhere }
  if (process.platform !== 'linux')
    return [
      {
        name: 'operating system',
        ok: false,
        found: process.platform,
        remedy: 'the kernel probes are for Linux; use a Linux machine or virtual machine',
      },
    ]
  const found = [kernel(), privileges(), kernelTypes(), tracepoints(tracefs), lockdown(), await bpftrace()]
  const mayTry = found.every(({ ok }) => ok !== false)
  return [...found, await perfEvents(paranoid, mayTry), cgroups()]
}

/** What is there, by the name of the check. Throws, with every remedy, if the probes can't work here. */
export async function requirements(): Promise<Map<string, string>> {
  const all = await checks()
  const missing = all.filter(({ ok }) => ok === false)
  if (missing.length === 0) return new Map(all.map(({ name, found }) => [name, found]))
  const lines = missing.map(({ name, found, remedy }) => `  ${name}: found ${found}; ${remedy}`)
  throw new Error(
    ['This machine does not let Nightjar watch the kernel:', ...lines, 'Without any of that: npm run demo'].join('\n'),
  )
}

function kernel(): Check {
  return { name: 'kernel', ok: undefined, found: release() }
}

function privileges(): Check {
  const held = heldCapabilities()
  const may = held.has('CAP_SYS_ADMIN') || (held.has('CAP_BPF') && held.has('CAP_PERFMON'))
  return {
    name: 'privileges',
    ok: may,
    found: `uid ${process.getuid?.()}, ${[...held].join(' ') || 'neither CAP_BPF nor CAP_PERFMON'}`,
    remedy: 'run as root (sudo npm start), or give the process CAP_BPF and CAP_PERFMON',
  }
}

function heldCapabilities(): Set<string> {
  const effective = BigInt(`0x${/^CapEff:\t([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0}`)
  const held = Object.entries(capabilities).filter(([, bit]) => (effective >> bit) & 1n)
  return new Set(held.map(([name]) => name))
}

function kernelTypes(): Check {
  return {
    name: 'BTF',
    ok: existsSync(btf),
    found: existsSync(btf) ? btf : `no ${btf}`,
    remedy: 'use a kernel built with CONFIG_DEBUG_INFO_BTF=y (all current distributions), and show /sys to the sensor',
  }
}

function tracepoints(tracefs: string): Check {
  const name = 'tracefs'
  const remedy = `as root: mount -t tracefs tracefs ${tracefs}`
  try {
    accessSync(`${tracefs}/events/sched/sched_process_exec/format`, constants.R_OK)
    return { name, ok: true, found: tracefs }
  } catch (error) {
    // It is root's alone (mode 0700): for others that says nothing about whether it is mounted.
    if (error instanceof Error && 'code' in error && error.code === 'EACCES')
      return { name, ok: undefined, found: `${tracefs} is closed to this user` }
    // security/lockdown, fs/tracefs/inode.c: with `confidentiality` it is made without a file in it. Where lockdown itself
    // shows, /sys/kernel/security, is seldom mounted in a container.
    if (isTracefs(tracefs)) return { name, ok: false, found: `an empty tracefs at ${tracefs}`, remedy: lockdownRemedy }
    return { name, ok: false, found: `no tracepoints under ${tracefs}`, remedy }
  }
}

function isTracefs(directory: string): boolean {
  try {
    return filesystemOf(statfsSync(directory).type) === 'tracefs'
  } catch {
    return false
  }
}

const lockdownRemedy = 'boot with lockdown=integrity or without it: confidentiality forbids BPF to read the kernel'

/** security/lockdown: `confidentiality` refuses BPF reads of kernel memory. */
function lockdown(): Check {
  const file = '/sys/kernel/security/lockdown'
  const level = existsSync(file) ? (/\[(\w+)\]/.exec(readFileSync(file, 'utf8'))?.[1] ?? 'unknown') : 'none'
  return {
    name: 'kernel lockdown',
    ok: level !== 'confidentiality',
    found: level,
    remedy: lockdownRemedy,
  }
}

async function bpftrace(): Promise<Check> {
  const remedy = 'install it: apt-get install bpftrace, or the package of that name in your distribution'
  try {
    const { stdout } = await run('bpftrace', ['--version'])
    const [, major = '0', minor = '0'] = /v(\d+)\.(\d+)/.exec(stdout) ?? []
    const recent = Number(major) > 0 || Number(minor) >= (oldestBpftrace[1] ?? 0)
    return { name: 'bpftrace', ok: recent, found: stdout.trim(), remedy: 'install bpftrace 0.17 or newer' }
  } catch {
    return { name: 'bpftrace', ok: false, found: 'none on PATH', remedy }
  }
}

/**
 * Above 2 the kernels of Debian (3 by default) and Ubuntu (4) refuse perf_event_open(2), by which all probes are attached, to
 * whoever has not CAP_SYS_ADMIN; others give that number no meaning of its own (Documentation/admin-guide/sysctl/kernel.rst).
 * Which one this is shows by trying.
 */
async function perfEvents(file: string, mayTry: boolean): Promise<Check> {
  const level = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'unknown'
  const check = { name: 'perf events', found: `kernel.perf_event_paranoid ${level}` }
  if (!mayTry || !(Number(level) > 2) || heldCapabilities().has('CAP_SYS_ADMIN')) return { ...check, ok: undefined }
  try {
    await run('bpftrace', ['-e', 'interval:ms:1 { exit(); }'], { timeout: trialMs })
    return { ...check, ok: true }
  } catch (error) {
    const said =
      error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : undefined
    return {
      ...check,
      ok: false,
      found: `${check.found}, and no CAP_SYS_ADMIN: bpftrace attached no probe (${said || 'and said nothing'})`,
      remedy: 'on the node: sysctl kernel.perf_event_paranoid=2; or give the process CAP_SYS_ADMIN',
    }
  }
}

function cgroups(): Check {
  const found = readFileSync('/proc/self/mountinfo', 'utf8')
  const [v2, v1] = [/ - cgroup2 /.test(found), / - cgroup /.test(found)]
  const mode = v2 ? (v1 ? 'v1 and v2 (hybrid)' : 'v2') : v1 ? 'v1' : 'none mounted'
  return { name: 'cgroups', ok: undefined, found: mode }
}
