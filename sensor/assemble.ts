/**
 * Records -> acts: what one process did, whole.
 *
 * The kernel sends an exec as several lines (arguments in chunks, path components, descriptors), tied together by time
 * and thread id, its head last. A head whose parts are not all there (the buffer overflowed between them) is passed on
 * with what came, marked incomplete; parts whose head never comes are dropped and reported.
 */
import ipaddr from 'ipaddr.js'
import { type KernelRecord, limits, type RecordOf, sections } from '../bpf/records.ts'

/** The remote end of a socket, as the kernel has it. */
export interface Socket {
  family: 'ipv4' | 'ipv6' | 'unix' | 'other'
  stream: boolean
  listening: boolean
  /** Dotted or colon form; absent for a socket that is not connected. */
  ip?: string
  port: number
  localPort: number
}

/** One of the descriptors 0, 1, 2. */
export interface Descriptor {
  /** st_mode of the file. */
  mode: number
  /** `device:inode`: the two ends of a pipe have it in common. */
  inode: string
  /** st_rdev: what a character device is. */
  node: number
  /** Set for a socket. */
  socket?: Socket
}

interface Base {
  /** CLOCK_MONOTONIC, nanoseconds. */
  time: number
}
interface Actor extends Base {
  pid: number
  ppid: number
  cgroup: string
  uid: number
  gid: number
}
export interface Exec extends Actor {
  act: 'exec'
  /** CLOCK_BOOTTIME of the fork, nanoseconds. */
  started: number
  path?: string
  deleted: boolean
  /** Absent only if its lines were lost. */
  directory?: string
  args: string[]
  /** There are more: beyond limits.ARGS_MAX bytes, or behind a chunk that was lost. */
  argsCut: boolean
  stdio: (Descriptor | undefined)[]
  parentSockets: Socket[]
  /** File name of the parent's executable. Absent for a kernel thread, and where it was lost. */
  parentName?: string
  /** Some of it was lost on the way. */
  incomplete: boolean
}
export interface Connect extends Actor {
  act: 'connect'
  socket: Socket
}
export interface StdioWired extends Actor {
  act: 'stdio'
  stdio: (Descriptor | undefined)[]
}
export type Act =
  | Exec
  | Connect
  | StdioWired
  | (Base & { act: 'fork'; pid: number; ppid: number; cgroup: string })
  | (Base & { act: 'exit'; pid: number; code: number })
  | (Base & { act: 'cgroup'; id: string; path: string })
  | (Base & { act: 'cgroup_removed'; id: string })

type Head = RecordOf<'exec' | 'connect' | 'stdio' | 'cgroup'>
type Part = RecordOf<'text' | 'fd' | 'socket' | 'parent_socket'>

export interface AssemblerEvents {
  act(act: Act): void
  heartbeat(time: number): void
  /** Parts without a head, or a head without its parts. */
  incomplete(record: KernelRecord['record']): void
}

/** Parts wait for their head for so many nanoseconds of kernel time; they are printed microseconds apart. */
const patience = 2e9

export function createAssembler(events: AssemblerEvents): { push(record: KernelRecord): void; waiting(): number } {
  const waiting = new Map<string, Part[]>()

  const take = (head: Head): Part[] => {
    const key = `${head.time} ${head.tid}`
    const parts = waiting.get(key) ?? []
    waiting.delete(key)
    if (parts.length !== head.parts) events.incomplete(head.record)
    return parts
  }

  const expire = (now: number) => {
    for (const [key, parts] of waiting) {
      const [first] = parts
      if (!first || first.time > now - patience) break // insertion order is time order, near enough
      waiting.delete(key)
      events.incomplete(first.record)
    }
  }

  return {
    waiting: () => waiting.size,
    push(record) {
      switch (record.record) {
        case 'text':
        case 'fd':
        case 'socket':
        case 'parent_socket': {
          const key = `${record.time} ${record.tid}`
          const parts = waiting.get(key)
          if (parts) parts.push(record)
          else waiting.set(key, [record])
          return
        }
        case 'heartbeat':
          expire(record.time)
          return events.heartbeat(record.time)
        case 'fork':
          return events.act({
            act: 'fork',
            time: record.time,
            pid: record.pid,
            ppid: record.ppid,
            cgroup: record.cgroup,
          })
        case 'exit':
          return events.act({ act: 'exit', time: record.time, pid: record.pid, code: record.code })
        case 'cgroup_removed':
          return events.act({ act: 'cgroup_removed', time: record.time, id: record.id })
        case 'cgroup': {
          const path = cgroupPath(take(record), record.parts)
          return path === undefined ? undefined : events.act({ act: 'cgroup', time: record.time, id: record.id, path })
        }
        case 'exec':
          return events.act(execOf(record, take(record)))
        case 'connect': {
          const socket = take(record).find((part) => part.record === 'socket')
          if (!socket) return // counted in take
          return events.act({
            act: 'connect',
            ...actor(record),
            socket: socketOf(socket),
          })
        }
        case 'stdio':
          return events.act({ act: 'stdio', ...actor(record), stdio: stdioOf(take(record)) })
      }
    },
  }
}

/** include/linux/socket.h */
const families: Record<number, Socket['family']> = { 1: 'unix', 2: 'ipv4', 10: 'ipv6' }
const TCP_LISTEN = 10
const SOCK_STREAM = 1

const actor = ({ time, pid, ppid, cgroup, uid, gid }: Actor): Actor => ({ time, pid, ppid, cgroup, uid, gid })

