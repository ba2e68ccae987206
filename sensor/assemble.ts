/**
 * Records -> acts: what one process did, whole.
 *
 * The kernel sends an exec as several lines (arguments in chunks, path components, descriptors), tied together by time
 * and thread id, its head last. A head whose parts are not all there (the buffer overflowed between them) is passed on
 * with what came, marked incomplete; parts whose head never comes are dropped and reported.
 */

import { type KernelRecord, limits, type RecordOf, sections } from '../bpf/records.ts'
import { type Told, toldBy } from './deeds.ts'
import {
  addressIn,
  type Descriptor,
  decode,
  inSection,
  type Part,
  pathOf,
  type Socket,
  socketOf,
  stdioOf,
  textOf,
} from './parts.ts'
import { createToldPaths, type ToldPaths } from './told-paths.ts'

interface Base {
  /** CLOCK_BOOTTIME, nanoseconds. */
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
  /** Of the executable: st_mode, the number of its kind of file system, who owns it. */
  executable: { mode: number; magic: number; upper: boolean; owner: number; group: number }
  realUid: number
  realGid: number
  /** Sets of capabilities, each one decimal number: the effective ones, and those that any program inherits. */
  capabilities: string
  ambient: string
  inUserNamespace: boolean
  /** Absent only if its lines were lost. */
  directory?: string
  args: string[]
  /** There are more: beyond limits.ARGS_MAX bytes, or behind a chunk that was lost. */
  argsCut: boolean
  stdio: (Descriptor | undefined)[]
  parentSockets: Socket[]
  /** File name of the parent's executable. Absent for a kernel thread, where it was told a moment ago, and where it was lost. */
  parentName?: string
  /** Some of it was lost on the way. */
  incomplete: boolean
}
export interface Connect extends Actor {
  act: 'connect'
  socket: Socket
  /** Its event is dropped: the sensor is behind. What opened a connection must be known all the same. */
  shed?: true
}
export interface StdioWired extends Actor {
  act: 'stdio'
  stdio: (Descriptor | undefined)[]
}
export interface Deed extends Actor, Told {
  act: 'deed'
}
export type Act =
  | Deed
  | Exec
  | Connect
  | StdioWired
  | (Base & { act: 'fork'; pid: number; ppid: number; cgroup: string })
  | (Base & { act: 'exit'; pid: number; code: number })
  | (Base & { act: 'sensor'; pids: number[] })
  | (Base & { act: 'cgroup'; id: string; path: string })
  | (Base & { act: 'cgroup_removed'; id: string })
  /** It was put into a cgroup of version 1; `path`: where /proc shows it, if it was asked in time. */
  | (Base & { act: 'cgroup_joined'; pid: number; path?: string | undefined })

type Head = Extract<KernelRecord, { parts: number }>

export interface AssemblerEvents {
  act(act: Act): void
  heartbeat(time: number): void
  /** Parts without a head, or a head without its parts. */
  incomplete(record: KernelRecord['record']): void
  /** Whether a head, and its parts with it, is to be left out; a connection stays as an act, marked. */
  drops?(record: KernelRecord['record']): boolean
}

/** Parts wait for their head for so many nanoseconds of kernel time; they are printed microseconds apart. */
const patience = 2e9

/** The parts of one act so far. Of one thread several acts may be under way, where it moved between processors. */
interface Waiting {
  tid: number
  time: number
  parts: Part[]
  /** Another act of the same thread. */
  other: Waiting | undefined
}

const none: Part[] = []

/** How many parts of a head a kprobe has sent. */
const resolvedOf = (head: Head): number => ('resolved' in head ? head.resolved : 0)
const expected = (head: Head): number => head.parts + resolvedOf(head)

/** Whether these are names that a kprobe found. Their head comes when the call ends, and not at all if it failed. */
const isResolved = ({ parts: [first] }: Waiting): boolean =>
  first?.record === 'text' && (first.section === sections.RESOLVED || first.section === sections.RESOLVED_OTHER)

