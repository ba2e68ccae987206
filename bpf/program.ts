/** The assembler: fragments (`*.bt`, one an event family) and macros (`macros/*.bt`) become one bpftrace program. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EventType } from '../sensor/event.ts'
import { fileFilter, requestedMax, sets, tablesOf } from './file-filter.ts'
import type { Interest, Interests } from './interest.ts'
import { limits, parts, type RecordName, records, sections } from './records.ts'

/** Event families: those that the process table always needs, and those that are sent only if a rule is on them. */
const families: { fragment: string; wantedBy?: EventType[]; unless?(interests: readonly Interest[]): boolean }[] = [
  { fragment: 'heartbeat' },
  { fragment: 'cgroup' },
  { fragment: 'fork' },
  { fragment: 'exec' },
  { fragment: 'exit' },
  { fragment: 'connect', wantedBy: ['connect'] },
  { fragment: 'stdio', wantedBy: ['stdio'] },
  { fragment: 'open', wantedBy: ['open'], unless: (all) => all.every(({ outcome }) => outcome === 'failure') },
  { fragment: 'open-failed', wantedBy: ['open'], unless: (all) => all.every(({ outcome }) => outcome === 'success') },
]

/** Constants under their kernel names. */
const constants: Record<string, number> = {
  ...sections,
  ...limits,
  ...sets,
  FILTER_DEPTH: 20,
  REQUESTED_MAX: 1024,
  REQUESTED_LOOKED_AT: requestedMax + 1,
  PATH_MAX: 4096, // include/uapi/linux/limits.h
  O_ACCMODE: 3, // include/uapi/asm-generic/fcntl.h
  O_WRONLY: 1,
  O_CREAT: 0o100,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  THREAD_SIZE: 16384, // arch/x86/include/asm/page_64_types.h
  SYS_open: 2, // arch/x86/entry/syscalls/syscall_64.tbl
  SYS_creat: 85,
  SYS_openat2: 437,
  NAME_MAX: 255, // include/uapi/linux/limits.h
  S_IFMT: 0o170000, // include/uapi/linux/stat.h
  S_IFSOCK: 0o140000,
  AF_INET: 2, // include/linux/socket.h
  AF_INET6: 10,
  TCP_SYN_SENT: 2, // include/net/tcp_states.h
  IPPROTO_TCP: 6, // include/uapi/linux/in.h
  CLONE_THREAD: 0x10000, // include/uapi/linux/sched.h
  OVERLAYFS_SUPER_MAGIC: 0x794c7630, // include/uapi/linux/magic.h
  PROC_SUPER_MAGIC: 0x9fa0,
  MOUNT_OFFSET: 32, // offset of mnt in struct mount, fs/mount.h: the same on every 64-bit kernel since 3.x
}

/**
 * Bytes of a text chunk, largest first. bpftrace before 0.20 builds a printf's arguments on the 512-byte BPF stack;
 * later ones have room for more. Which one a bpftrace takes is found by trying.
 */
export const chunkSizes = [256, 64] as const

const directory = import.meta.dirname
const fragmentText = (name: string) => readFileSync(join(directory, `${name}.bt`), 'utf8')
const withoutComments = (text: string) => text.replaceAll(/^\s*\/\/.*\n/gm, '')

/** The bpftrace program that sends these events, in chunks of so many bytes (BPFTRACE_STRLEN must agree). */
export function program(interests: Interests, chunk: number): string {
  const of = (types: readonly EventType[]) => types.flatMap((type) => interests.get(type) ?? [])
  const wanted = families.filter(({ wantedBy, unless }) => {
    if (wantedBy === undefined) return true
    const asked = of(wantedBy)
    return asked.length > 0 && unless?.(asked) !== true
  })
  const files = tablesOf(fileFilter(of(['open'])))
  const known: Record<string, number> = { ...constants, ...files.constants, CHUNK: chunk }
  const text = wanted.map(({ fragment }) => expand(fragmentText(fragment), `${fragment}.bt`)).join('\n')
  const begin = of(['open']).length > 0 ? `BEGIN\n{\n  ${files.begin.join('\n  ')}\n}\n` : ''
  return begin + text.replaceAll(/\b[A-Z][A-Z0-9_]+\b|\bSYS_[a-z0-9_]+\b/g, (name) => String(known[name] ?? name))
}

/** Replaces `{{emit record field=value ...}}` and `{{macro name=value ...}}`, the latter recursively. */
function expand(text: string, file: string): string {
  return text.replaceAll(
    /^( *)\{\{([a-z-]+)((?:[^{}]|\{[a-z]+\})*)\}\}/gm,
    (_, indent: string, name: string, rest: string) => {
      if (name === 'emit') {
        const [record = '', ...fields] = split(rest)
        return indent + emit(record, fields, file)
      }
      const body = split(rest).reduce(
        (body, argument) => {
          const [key = '', value = ''] = cut(argument)
          return body.replaceAll(`{${key}}`, value)
        },
        withoutComments(fragmentText(`macros/${name}`)),
      )
      return expand(body, `macros/${name}.bt`).trimEnd().replaceAll(/^/gm, indent)
    },
  )
}

function emit(record: string, fields: string[], file: string): string {
  const layout = records[record as RecordName]
  if (!layout) throw new Error(`bpf/${file}: emit ${record}: no such record in records.ts`)
  const given = fields.map(cut)
  const expected = Object.entries(layout.fields)
  if (given.map(([key]) => key).join() !== expected.map(([key]) => key).join())
    throw new Error(
      `bpf/${file}: emit ${record}: fields ${given.map(([key]) => key)}; records.ts has ${Object.keys(layout.fields)}`,
    )
  const formats = expected.map(([, kind]) => (kind === 'bytes' ? '%rh' : kind === 'id' ? '%llu' : '%lld'))
  return `printf("${layout.tag} ${formats.join(' ')}\\n", ${given.map(([, value]) => value).join(', ')});${isPart(record) ? ' $parts = $parts + 1;' : ''}`
}

const isPart = (record: string) => (parts as readonly string[]).includes(record)

const split = (text: string) => text.trim().split(/\s+(?=[a-z0-9_]+=)/)
const cut = (argument: string): [string, string] => {
  const at = argument.indexOf('=')
  return [argument.slice(0, at), argument.slice(at + 1)]
}