function execOf(record: RecordOf<'exec'>, parts: Part[]): Exec {
  const whole = parts.length === record.parts
  const path = pathOf(parts, sections.EXECUTABLE, whole)
  const directory = pathOf(parts, sections.DIRECTORY, whole) ?? (whole ? '/' : undefined)
  const text = textOf(parts.filter(inSection(sections.ARGUMENTS)))
  const parent = textOf(parts.filter(inSection(sections.PARENT)))
  return {
    act: 'exec',
    ...actor(record),
    started: record.started,
    ...(path !== undefined && { path }),
    deleted: record.links === 0,
    ...(directory !== undefined && { directory }),
    args: splitArguments(text.bytes),
    argsCut: text.bytes.length < text.length || (!whole && text.length === 0), // argv[0] is always there
    stdio: stdioOf(parts),
    parentSockets: parts.filter((part) => part.record === 'parent_socket').map(socketOf),
    ...(parent.length > 0 && parent.bytes.length === parent.length && { parentName: decode(parent.bytes) }),
    incomplete: !whole,
  }
}

const inSection =
  (section: number) =>
  (part: Part): part is RecordOf<'text'> =>
    part.record === 'text' && part.section === section

/** Chunks of one text -> the text up to the first chunk that was lost, and the length that it has in the kernel. */
function textOf(chunks: RecordOf<'text'>[]): { bytes: Buffer; length: number } {
  const sent: Uint8Array[] = []
  let end = 0
  for (const chunk of chunks) {
    if (chunk.at !== end) break
    sent.push(chunk.bytes)
    end += chunk.bytes.length
  }
  return { bytes: Buffer.concat(sent), length: chunks[0]?.length ?? 0 }
}

/**
 * Path components, last first -> the path; undefined without any. A path begins with `…` if it is too deep to be sent,
 * or if it is not known to be `whole`: then its last name is right, and any other may be missing.
 */
function pathOf(parts: Part[], section: number, whole: boolean): string | undefined {
  const components = new Map<number, RecordOf<'text'>[]>()
  for (const part of parts.filter(inSection(section))) {
    const chunks = components.get(part.index)
    if (chunks) chunks.push(part)
    else components.set(part.index, [part])
  }
  if (components.size === 0) return undefined
  const texts = [...components.values()].map(textOf)
  const last = components.has(0) ? texts[0] : undefined
  if (!whole && (!last || last.bytes.length < last.length)) return undefined
  const path = `/${texts
    .map(({ bytes }) => decode(cutAtNul(bytes)))
    .reverse()
    .join('/')}`
  return !whole || components.has(limits.PATH_DEPTH - 1) ? `…${path}` : path
}

/**
 * The path of an announced cgroup; undefined where a part of it was lost, or it is deeper or has longer names than are
 * sent: half a path would name another container, and the cgroup can still be found by its id.
 */
function cgroupPath(parts: Part[], expected: number): string | undefined {
  const names = parts.filter(inSection(sections.CGROUP))
  if (parts.length !== expected || names.some(({ index }) => index === limits.CGROUP_DEPTH - 1)) return undefined
  const path = pathOf(names, sections.CGROUP, true)
  return path?.split('/').some((name) => Buffer.byteLength(name) >= limits.CGROUP_NAME_MAX) ? undefined : path
}

const stdioOf = (parts: Part[]): (Descriptor | undefined)[] =>
  [0, 1, 2].map((at) => {
    const file = parts.find((part) => part.record === 'fd' && part.at === at)
    const socket = parts.find((part) => part.record === 'socket' && part.at === at)
    if (file?.record !== 'fd') return undefined
    const { mode, inode, device, node } = file
    return { mode, inode: `${device}:${inode}`, node, ...(socket && { socket: socketOf(socket) }) }
  })

function socketOf(part: Part): Socket {
  if (part.record !== 'socket' && part.record !== 'parent_socket') throw new TypeError(part.record)
  const listening = part.state === TCP_LISTEN
  const family = families[part.family] ?? 'other'
  if (family === 'unix' || family === 'other')
    return { family, stream: part.type === SOCK_STREAM, listening, port: 0, localPort: 0 }
  const port = swap16(part.peer_port_be)
  const ip = family === 'ipv4' ? ipv4(part.peer4) : ipv6(part)
  return {
    family,
    stream: part.type === SOCK_STREAM,
    listening,
    ...(port !== 0 && { ip }),
    port,
    localPort: part.local_port,
  }
}

const swap16 = (value: number) => ((value & 0xff) << 8) | ((value >> 8) & 0xff)

/** A big-endian address that was read as a little-endian number: its first byte is the lowest. */
const octets = (value: number) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff)
const ipv4 = (value: number) => octets(value).join('.')

/** RFC 5952 text form; an IPv4-mapped address in its IPv4 form. */
function ipv6(part: RecordOf<'socket' | 'parent_socket'>): string {
  const bytes = [part.peer6_0, part.peer6_1, part.peer6_2, part.peer6_3].flatMap(octets)
  const address = new ipaddr.IPv6(bytes)
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString()
}

/** A byte order mark is a character as any other: dropped, it would make one name look like another. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const decode = (bytes: Uint8Array) => decoder.decode(bytes)

function cutAtNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** argv as it lies in memory: strings, each ended by a NUL. */
function splitArguments(bytes: Buffer): string[] {
  if (bytes.length === 0) return []
  const ended = bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes
  const args: string[] = []
  let start = 0
  for (let at = ended.indexOf(0); at >= 0; at = ended.indexOf(0, start)) {
    args.push(decode(ended.subarray(start, at)))
    start = at + 1
  }
  args.push(decode(ended.subarray(start)))
  return args
}