export function createAssembler(events: AssemblerEvents): { push(record: KernelRecord): void; waiting(): number } {
  /** By thread. A text of time and thread as the key would take longer to make than all else that is done with a part. */
  const waiting = new Map<number, Waiting>()
  const toldPaths = createToldPaths()
  /** Where the last part went: the next one nearly always belongs to it. */
  let current: Waiting | undefined

  const add = (part: Part) => {
    const { tid, time } = part
    if (current?.tid !== tid || current.time !== time) {
      const first = waiting.get(tid)
      current = first
      while (current && current.time !== time) current = current.other
      if (current === undefined) {
        current = { tid, time, parts: [], other: first }
        waiting.set(tid, current)
      }
    }
    current.parts.push(part)
  }

  const remove = ({ tid, time }: { tid: number; time: number }): Part[] => {
    let found = waiting.get(tid)
    let before: Waiting | undefined
    while (found && found.time !== time) {
      before = found
      found = found.other
    }
    if (found === undefined) return none
    if (before) before.other = found.other
    else if (found.other) waiting.set(tid, found.other)
    else waiting.delete(tid)
    if (current === found) current = undefined
    return found.parts
  }

  /** What a kprobe found for the call that this thread has ended now: the latest, as what a failed call found is left. */
  const removeResolved = (tid: number): Part[] => {
    let latest: Waiting | undefined
    for (let one = waiting.get(tid); one; one = one.other)
      if (isResolved(one) && (latest === undefined || one.time > latest.time)) latest = one
    return latest ? remove(latest) : none
  }

  const take = (head: Head): Part[] => {
    const own = remove(head)
    const parts = resolvedOf(head) > 0 ? [...own, ...removeResolved(head.tid)] : own
    if (parts.length !== expected(head)) events.incomplete(head.record)
    return parts
  }

  const each = function* (): Generator<Waiting> {
    for (const first of waiting.values()) for (let one: Waiting | undefined = first; one; one = one.other) yield one
  }

  const expire = (now: number) => {
    for (const old of [...each()].filter(({ time }) => time <= now - patience)) {
      const [first] = remove(old)
      if (first && !isResolved(old)) events.incomplete(first.record)
    }
  }

  return {
    waiting: () => [...each()].length,
    push(record) {
      const shed = 'parts' in record && events.drops?.(record.record) === true
      if (shed && record.record !== 'connect' && record.record !== 'datagram') return void remove(record)
      switch (record.record) {
        case 'text':
        case 'name':
        case 'stdio_files':
        case 'socket':
        case 'parent_socket':
        case 'inode':
        case 'address':
          return add(record)
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
        case 'sensor':
          return events.act({ act: 'sensor', time: record.time, pids: [record.pid, record.ppid] })
        case 'cgroup_removed':
          return events.act({ act: 'cgroup_removed', time: record.time, id: record.id })
        case 'cgroup_joined':
          return events.act({ act: 'cgroup_joined', time: record.time, pid: record.pid })
        case 'cgroup': {
          const path = cgroupPath(take(record), record.parts)
          return path === undefined ? undefined : events.act({ act: 'cgroup', time: record.time, id: record.id, path })
        }
        case 'exec': {
          const exec = execOf(record, take(record), toldPaths)
          const isLost = [exec.path, exec.directory].some(
            (path, at) => path === undefined && (record.told & (1 << at)) !== 0,
          )
          if (isLost && !exec.incomplete) events.incomplete('exec') // else it is counted
          return events.act(exec)
        }
        case 'connect':
          take(record) // which are none
          return events.act({ act: 'connect', ...actor(record), socket: socketOf(record), ...(shed && { shed }) })
        case 'datagram': {
          const peer = addressIn(take(record))
          if (!peer) return // counted in take
          const socket: Socket = { ...peer, stream: false, listening: false, localPort: record.local_port }
          return events.act({ act: 'connect', ...actor(record), socket, ...(shed && { shed }) })
        }
        case 'stdio':
          return events.act({ act: 'stdio', ...actor(record), stdio: stdioOf(take(record)) })
        default: {
          const parts = take(record)
          const told = toldBy(record, parts, parts.length === expected(record))
          if (told) events.act({ act: 'deed', ...actor(record), ...told })
        }
      }
    },
  }
}

const actor = ({ time, pid, ppid, cgroup, uid, gid }: Actor): Actor => ({ time, pid, ppid, cgroup, uid, gid })

/** A path that is among the parts, or was told before; undefined where that was lost. */
function pathByKey(
  { time, told }: RecordOf<'exec'>,
  { key, bit, path }: { key: string; bit: number; path: string | undefined },
  { toldPaths, whole }: { toldPaths: ToldPaths; whole: boolean },
): string | undefined {
  if ((told & bit) !== 0) return toldPaths.find(key)
  if (whole && path !== undefined) toldPaths.tell(key, path, time)
  return path
}

function execOf(record: RecordOf<'exec'>, parts: Part[], toldPaths: ToldPaths): Exec {
  const whole = parts.length === record.parts
  const from = { toldPaths, whole }
  const executable = { key: record.path, bit: 1, path: pathOf(parts, sections.EXECUTABLE, whole) }
  const inDirectory = pathOf(parts, sections.DIRECTORY, whole) ?? (whole ? '/' : undefined)
  const path = pathByKey(record, executable, from)
  const directory = pathByKey(record, { key: record.directory, bit: 2, path: inDirectory }, from)
  const text = textOf(parts.filter(inSection(sections.ARGUMENTS)))
  const parent = textOf(parts.filter(inSection(sections.PARENT)))
  return {
    act: 'exec',
    ...actor(record),
    started: record.started,
    ...(path !== undefined && { path }),
    deleted: record.links === 0,
    executable: {
      mode: record.mode,
      magic: record.magic,
      upper: record.upper !== 0,
      owner: record.owner,
      group: record.group,
    },
    realUid: record.real_uid,
    realGid: record.real_gid,
    capabilities: record.capabilities,
    ambient: record.ambient,
    inUserNamespace: record.user_level > 0,
    ...(directory !== undefined && { directory }),
    args: splitArguments(text.bytes),
    argsCut: text.bytes.length < text.length || (!whole && text.length === 0), // argv[0] is always there
    stdio: stdioOf(parts),
    parentSockets: parts.filter((part) => part.record === 'parent_socket').map((part) => socketOf(part)),
    ...(parent.length > 0 && parent.bytes.length === parent.length && { parentName: decode(parent.bytes) }),
    incomplete: !whole,
  }
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
