/** The assembler: fragments (`*.bt`, one an event family) and macros (`macros/*.bt`) become one bpftrace program. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EventType } from '../sensor/event.ts'
import { type Architecture, ownArchitecture } from './architecture.ts'
import { compatBlocks } from './compat.ts'
import { sets, whereOf } from './conditions.ts'
import { connectFilter, connectTables } from './connect-filter.ts'
import { fileFilter, requestedMax, tablesOf } from './file-filter.ts'
import type { Interest, Interests } from './interest.ts'
import { bits, bpfCommands, mapKeys, newNamespaces, ringOperations } from './numbers.ts'
import { heading } from './omissions.ts'
import { limits, parts, type RecordName, records, sections } from './records.ts'
import { fitting, type Tracepoints, within } from './tracepoints.ts'

const failuresAlone = (interests: readonly Interest[]) => interests.every(({ outcome }) => outcome === 'failure')
const successesAlone = (interests: readonly Interest[]) => interests.every(({ outcome }) => outcome === 'success')

/** Event families: those that the process table always needs, and those that are sent only if a rule is on them. */
const families: { fragment: string; wantedBy?: EventType[]; unless?(interests: readonly Interest[]): boolean }[] = [
  { fragment: 'self' },
  { fragment: 'heartbeat' },
  { fragment: 'flush' },
  { fragment: 'cgroup' },
  { fragment: 'fork' },
  { fragment: 'exec' },
  { fragment: 'replaced' },
  { fragment: 'exit' },
  { fragment: 'where', wantedBy: ['open', 'connect', 'chmod', 'chown', 'link', 'rename', 'unlink', 'mkdir'] },
  { fragment: 'connect', wantedBy: ['connect'] },
  { fragment: 'stdio', wantedBy: ['stdio'] },
  { fragment: 'open', wantedBy: ['open'], unless: failuresAlone },
  { fragment: 'open-handle', wantedBy: ['open'], unless: failuresAlone },
  { fragment: 'open-ring', wantedBy: ['open'], unless: failuresAlone },
  { fragment: 'open-compat', wantedBy: ['open'], unless: failuresAlone },
  { fragment: 'open-failed', wantedBy: ['open'], unless: successesAlone },
  { fragment: 'chmod', wantedBy: ['chmod'] },
  { fragment: 'chown', wantedBy: ['chown'] },
  { fragment: 'link', wantedBy: ['link'] },
  { fragment: 'rename', wantedBy: ['rename'] },
  { fragment: 'unlink', wantedBy: ['unlink'] },
  { fragment: 'mkdir', wantedBy: ['mkdir'] },
  { fragment: 'ptrace', wantedBy: ['ptrace'] },
  { fragment: 'namespace', wantedBy: ['namespace'] },
  { fragment: 'mount', wantedBy: ['mount'] },
  { fragment: 'module', wantedBy: ['module'] },
  { fragment: 'bpf', wantedBy: ['bpf'] },
  { fragment: 'credentials', wantedBy: ['credentials'] },
  { fragment: 'memfd', wantedBy: ['memfd'] },
  { fragment: 'io_uring', wantedBy: ['io_uring'] },
  { fragment: 'kill', wantedBy: ['kill'] },
  { fragment: 'syscall', wantedBy: ['syscall'] },
  { fragment: 'packet', wantedBy: ['connect', 'dns'] },
  { fragment: 'listen', wantedBy: ['listen'] },
  { fragment: 'accept', wantedBy: ['accept'] },
  { fragment: 'socket', wantedBy: ['socket'] },
]

