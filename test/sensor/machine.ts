/**
 * A machine in little: processes that fork, execute, connect and exit, with descriptors that are inherited and closed
 * on exec as the kernel does it. What they do goes to a process table as the acts that the kernel side would send.
 */
import type { Act } from '../../sensor/assemble.ts'
import type { Clock } from '../../sensor/clock.ts'
import type { Event } from '../../sensor/event.ts'
import type { Descriptor, Socket } from '../../sensor/parts.ts'
import { createProcessTable, type Emit } from '../../sensor/processes.ts'

interface Peer {
  ip: string
  port: number
}
interface OpenSocket {
  socket: Socket
  /** Stays open when another program is executed. */
  kept: boolean
}
interface Task {
  pid: number
  ppid: number
  started: number
  stdio: (Descriptor | undefined)[]
  sockets: OpenSocket[]
}

export const second = 1e9
/** Unix milliseconds of the machine's boot. */
export const boot = Date.UTC(2026, 2, 1)

let inodes = 1000
const nextInode = (device: number) => `${device}:${inodes++}`
/** Both ends of a pipe, named or not, are one file. */
export const pipe = (): Descriptor => ({ mode: 0o010600, inode: nextInode(15), node: 0 })
export const terminal = (): Descriptor => ({ mode: 0o020620, inode: nextInode(25), node: (136 << 20) | 3 })
export const file = (): Descriptor => ({ mode: 0o100644, inode: nextInode(8), node: 0 })
export const devNull: Descriptor = { mode: 0o020666, inode: '6:3', node: (1 << 20) | 3 }
/** One end of a socketpair. */
export const unixSocket = (): Descriptor => ({
  mode: 0o140777,
  inode: nextInode(9),
  node: 0,
  socket: { family: 'unix', stream: true, listening: false, port: 0, localPort: 0 },
})
export const networkSocket = (socket: Socket): Descriptor => {
  return { mode: 0o140777, inode: nextInode(9), node: 0, socket }
}

const socketTo = (peer: Peer, localPort: number, stream = true): Socket => {
  return { family: peer.ip.includes(':') ? 'ipv6' : 'ipv4', stream, listening: false, ...peer, localPort }
}

/** An executable of root's on a disk, without special bits, run by root without capabilities. */
export const plainProgram = {
  executable: { mode: 0o100755, magic: 0xef53, upper: false, owner: 0, group: 0 },
  realUid: 0,
  realGid: 0,
  capabilities: '0',
  ambient: '0',
  inUserNamespace: false,
}

/** `version1`: what /proc says of a process's cgroup of version 1. */
export function machine({ version1 }: { version1?: (pid: number) => string | undefined } = {}) {
  const tasks = new Map<number, Task>()
  const events: Event[] = []
  const places: Parameters<Emit>[1][] = []
  let time = 100 * second
  let ports = 40_000
  let wall = boot
  const clock: Pick<Clock, 'unix'> = { unix: (boottime) => wall + boottime / 1e6 }
  const emit: Emit = (event, where) => {
    events.push(event)
    places.push(where)
  }
  const table = createProcessTable(clock, emit, undefined, version1)

  const tick = () => {
    time += 1000
    return time
  }
  /** A task that the table was not told of comes to life in silence, a child of init. */
  const task = (pid: number): Task => {
    const known = tasks.get(pid)
    if (known) return known
    const made: Task = { pid, ppid: 1, started: time, stdio: [], sockets: [] }
    tasks.set(pid, made)
    return made
  }
  const actor = ({ pid, ppid }: Task) => ({ time: tick(), pid, ppid, cgroup: '1', uid: 0, gid: 0 })
  const apply = (act: Act) => table.apply(act)

  return {
    table,
    events,
    places,
    apply,
    now: () => time,
    wait(nanoseconds: number) {
      time += nanoseconds
    },
    /** The wall clock is set, forward or back. */
    setClock(milliseconds: number) {
      wall += milliseconds
    },
    clear() {
      events.length = 0
      places.length = 0
    },
    /** The latest event of a process. */
    last(pid: number): Event {
      const found = events.findLast((event) => event.process?.pid === pid)
      if (!found) throw new Error(`no event of process ${pid}`)
      return found
    },

    /** `seen`: false for a fork that the sensor missed. */
    fork(ppid: number, pid: number, { seen = true } = {}) {
      const parent = task(ppid)
      const started = tick()
      tasks.set(pid, { pid, ppid, started, stdio: [...parent.stdio], sockets: [...parent.sockets] })
      if (seen) apply({ act: 'fork', time: started, pid, ppid, cgroup: '1' })
    },

    /** `stdio`: what was put on descriptors 0, 1, 2 before. */
    exec(pid: number, commandLine: string, { args, stdio, ...rest }: Partial<Extract<Act, { act: 'exec' }>> = {}) {
      const self = task(pid)
      if (stdio) self.stdio = stdio
      self.sockets = self.sockets.filter(({ kept }) => kept)
      const words = args ?? commandLine.split(' ')
      apply({
        act: 'exec',
        ...actor(self),
        started: self.started,
        path: `/usr/bin/${words[0]}`,
        deleted: false,
        ...plainProgram,
        directory: '/',
        args: words,
        argsCut: false,
        stdio: self.stdio,
        parentSockets: task(self.ppid).sockets.map(({ socket }) => socket),
        incomplete: false,
        ...rest,
      })
    },

    /** `kept`: without SOCK_CLOEXEC. `quiet`: the sensor does not hear of it. `stream`: false for UDP. */
    connect(pid: number, peer: Peer, { kept = true, quiet = false, stream = true, shed = false } = {}): Socket {
      const self = task(pid)
      const socket = socketTo(peer, ports++, stream)
      self.sockets.push({ socket, kept })
      if (!quiet) apply({ act: 'connect', ...actor(self), socket, ...(shed && { shed }) })
      return socket
    },

    /** As servers do it: children that execute another program don't get the socket. */
    listen(pid: number, localPort: number): Socket {
      const socket: Socket = { family: 'ipv4', stream: true, listening: true, port: 0, localPort }
      task(pid).sockets.push({ socket, kept: false })
      return socket
    },

    /** A connection that was made to this process: no act tells of it. */
    accept(pid: number, peer: Peer, localPort: number): Socket {
      const socket = socketTo(peer, localPort)
      task(pid).sockets.push({ socket, kept: true })
      return socket
    },

    close(pid: number, socket: Socket) {
      const self = task(pid)
      self.sockets = self.sockets.filter((open) => open.socket !== socket)
    },

    /** dup2 of a network socket onto descriptors 0 to 2. */
    dup(pid: number, stdio: (Descriptor | undefined)[]) {
      const self = task(pid)
      self.stdio = stdio
      apply({ act: 'stdio', ...actor(self), stdio })
    },

    setuid(pid: number, uid: number, gid: number, peer: Peer) {
      apply({ act: 'connect', ...actor(task(pid)), uid, gid, socket: socketTo(peer, ports++) })
    },

    /** The children of the dead are given to init. */
    exit(pid: number, code = 0) {
      for (const child of tasks.values()) if (child.ppid === pid) child.ppid = 1
      tasks.delete(pid)
      apply({ act: 'exit', time: tick(), pid, code })
    },
  }
}
