/**
 * The kernel side as the decoder hears it: what a process did -> the lines that the fragments in bpf/ would print.
 * Texts are cut into chunks, paths walked last component first and argv laid out with its NULs, as there.
 */
import { limits, type RecordName, type RecordOf, records, sections } from '../../bpf/records.ts'

/** How a text lies in memory, and how bpftrace prints. */
export interface Printing {
  /** Bytes between the multiple of 8 before a text and the text: it is read from there. */
  skip: number
  /** Whether %rh has a space between bytes: 0.17 has. */
  spaced: boolean
}
export const plain: Printing = { skip: 0, spaced: true }
export const printings: Printing[] = [0, 3, 7].flatMap((skip) => [true, false].map((spaced) => ({ skip, spaced })))

export const bytesOf = (text: string | Uint8Array): Buffer => Buffer.from(text)

type Fields<N extends RecordName> = Omit<RecordOf<N>, 'record'>

/** One line, with its newline. */
export function line<N extends RecordName>(record: N, fields: Fields<N>, { spaced }: Printing = plain): string {
  const layout = records[record]
  const values = fields as Record<string, string | number | Uint8Array>
  const kinds = Object.entries<string>(layout.fields)
  const words = kinds.flatMap(([name, kind], at) => {
    const [value, next] = [values[name], values[kinds[at + 1]?.[0] ?? '']]
    if (kind === 'lower') return []
    if (kind === 'upper') return ((BigInt(Number(value)) << 32n) | BigInt(Number(next))).toString(16)
    if (kind === 'bytes') return hex(value as Uint8Array, spaced)
    return kind === 'words' ? inWords(value as Uint8Array) : String(value)
  })
  return `${layout.tag} ${words.join(' ')}\n`
}

const inWords = (bytes: Uint8Array): string =>
  Array.from({ length: bytes.length / 8 }, (_, at) =>
    Buffer.from(bytes)
      .readBigUInt64LE(8 * at)
      .toString(16),
  ).join(' ')

export function hex(bytes: Uint8Array, spaced: boolean): string {
  const digits = Buffer.from(bytes).toString('hex')
  return spaced ? digits.replaceAll(/..(?!$)/g, '$& ') : digits
}

/** A socket as struct sock_common has it: ports and addresses in network order, read as little-endian numbers. */
export interface KernelSocket {
  type: number
  family: number
  state: number
  localPort: number
  peerPort: number
  peer4?: number[]
  peer6?: number[]
}
const word = (octets: number[], at: number) => Buffer.from(octets).readUInt32LE(at)

const noAddress = { peer4: [0, 0, 0, 0], peer6: Array<number>(16).fill(0) }

function socketFields(at: number, socket: KernelSocket) {
  const { type, family, state, localPort, peerPort, peer4, peer6 } = { ...noAddress, ...socket }
  return {
    at,
    type,
    family,
    state,
    local_port: localPort,
    peer_port_be: ((peerPort & 0xff) << 8) | (peerPort >> 8),
    peer4: word(peer4, 0),
    peer6_0: word(peer6, 0),
    peer6_1: word(peer6, 4),
    peer6_2: word(peer6, 8),
    peer6_3: word(peer6, 12),
  }
}

export interface KernelFile {
  mode: number
  inode?: string
  device?: number
  node?: number
  socket?: KernelSocket
}

/** Path components from the root on; `mount` where the walk crosses from one mount to the next. */
export type KernelPath = (string | Uint8Array | typeof mount)[]
export const mount = Symbol('mount')

export interface KernelExec {
  time?: number
  tid?: number
  pid?: number
  ppid?: number
  cgroup?: string
  uid?: number
  gid?: number
  started?: number
  links?: number
  /** Of the executable. */
  mode?: number
  magic?: number
  upper?: number
  owner?: number
  group?: number
  realUid?: number
  realGid?: number
  capabilities?: string
  ambient?: string
  userLevel?: number
  path?: KernelPath
  directory?: KernelPath
  /** Of the two paths; 0 is none. */
  keys?: { path?: string; directory?: string }
  /** Bits, see bpf/records.ts: which of the two is told by its key alone. */
  told?: number
  /** Each followed by a NUL; or the bytes between arg_start and arg_end as they are. */
  args?: (string | Uint8Array)[] | Uint8Array
  /** Descriptors 0, 1, 2; undefined: closed. */
  stdio?: (KernelFile | undefined)[]
  parentSockets?: KernelSocket[]
}

export const argv = (args: (string | Uint8Array)[]): Buffer =>
  Buffer.concat(args.flatMap((arg) => [bytesOf(arg), Buffer.of(0)]))

type Head = { time: number; tid: number }

/**
 * A text in chunks of whole words, as it is read from a multiple of 8 on: with what stands before and behind it. `most`:
 * bytes that are sent of one that is longer.
 */
export function textLines(
  head: Head,
  text: { section: number; index?: number; bytes: Uint8Array; length?: number; most?: number },
  { skip, spaced }: Printing = plain,
): string[] {
  const { section, index = 0, bytes, length = bytes.length, most = Number.POSITIVE_INFINITY } = text
  const lines: string[] = []
  for (let from = 0; from < Math.min(bytes.length, most) + skip; from += limits.CHUNK) {
    const chunk = Buffer.alloc(limits.CHUNK, 'memory')
    for (let at = 0; at < limits.CHUNK; at++) chunk[at] = bytes[from - skip + at] ?? chunk[at] ?? 0
    lines.push(line('text', { ...head, section, index, length, at: from - skip, bytes: chunk }, { skip, spaced }))
  }
  return lines
}

