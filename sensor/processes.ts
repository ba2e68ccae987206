/**
 * The process table: acts -> events that know their process, its ancestors, and what its descriptors lead to.
 *
 * A process is made by a fork record, renewed by its exec, and forgotten some time after its exit. Its ancestors are
 * those that forked it: they stay, also when a parent has exited and the kernel calls init the parent. Every process
 * keeps its ancestors' descriptions itself (at most 16), so that nothing else must be kept of the dead.
 */
import { containerOf } from '../enrich/containers.ts'
import type { Where } from '../enrich/enricher.ts'
import type { Act } from './assemble.ts'
import { capabilityNames } from './capabilities.ts'
import type { Clock } from './clock.ts'
import {
  describeExec,
  describeParent,
  describeRunning,
  describeStdio,
  describeTarget,
  exitCode,
  inherited,
} from './described.ts'
import type { Event, EventType, Process, ProcessBase } from './event.ts'
import type { RunningProcess } from './proc.ts'
import { raisedByExec } from './raised.ts'
import { type Connection, createWiring, type Wired } from './wiring.ts'

/** One process, as the table holds it. */
export interface Entry extends Wired {
  parent: Entry | undefined
  /** Described anew at each exec; events keep the description that was true for them. */
  described: ProcessBase
  /** CLOCK_BOOTTIME of its fork, nanoseconds: unlike its start time, the same whatever the wall clock is set to. */
  started: number | undefined
  ancestors: ProcessBase[]
  /** Whether it has executed a program itself, and not only its parent before the fork. */
  execed: boolean
  /** It was not among those running at the last look. */
  missed: boolean
  cgroup: string | undefined
  /** Where cgroups of version 1 are in use: the path of its own, a container's if it is in one. Undefined: to be asked for. */
  version1: string | undefined
  /** Effective capabilities since its last exec. Ancestors are told without: forty names each would be most of an event. */
  capabilities: string[] | undefined
  /** What its last event told of it: as long as nothing changes, its next one tells the same, by the same object. */
  told:
    | { process: Process; described: ProcessBase; ancestors: ProcessBase[]; capabilities: string[] | undefined }
    | undefined
}

/** An event and where its process runs: what the enricher needs besides. */
export type Emit = (event: Event, where: Where) => void

export interface ProcessTable {
  apply(act: Act): void
  /** Takes over what /proc shows of processes that the table doesn't know, and drops those that are gone. */
  prime(running: RunningProcess[]): void
  /** After a loss. Drops processes that were not among those running, by their numbers, at this look and at the one before. */
  sweep(running: ReadonlySet<number>): void
  size(): number
}

const ancestorsKept = 16
const connectionsKept = 16
/**
 * An exited process is remembered this long, for what comes late of its orphans and of those that signal it; nanoseconds of
 * kernel time. The kernel itself names another parent from its exit on. Each takes some 2 KB: ten seconds were 40 MiB in a storm.
 */
const remembered = 1e9

/**
 * `needless`: nobody wants events of this type, so that none need be made. `version1Of`: where cgroups of version 1 are in
 * use, the path of a running process's.
 */