/** Constants under their kernel names. */
const constants: Record<string, number | bigint> = {
  ...sections,
  ...limits,
  ...sets,
  FLUSH_MS: 3,
  FLUSH_PATIENCE: 16,
  FLUSH_MARGIN: 200_000,
  FORK: 1,
  EXIT: 2,
  FILTER_DEPTH: 20,
  KEY_STEPS: 64,
  KEY_FACTOR: 0x1e37_79b9_7f4a_7c15n, // odd, and without a pattern
  REQUESTED_LOOKED_AT: requestedMax + 1,
  O_ACCMODE: 3, // include/uapi/asm-generic/fcntl.h
  O_WRONLY: 1,
  O_CREAT: 0o100,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  NO_DESCRIPTOR: 0xffff_ffff,
  AT_FDCWD: -100, // include/uapi/linux/fcntl.h
  AT_REMOVEDIR: 0x200,
  NAME_INSIDE: 32, // DNAME_INLINE_LEN, include/linux/dcache.h, was 32 and is 40
  NAME_MAX: 255, // include/uapi/linux/limits.h
  EPERM: 1, // include/uapi/asm-generic/errno-base.h
  S_IFMT: 0o170000, // include/uapi/linux/stat.h
  S_IFSOCK: 0o140000,
  S_IFBLK: 0o060000,
  S_IFCHR: 0o020000,
  AF_UNIX: 1, // include/linux/socket.h
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  SOCK_STREAM: 1, // include/linux/net.h
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_TYPE_MASK: 0xf,
  SOCK_BINDPORT_LOCK: 8, // include/net/sock.h
  SOCKADDR_MAX: 128, // _K_SS_MAXSIZE, include/uapi/linux/socket.h
  TCP_SYN_SENT: 2, // include/net/tcp_states.h
  TCP_LISTEN: 10,
  IPPROTO_TCP: 6, // include/uapi/linux/in.h
  IPPROTO_UDP: 17,
  IPPROTO_ICMP: 1,
  IPPROTO_ICMPV6: 58,
  IPPROTO_MPTCP: 262,
  NEXTHDR_FRAGMENT: 44, // include/net/ipv6.h
  // Fields of packets, as a little-endian machine reads them.
  ETH_P_IP_BE: 0x0008, // include/uapi/linux/if_ether.h
  ETH_P_IPV6_BE: 0xdd86,
  IP_OFFSET_BE: 0xff1f, // include/net/ip.h
  IP6_OFFSET_BE: 0xf8ff,
  DNS_PORT: 53,
  DNS_PORT_BE: 0x3500,
  EPHEMERAL_PORTS: 32768, // net.ipv4.ip_local_port_range begins here by default
  TOLD_MAX: mapKeys * 0.75,
  NEWS_NS: 1_000_000_000,
  NETLINK_ROUTE: 0, // include/uapi/linux/netlink.h
  NETLINK_SOCK_DIAG: 4,
  NETLINK_AUDIT: 9,
  NETLINK_KOBJECT_UEVENT: 15,
  NETLINK_GENERIC: 16,
  IFF_SLAVE: 0x800, // include/uapi/linux/if.h
  IFF_BRIDGE_PORT: 1 << 9, // include/linux/netdevice.h, priv_flags
  IFF_TEAM_PORT: 1 << 13,
  PF_IO_WORKER: 0x10, // include/linux/sched.h
  EACCES: 13, // include/uapi/asm-generic/errno-base.h, errno.h
  EAFNOSUPPORT: 97,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  EHOSTUNREACH: 113,
  CLONE_THREAD: 0x10000, // include/uapi/linux/sched.h
  ...newNamespaces,
  CLONE: -1, // clone and clone3 by task_newtask, which doesn't say which
  CLONE_NEW: Object.values(newNamespaces).reduce<number>((all, flag) => all | flag, 0),
  OVERLAYFS_SUPER_MAGIC: 0x794c7630, // include/uapi/linux/magic.h
  PROC_SUPER_MAGIC: 0x9fa0,
  NSFS_MAGIC: 0x6e736673,
  PID_FS_MAGIC: 0x50494446,
  MOVE_MOUNT_F_EMPTY_PATH: 4, // include/uapi/linux/mount.h
  OPEN_TREE_CLONE: 1,
  PTRACE_TRACEME: 0, // include/uapi/linux/ptrace.h
  PTRACE_POKEUSR: 6,
  PTRACE_SETREGS: 13,
  PTRACE_SETFPREGS: 15,
  PTRACE_ATTACH: 16,
  PTRACE_SETREGSET: 0x4205,
  PTRACE_SEIZE: 0x4206,
  ADDR_NO_RANDOMIZE: 0x40000, // include/uapi/linux/personality.h
  READ_IMPLIES_EXEC: 0x400000,
  SI_USER: 0, // include/uapi/asm-generic/siginfo.h
  SI_QUEUE: -1,
  SI_TKILL: -6,
  SIGCHLD: 17, // include/uapi/asm-generic/signal.h
  SIGCONT: 18,
  SIGURG: 23,
  SIGWINCH: 28,
  ...bpfCommands,
  BPF_COMMANDS: bits(Object.values(bpfCommands)),
  BPF_PROG_NAME: Buffer.from('bpf-prog').readBigUInt64LE(), // what a program's file is called, kernel/bpf/syscall.c
  IORING_OP_OPENAT: ringOperations.openat,
  IORING_OP_OPENAT2: ringOperations.openat2,
  IORING_OPCODES: bits(Object.values(ringOperations)),
  MOUNT_OFFSET: 32, // offset of mnt in struct mount, fs/mount.h: the same on every 64-bit kernel since 3.x
}

const directory = import.meta.dirname
const fragmentText = (name: string) => readFileSync(join(directory, `${name}.bt`), 'utf8')
const withoutComments = (text: string) => text.replaceAll(/^\s*\/\/.*\n/gm, '')

/**
 * The bpftrace program that sends these events: for the kernel that has these tracepoints, or for one that has all those of
 * its architecture.
 */