/** One chunk a step; a mount point is a step, too. The kernel's names begin at a multiple of 8. */
function path(head: Head, section: number, components: KernelPath, printing: Printing): string[] {
  const lines: string[] = []
  let steps = 0
  let index = 0
  for (const name of components.toReversed()) {
    if (name === mount) {
      steps++
      continue
    }
    const bytes = bytesOf(name)
    const chunks = textLines(head, { section, index, bytes }, { ...printing, skip: 0 })
    // An empty name is a step as well.
    for (const chunk of chunks.length > 0 ? chunks : [textLine(head, section, index)]) {
      if (steps++ === limits.PATH_STEPS) return [...lines, textLine(head, section, limits.PATH_DEPTH)]
      lines.push(chunk)
    }
    index++
  }
  return lines
}
const textLine = (head: Head, section: number, index: number) =>
  line('text', { ...head, section, index, length: 0, at: 0, bytes: Buffer.alloc(limits.CHUNK) })

function stdioLines(head: Head, stdio: (KernelFile | undefined)[], printing: Printing): string[] {
  const sockets = stdio.flatMap((file, at) =>
    file?.socket ? [line('socket', { ...head, ...socketFields(at, file.socket) }, printing)] : [],
  )
  const [a, b, c] = [0, 1, 2].map((at) => {
    const { mode = 0, inode = mode === 0 ? '0' : '1', device = mode === 0 ? 0 : 1, node = 0 } = stdio[at] ?? {}
    return { mode, inode, device, node }
  })
  if (!a || !b || !c) return []
  const files = {
    ...{ mode0: a.mode, inode0: a.inode, device0: a.device, node0: a.node },
    ...{ mode1: b.mode, inode1: b.inode, device1: b.device, node1: b.node },
    ...{ mode2: c.mode, inode2: c.inode, device2: c.device, node2: c.node },
  }
  return [...sockets, line('stdio_files', { ...head, ...files }, printing)]
}

const actorOf = ({ pid = 100, ppid = 99, cgroup = '1', uid = 0, gid = 0 }: Partial<KernelExec>) => {
  return { pid, ppid, cgroup, uid, gid }
}

/** The lines of one exec, its head last. */
export function execLines(exec: KernelExec, printing: Printing = plain): string[] {
  const { time = 1_000_000, started = 500_000, links = 1, parentSockets = [], stdio = [] } = exec
  const head = { time, tid: exec.tid ?? exec.pid ?? 100 }
  const args = exec.args instanceof Uint8Array ? Buffer.from(exec.args) : argv(exec.args ?? ['sh'])
  const { keys = {}, told = 0 } = exec
  const lines = [
    ...((told & 1) === 0 ? path(head, sections.EXECUTABLE, exec.path ?? ['usr', 'bin', 'sh'], printing) : []),
    ...((told & 2) === 0 ? path(head, sections.DIRECTORY, exec.directory ?? [], printing) : []),
  ]
  lines.push(...textLines(head, { section: sections.ARGUMENTS, bytes: args, most: limits.ARGS_MAX }, printing))
  lines.push(...stdioLines(head, stdio, printing))
  parentSockets.forEach((socket, at) => {
    lines.push(line('parent_socket', { ...head, ...socketFields(at + 3, socket) }, printing))
  })
  const { mode = 0o100755, magic = 0xef53, upper = 0, owner = 0, group = 0, userLevel = 0 } = exec
  const { realUid = exec.uid ?? 0, realGid = exec.gid ?? 0, capabilities = '0', ambient = '0' } = exec
  const fields = {
    ...{ started, links, mode, magic, upper, owner, group },
    ...{ path: keys.path ?? '0', directory: keys.directory ?? '0', told },
    ...{ real_uid: realUid, real_gid: realGid, capabilities, ambient, user_level: userLevel },
  }
  return [...lines, line('exec', { ...head, parts: lines.length, ...actorOf(exec), ...fields }, printing)]
}

export function connectLines(actor: Partial<KernelExec>, socket: KernelSocket, printing: Printing = plain): string[] {
  const { time = 1_000_000 } = actor
  const head = { time, tid: actor.tid ?? actor.pid ?? 100 }
  const { at: _, ...peer } = socketFields(-1, socket)
  return [line('connect', { ...head, parts: 0, ...actorOf(actor), ...peer }, printing)]
}

export function stdioActLines(
  actor: Partial<KernelExec>,
  stdio: (KernelFile | undefined)[],
  printing: Printing = plain,
): string[] {
  const { time = 1_000_000 } = actor
  const head = { time, tid: actor.tid ?? actor.pid ?? 100 }
  const lines = stdioLines(head, stdio, printing)
  return [...lines, line('stdio', { ...head, parts: lines.length, ...actorOf(actor) }, printing)]
}

/** An announced cgroup: names come in a fixed length, with whatever the kernel has behind their NUL. */
export function cgroupLines(
  cgroup: { time?: number; tid?: number; id: string; path: string[] },
  printing: Printing = plain,
): string[] {
  const { time = 1_000_000, tid = 100 } = cgroup
  const length = limits.CGROUP_NAME_MAX
  const lines = cgroup.path
    .toReversed()
    .slice(0, limits.CGROUP_DEPTH)
    .flatMap((name, index) => {
      const bytes = Buffer.alloc(length, 'kernel memory')
      bytes.write(`${name}\0`)
      return textLines({ time, tid }, { section: sections.CGROUP, index, bytes }, printing)
    })
  return [...lines, line('cgroup', { time, tid, parts: lines.length, id: cgroup.id }, printing)]
}