export function createProcessTable(
  clock: Pick<Clock, 'unix'>,
  emit: Emit,
  needless: (type: EventType) => boolean = () => false,
  version1Of?: (pid: number) => string | undefined,
): ProcessTable {
  const entries = new Map<number, Entry>()
  const exited: { pid: number; entry: Entry; time: number }[] = []
  const wiring = createWiring<Entry>()
  /** The sensor and its bpftrace, by number: the kernel's time when it was last said so. */
  const own = new Map<number, number>()

  const forget = (now: number) => {
    while (exited[0] && exited[0].time < now - remembered) {
      const gone = exited.shift()
      if (!gone) return
      if (entries.get(gone.pid) === gone.entry) entries.delete(gone.pid)
    }
  }

  /** A new process; `known` is what is known of it besides its number and its parent's. */
  const child = (pid: number, ppid: number, known: ProcessBase, started: number | undefined): Entry => {
    const parent = entries.get(ppid)
    const described: ProcessBase = { ...known, pid, ppid }
    const ancestors = parent ? [parent.described, ...parent.ancestors].slice(0, ancestorsKept) : []
    const entry: Entry = {
      described,
      started,
      ancestors,
      execed: false,
      connections: parent ? parent.connections : [],
      stdio: parent ? parent.stdio : [],
      parentSockets: parent ? parent.parentSockets : [],
      parent: parent?.exited ? undefined : parent,
      exited: false,
      missed: false,
      cgroup: undefined,
      version1: parent?.version1,
      capabilities: parent?.capabilities,
      told: undefined,
    }
    entries.set(pid, entry)
    return entry
  }

  /** What /proc says of its cgroup of version 1; undefined: nothing, it has ended. No process leaves a container. */
  const placed = (entry: Entry, path: string | undefined) => {
    if (containerOf(path ?? '') || !containerOf(entry.version1 ?? '')) entry.version1 = path
  }

  /** The process of an act. Of one that the table missed no more is known than what the act says. */
  const actor = (act: { time: number; pid: number; ppid: number; cgroup: string; uid: number; gid: number }): Entry => {
    const known = entries.get(act.pid)
    const missed = !known || known.exited
    const entry = missed ? child(act.pid, act.ppid, {}, undefined) : known
    entry.cgroup = act.cgroup
    if (version1Of && (missed || entry.version1 === undefined)) placed(entry, version1Of(act.pid))
    const { user, group } = entry.described
    if (user?.id !== act.uid || group?.id !== act.gid || entry.described.ppid !== act.ppid)
      entry.described = { ...entry.described, ppid: act.ppid, user: { id: act.uid }, group: { id: act.gid } }
    return entry
  }

  /**
   * Nobody tells the end of a bpftrace that is killed. Who has begun after it was said to be the sensor's own is another
   * process under its number.
   */
  const disown = (pid: number, started: number) => {
    if (started > (own.get(pid) ?? Number.POSITIVE_INFINITY)) own.delete(pid)
  }

  /** The next bpftrace begins while the one before it still watches. */
  const isOwn = ({ described: { pid = 0, ppid = 0, executable } }: Entry) =>
    own.has(pid) || (own.has(ppid) && executable?.name === 'bpftrace')

  const isSent = (type: EventType, entry: Entry) => !isOwn(entry) && !needless(type)
  const send = (type: EventType, time: number, entry: Entry, rest: Partial<Event> = {}) => {
    if (isSent(type, entry)) tell(type, time, entry, rest)
  }
  const tell = (type: EventType, time: number, entry: Entry, rest: Partial<Event> = {}) => {
    const { described, cgroup, version1 } = entry
    const where = { pid: described.pid ?? 0, cgroupId: cgroup, version1 }
    emit({ type, time: clock.unix(time), process: processOf(entry), ...rest }, where)
  }

  /** A packet that left when its sender no longer ran: the socket tells its user, and nothing tells the process. */
  const sendOfNobody = (type: EventType, { time, uid }: { time: number; uid: number }, about: Partial<Event>) => {
    if (needless(type)) return
    emit({ type, time: clock.unix(time), process: { user: { id: uid } }, ...about }, { pid: 0 })
  }

  const end = (entry: Entry) => {
    entry.exited = true
    wiring.forget(entry)
    entry.told = undefined
    entry.parent = undefined // or a daemon that forks itself anew would drag all its past along
  }

  const apply = (act: Act) => {
    forget(act.time)
    switch (act.act) {
      case 'sensor':
        for (const pid of act.pids) own.set(pid, act.time)
        return
      case 'fork': {
        disown(act.pid, act.time)
        const known = { ...inherited(entries.get(act.ppid)?.described), start_time: clock.unix(act.time) }
        // Its time is CLOCK_BOOTTIME, too: bpftrace's nsecs is where there is bpf_ktime_get_boot_ns (CreateGetNs; Linux 5.8).
        child(act.pid, act.ppid, known, act.time).cgroup = act.cgroup
        return
      }
      case 'exec': {
        disown(act.pid, act.started)
        const entry = actor(act)
        entry.started = act.started
        wiring.forget(entry)
        describeParent(entry, act)
        describeExec(entry, act, clock)
        entry.parentSockets = act.parentSockets
        entry.capabilities = capabilityNames(act.capabilities)
        const wired = wiring.execed(entry)
        send('exec', act.time, entry)
        const credentials = raisedByExec(act)
        if (credentials) send('credentials', act.time, entry, { credentials })
        for (const shell of wired) send('stdio', act.time, shell)
        return
      }
      case 'connect': {
        const { ip, port, family, localPort, stream } = act.socket
        if (ip === undefined) return
        const about: Partial<Event> = {
          destination: { ip, port },
          ...(localPort !== 0 && { source: { port: localPort } }),
          network: { transport: stream ? 'tcp' : 'udp', type: family },
        }
        if (act.pid === 0) return act.shed ? undefined : sendOfNobody('connect', act, about)
        const entry = actor(act)
        entry.connections = withConnection(entry.connections, { ip, port, ...(!stream && { datagram: true }) })
        if (!act.shed) send('connect', act.time, entry, about)
        if (!stream) return
        // The connection may be what a shell's pipes lead to: that shell has just been wired to the network.
        for (const shell of wiring.connected(entry)) send('stdio', act.time, shell)
        return
      }
      case 'stdio': {
        const entry = actor(act)
        wiring.forget(entry)
        entry.stdio = act.stdio
        const [stdin, stdout, stderr] = describeStdio(entry)
        entry.described = { ...entry.described, stdin, stdout, stderr }
        const wired = wiring.rewired(entry)
        for (const one of [entry, ...wired]) send('stdio', act.time, one)
        return
      }
      case 'deed': {
        if (act.pid === 0) return sendOfNobody(act.type, act, act.about)
        const entry = actor(act)
        const target = act.target === undefined ? undefined : entries.get(act.target)
        return send(act.type, act.time, entry, {
          ...act.about,
          ...(act.target !== undefined && { target: describeTarget(act.target, target, entry, own.has(act.target)) }),
        })
      }
      case 'exit': {
        const entry = entries.get(act.pid)
        if (entry && !entry.exited) {
          end(entry)
          exited.push({ pid: act.pid, entry, time: act.time })
          if (isSent('exit', entry)) {
            entry.described = { ...entry.described, exit_code: exitCode(act.code) }
            tell('exit', act.time, entry)
          }
        }
        own.delete(act.pid) // its number may be another one's soon
        return
      }
      case 'cgroup_joined': {
        const entry = entries.get(act.pid)
        // Where it had ended before /proc was asked, what it has forked is asked for when it acts.
        if (entry) placed(entry, act.path)
        return
      }
    }
  }

  const prime = (running: RunningProcess[]) => {
    const alive = new Map(running.map((process) => [process.pid, process]))
    for (const pid of own.keys()) disown(pid, alive.get(pid)?.started ?? Number.POSITIVE_INFINITY)
    for (const [pid, entry] of entries) {
      const process = alive.get(pid)
      const other = process && differ(entry.started, process.started)
      if (entry.exited || (process && !other)) continue
      end(entry)
      entries.delete(pid)
    }
    // Parents first: a process may have a lower number than its parent.
    const add = (process: RunningProcess) => {
      alive.delete(process.pid)
      const parent = alive.get(process.ppid)
      if (parent) add(parent)
      let entry = entries.get(process.pid)
      if (entry?.described.name === undefined) {
        const described = { ...describeRunning(process), start_time: clock.unix(process.started) }
        entry = child(process.pid, process.ppid, described, process.started)
        entry.execed = true
      }
      if (version1Of) placed(entry, version1Of(process.pid))
    }
    for (const process of running) if (alive.has(process.pid)) add(process)
  }

  const sweep = (running: ReadonlySet<number>) => {
    for (const [pid, entry] of entries) {
      if (entry.exited) continue
      // That it was put into a container may be among what was lost: /proc is asked when it acts.
      placed(entry, undefined)
      if (entry.missed && !running.has(pid)) {
        end(entry)
        entries.delete(pid)
        own.delete(pid)
      } else entry.missed = !running.has(pid)
    }
  }

  return { apply, prime, sweep, size: () => entries.size }
}

function processOf(entry: Entry): Process {
  const { told, described, ancestors, capabilities } = entry
  if (told?.described === described && told.ancestors === ancestors && told.capabilities === capabilities)
    return told.process
  const process: Process = { ...described }
  if (capabilities?.length) process.capabilities = capabilities
  if (ancestors.length > 0) process.ancestors = ancestors
  entry.told = { process, described, ancestors, capabilities }
  return process
}

/** Its newest TCP connections and its newest UDP peers: name servers don't displace what it is connected to. */
function withConnection(known: Connection[], added: Connection): Connection[] {
  const newest = known.at(-1)
  if (newest?.ip === added.ip && newest.port === added.port && newest.datagram === added.datagram) return known
  const others = known.filter(
    ({ ip, port, datagram }) => !(added.datagram && datagram && ip === added.ip && port === added.port),
  )
  const alike = others.filter(({ datagram }) => datagram === added.datagram)
  const oldest = alike.length < connectionsKept ? undefined : alike[0]
  return [...others.filter((connection) => connection !== oldest), added]
}

/** /proc cuts the start to 10 ms, and a fork is told a little after it has its start; a number is used again much later. */
const differ = (known: number | undefined, started: number) => known !== undefined && Math.abs(known - started) > 1e9