export function program(
  interests: Interests,
  tracepoints?: Tracepoints,
  architecture: Architecture = ownArchitecture(),
): string {
  const of = (types: readonly EventType[]) => types.flatMap((type) => interests.get(type) ?? [])
  const wanted = families.filter(({ wantedBy, unless }) => {
    if (wantedBy === undefined) return true
    const asked = of(wantedBy)
    return asked.length > 0 && unless?.(asked) !== true
  })
  const files = tablesOf(fileFilter(of(['open'])))
  const connects = connectTables(connectFilter(of(['connect'])))
  const known: Record<string, number | bigint | string> = {
    ...constants,
    ...architecture.constants,
    ...files.constants,
    ...connects.constants,
  }
  // Of connections also where none is wanted: the fragments that are always there speak of these tables.
  const tables = [...(of(['open']).length > 0 ? files.begin : []), ...connects.begin].join('\n  ')
  const text = wanted.map(({ fragment, wantedBy }) => {
    const source = fragmentText(fragment).replace('{{tables}}', () => tables)
    const file = `${fragment}.bt`
    const own = `${heading(fragment, wantedBy === undefined)}\n${expand(source, file, architecture)}`
    return architecture.compatFunctions ? own + compatBlocks(architecture, (its) => expand(source, file, its)) : own
  })
  // <TYPE>_WANTED: 1 or 0, in a fragment that serves several types; the compiler drops the branches that are not wanted.
  // <TYPE>_WHERE: see whereOf.
  const asked = (name: string): number | undefined => {
    const [, type = '', what] = /^(\w+)_(WANTED|WHERE)$/.exec(name) ?? []
    const interest = interests.get(type.toLowerCase() as EventType)
    if (what === undefined) return undefined
    return what === 'WANTED' ? Number(interest !== undefined) : whereOf(interest ?? [])
  }
  const whole = text.join('\n').replaceAll(/\b[A-Z][A-Z0-9_]+\b/g, (name) => String(known[name] ?? asked(name) ?? name))
  return fitting(whole, within(architecture, tracepoints))
}

/**
 * Replaces `{{emit record field=value ...}}` (see actorOf for `actor=`; `print` doesn't ask for a flush) and
 * `{{macro name=value ...}}`, the latter recursively.
 */
function expand(text: string, file: string, architecture: Architecture): string {
  return text.replaceAll(
    /^( *)\{\{([a-z-]+)((?:[^{}]|\{[a-z]+\})*)\}\}/gm,
    (_, indent: string, name: string, rest: string) => {
      if (name === 'emit' || name === 'print') {
        const [record = '', ...fields] = split(rest)
        const told = name === 'print' ? '' : isPart(record) ? ' $parts = $parts + 1;' : ' @unsent = 1;'
        return indent + printf(record, fields, file) + told
      }
      const body = split(rest).reduce(
        (body, argument) => {
          const [key = '', value = ''] = cut(argument)
          return body.replaceAll(`{${key}}`, value)
        },
        withoutComments(fragmentText(`macros/${architecture.macros[name] ?? name}`)),
      )
      return expand(body, `macros/${name}.bt`, architecture).trimEnd().replaceAll(/^/gm, indent)
    },
  )
}

function printf(record: string, fields: string[], file: string): string {
  const layout = records[record as RecordName]
  if (!layout) throw new Error(`bpf/${file}: emit ${record}: no such record in records.ts`)
  const given = fields
    .map(cut)
    .flatMap(([key, value]): [string, string][] => (key === 'actor' ? actorOf(value) : [[key, value]]))
  const expected = Object.entries(layout.fields)
  if (given.map(([key]) => key).join() !== expected.map(([key]) => key).join())
    throw new Error(
      `bpf/${file}: emit ${record}: fields ${given.map(([key]) => key)}; records.ts has ${Object.keys(layout.fields)}`,
    )
  const formats = expected.flatMap(([, kind]) => (kind === 'lower' ? [] : printed[kind]))
  const values = expected.flatMap(([, kind], at) => {
    const [value = '', next = ''] = [given[at]?.[1], given[at + 1]?.[1]]
    if (kind === 'lower') return []
    if (kind === 'upper') return `((uint64)(${value}) << 32) | ((uint64)(${next}) & 0xffffffff)`
    return kind === 'words' ? words(value) : value
  })
  return `printf("${layout.tag} ${formats.join(' ')}\\n", ${values.join(', ')});`
}

const wordsOfChunk = Array.from({ length: limits.CHUNK / 8 }, (_, at) => at)
/** `$w` -> `$w0, $w1 ...`: see macros/words.bt. */
const words = (name: string) => wordsOfChunk.map((at) => `${name}${at}`).join(', ')
const printed = {
  number: '%lld',
  upper: '%llx',
  id: '%llu',
  words: wordsOfChunk.map(() => '%llx').join(' '),
  bytes: '%rh',
}

/** `actor=$t`: the fields of a head record that say when it was, and which process of task `$t` did it. Expects $ts, $parts. */
const actorOf = (task: string): [string, string][] => [
  ['time', '$ts'],
  ['tid', `${task}->pid`],
  ['parts', '$parts'],
  ['pid', `${task}->tgid`],
  ['ppid', `${task}->real_parent->tgid`],
  ['cgroup', 'cgroup'],
  ['uid', `${task}->cred->euid.val`],
  ['gid', `${task}->cred->egid.val`],
]

const isPart = (record: string) => (parts as readonly string[]).includes(record)

const split = (text: string) => text.trim().split(/\s+(?=[a-z0-9_]+=)/)
const cut = (argument: string): [string, string] => {
  const at = argument.indexOf('=')
  return [argument.slice(0, at), argument.slice(at + 1)]
}
