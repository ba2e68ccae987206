/** What acts and /proc say of a process -> how events describe it. */
import type { Exec } from './assemble.ts'
import type { Clock } from './clock.ts'
import { modeOf } from './deeds/opened.ts'
import type { Event, ProcessBase } from './event.ts'
import { filesystemOf } from './filesystem.ts'
import type { Socket } from './parts.ts'
import type { RunningProcess } from './proc.ts'
import type { Entry } from './processes.ts'
import { baseName, programName, readsCommandsFrom } from './shells.ts'
import { stdioOf } from './stdio.ts'

/** A process as another one's target. That cgroups differ does not say that containers do. */
export function describeTarget(pid: number, target: Entry | undefined, by: Entry, sensor: boolean): Event['target'] {
  const { name, executable, command_line, user } = target?.described ?? {}
  return {
    pid,
    ...(name !== undefined && { name }),
    ...(executable && { executable }),
    ...(command_line !== undefined && { command_line }),
    ...(user && { user }),
    ...(target?.cgroup !== undefined &&
      target.cgroup === by.cgroup &&
      target.version1 === by.version1 && { same_container: true }),
    ...(sensor && { sensor }),
  }
}

/** What a forked process has from its parent: all but what is its own. */
export function inherited(parent: ProcessBase | undefined): ProcessBase {
  if (!parent) return {}
  if (!('exit_code' in parent || 'listening' in parent || 'previous' in parent)) return parent
  const { exit_code: _, listening: __, previous: ___, ...rest } = parent
  return rest
}

/** What an exec shows of the parent: whether it listens, now; and its program, where /proc would not tell. */
export function describeParent(entry: Entry, { ppid, parentSockets, parentName }: Exec): void {
  const [parent, ...others] = entry.ancestors
  if (!parent || parent.pid !== ppid) return
  const now = entry.parent?.described
  // Another child may have told it since, and then the kernel side doesn't for a while.
  const isNamed = now?.executable !== undefined && now.command_line === parent.command_line
  const named =
    parent.executable !== undefined ? parent : isNamed ? withProgram(parent, now) : ofProgram(parent, parentName)
  if (entry.parent && now === parent) entry.parent.described = named
  const socket = parentSockets.find((socket) => socket.listening)
  if (named === parent && !socket && !parent.listening) return
  const { listening: _, ...rest } = named
  entry.ancestors = [{ ...rest, ...(socket && { listening: { port: socket.localPort } }) }, ...others]
}

const withProgram = (process: ProcessBase, { name, executable }: ProcessBase): ProcessBase => ({
  ...process,
  ...(name !== undefined && { name }),
  ...(executable && { executable }),
})

const ofProgram = (process: ProcessBase, name: string | undefined): ProcessBase =>
  name === undefined
    ? process
    : { ...process, name: programName(name, process.command_args ?? []), executable: { name: baseName(name) } }

export function describeExec(entry: Entry, exec: Exec, clock: Pick<Clock, 'unix'>): void {
  entry.stdio = exec.stdio
  const [stdin, stdout, stderr] = describeStdio(entry, exec.parentSockets)
  const name = exec.path === undefined ? undefined : programName(exec.path, exec.args)
  const from = readsCommandsFrom(name, exec.args)
  const known = (descriptor: number) => exec.stdio[descriptor] !== undefined || !exec.incomplete
  const { name: previousName, command_line: previousLine } = entry.described
  const described: ProcessBase = { pid: exec.pid, ppid: exec.ppid, start_time: clock.unix(exec.started) }
  if (name !== undefined) described.name = name
  if (exec.path !== undefined) described.executable = executableOf(exec.path, exec)
  // Of an exec that came in part, what is not there is not known.
  if (exec.args.length > 0 || !exec.incomplete) {
    described.command_args = exec.args
    described.command_line = exec.args.join(' ')
  }
  if (exec.argsCut) described.args_truncated = true
  if (exec.directory !== undefined) described.working_directory = exec.directory
  described.user = { id: exec.uid }
  described.group = { id: exec.gid }
  if (known(0)) described.stdin = stdin
  if (known(1)) described.stdout = stdout
  if (known(2)) described.stderr = stderr
  if (from !== undefined) described.reads_commands_from = from
  if (entry.execed && previousName !== undefined)
    described.previous = { name: previousName, command_line: previousLine }
  entry.described = described
  entry.execed = true
}

const executableOf = (path: string, { deleted, executable }: Exec): ProcessBase['executable'] => ({
  path,
  name: baseName(path),
  ...(deleted && { deleted }),
  ...(executable.upper && { upper_layer: true }),
  filesystem: filesystemOf(executable.magic),
  ...setBits(executable.mode),
})

function setBits(mode: number): { setuid?: boolean; setgid?: boolean } {
  const { mode: _, ...bits } = modeOf(mode)
  return bits
}

export function describeRunning(process: RunningProcess): ProcessBase {
  const { pid, ppid, executable, args, uid, gid } = process
  const path = executable?.replace(/ \(deleted\)$/, '')
  return {
    pid,
    ppid,
    name: path === undefined ? process.comm : programName(path, args),
    ...(path !== undefined && {
      executable: { path, name: baseName(path), ...(path !== executable && { deleted: true }) },
    }),
    command_args: args,
    command_line: args.join(' '),
    user: { id: uid },
    group: { id: gid },
  }
}

export const describeStdio = (entry: Entry, parentSockets: Socket[] = []) =>
  [0, 1, 2].map((at) =>
    stdioOf(entry.stdio[at], (socket) => {
      if (entry.connections.some(({ ip, port }) => ip === socket.ip && port === socket.port)) return true
      const accepted = parentSockets.some((listener) => listener.listening && listener.localPort === socket.localPort)
      return accepted ? false : undefined
    }),
  )

/** wait(2) status -> what a shell's $? would be. */
export const exitCode = (status: number) => ((status & 0x7f) === 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f))
