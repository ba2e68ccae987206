/**
 * The records that the kernel side prints: one line each, a tag and then the fields in this order, separated by spaces.
 *
 * Numbers are decimal; two that have 32 bits and stand side by side, `upper` and `lower`, are one hex number, as bpftrace takes
 * as long for each, however small; a text is a row of words of 8 bytes, each the hex number that a little-endian machine reads
 * there; bytes are hex (bpftrace's %rh, which takes it ten times as long). Nothing a process controls is ever printed in another
 * way, so no argument, path or name can forge a field, a record or a line. The fragments name the fields they emit, the
 * assembler checks them against this table, and the decoder reads by it.
 *
 * A head record (exec, connect ...) ends its event. The parts that belong to it (text, socket ...) come before it on
 * the same CPU and carry the same time and tid; the head says how many there were, so that a lost one shows.
 */
type Kind = 'number' | 'upper' | 'lower' | 'id' | 'words' | 'bytes'

const actor = {
  time: 'number',
  tid: 'upper',
  parts: 'lower',
  pid: 'upper',
  ppid: 'lower',
  cgroup: 'id',
  uid: 'upper',
  gid: 'lower',
} as const
const peer = {
  type: 'upper',
  family: 'lower',
  state: 'upper',
  local_port: 'lower',
  peer_port_be: 'upper',
  peer4: 'lower',
  peer6_0: 'upper',
  peer6_1: 'lower',
  peer6_2: 'upper',
  peer6_3: 'lower',
} as const
const socket = { time: 'number', tid: 'upper', at: 'lower', ...peer } as const

export const records = {
  text: {
    tag: 't',
    fields: {
      time: 'number',
      tid: 'upper',
      section: 'lower',
      index: 'upper',
      length: 'lower',
      at: 'number',
      bytes: 'words',
    },
  },
  /** A name within a structure, whose address bpftrace doesn't tell. */
  name: { tag: 'v', fields: { time: 'number', tid: 'upper', section: 'lower', bytes: 'bytes' } },
  stdio_files: {
    tag: 'd',
    fields: {
      time: 'number',
      tid: 'upper',
      mode0: 'lower',
      inode0: 'id',
      device0: 'upper',
      node0: 'lower',
      mode1: 'upper',
      mode2: 'lower',
      inode1: 'id',
      device1: 'upper',
      node1: 'lower',
      inode2: 'id',
      device2: 'upper',
      node2: 'lower',
    },
  },
  socket: { tag: 's', fields: socket },
  parent_socket: { tag: 'p', fields: socket },
  inode: {
    tag: 'n',
    fields: {
      time: 'number',
      tid: 'upper',
      mode: 'lower',
      inode: 'id',
      device: 'upper',
      magic: 'lower',
      uid: 'upper',
      gid: 'lower',
      links: 'upper',
      upper: 'lower',
    },
  },
  /** One end of a connection, or where a packet goes: addresses as the kernel has them, the port in host order. */
  address: {
    tag: 'a',
    fields: {
      time: 'number',
      tid: 'upper',
      family: 'lower',
      port: 'upper',
      ip4: 'lower',
      ip6_0: 'upper',
      ip6_1: 'lower',
      ip6_2: 'upper',
      ip6_3: 'lower',
    },
  },
  exec: {
    tag: 'E',
    fields: {
      ...actor,
      started: 'number',
      links: 'upper',
      mode: 'lower',
      magic: 'upper',
      upper: 'lower',
      owner: 'upper',
      group: 'lower',
      real_uid: 'upper',
      real_gid: 'lower',
      capabilities: 'id',
      ambient: 'id',
      user_level: 'upper',
      /**
       * Keys of the two paths, and which of them are not among the parts: told within the last second (bits: 1 the
       * executable's, 2 the directory's). A key of 0 is none.
       */
      told: 'lower',
      path: 'id',
      directory: 'id',
    },
  },
  fork: { tag: 'F', fields: { time: 'number', pid: 'upper', ppid: 'lower', cgroup: 'id' } },
  exit: { tag: 'X', fields: { time: 'number', pid: 'upper', code: 'lower' } },
  connect: { tag: 'C', fields: { ...actor, ...peer } },
  connect_to: { tag: 'A', fields: { ...actor, returned: 'number', type: 'number' } },
  datagram: { tag: 'D', fields: { ...actor, local_port: 'number' } },
  dns: { tag: 'Q', fields: { ...actor, protocol: 'number' } },
  listen: { tag: 'L', fields: { ...actor, type: 'number' } },
  accept: { tag: 'W', fields: { ...actor, ...peer } },
  socket_made: {
    tag: 'S',
    fields: { ...actor, returned: 'number', family: 'number', type: 'number', protocol: 'number' },
  },
  stdio: { tag: 'I', fields: actor },
  open: { tag: 'O', fields: { ...actor, returned: 'number', flags: 'number', owner: 'number' } },
  unlink: { tag: 'x', fields: { ...actor, returned: 'number', directory: 'number', resolved: 'number' } },
  rename: { tag: 'r', fields: { ...actor, returned: 'number', flags: 'number', resolved: 'number' } },
  link: { tag: 'l', fields: { ...actor, returned: 'number', symbolic: 'number', resolved: 'number' } },
  mkdir: { tag: 'k', fields: { ...actor, returned: 'number', mode: 'number', resolved: 'number' } },
  chmod: { tag: 'c', fields: { ...actor, returned: 'number', mode: 'number', resolved: 'number' } },
  chown: { tag: 'o', fields: { ...actor, returned: 'number', owner: 'number', group: 'number', resolved: 'number' } },
  ptrace: { tag: 'T', fields: { ...actor, call: 'number', request: 'number', target: 'number', returned: 'number' } },
  namespace: {
    tag: 'N',
    fields: { ...actor, call: 'number', flags: 'number', host: 'number', target: 'number', returned: 'number' },
  },
  mount: { tag: 'M', fields: { ...actor, call: 'number', flags: 'number', returned: 'number' } },
  module: { tag: 'm', fields: { ...actor, call: 'number', returned: 'number' } },
  bpf: { tag: 'B', fields: { ...actor, command: 'number', type: 'number', returned: 'number' } },
  credentials: {
    tag: 'U',
    fields: {
      ...actor,
      call: 'number',
      previous_uid: 'number',
      previous_gid: 'number',
      previous: 'id',
      capabilities: 'id',
      returned: 'number',
    },
  },
  memfd: { tag: 'f', fields: { ...actor, returned: 'number' } },
  io_uring: { tag: 'u', fields: { ...actor, opcode: 'number', returned: 'number' } },
  kill: { tag: 'K', fields: { ...actor, signal: 'number', target: 'number' } },
  syscall: { tag: 'Y', fields: { ...actor, call: 'number', returned: 'number' } },
  sensor: { tag: 'Z', fields: { time: 'number', pid: 'number', ppid: 'number' } },
  cgroup: { tag: 'G', fields: { time: 'number', tid: 'upper', parts: 'lower', id: 'id' } },
  cgroup_removed: { tag: 'R', fields: { time: 'number', id: 'id' } },
  cgroup_joined: { tag: 'J', fields: { time: 'number', pid: 'number' } },
  heartbeat: { tag: 'H', fields: { time: 'number' } },
} as const satisfies Record<string, { tag: string; fields: Record<string, Kind> }>

/** Records that belong to a head: the assembler of the program counts them. */
export const parts = [
  'text',
  'name',
  'stdio_files',
  'socket',
  'parent_socket',
  'inode',
  'address',
] as const satisfies (keyof typeof records)[]

export type RecordName = keyof typeof records
type ValueOf<K extends Kind> = K extends 'number' | 'upper' | 'lower' ? number : K extends 'id' ? string : Buffer
type Fields<N extends RecordName> = (typeof records)[N]['fields']

/** One decoded record. `time` is CLOCK_MONOTONIC in nanoseconds; an `id` is a decimal string, as it may exceed 2^53. */
export type KernelRecord = {
  [N in RecordName]: { record: N } & { -readonly [F in keyof Fields<N>]: ValueOf<Fields<N>[F] & Kind> }
}[RecordName]
export type RecordOf<N extends RecordName> = Extract<KernelRecord, { record: N }>

/** What a text record is a piece of. */
export const sections = {
  EXECUTABLE: 0,
  DIRECTORY: 1,
  ARGUMENTS: 2,
  CGROUP: 3,
  PARENT: 4,
  FILE: 5,
  REQUESTED: 6,
  OTHER: 7,
  NAME: 8,
  OTHER_BASE: 9,
  /** By a kprobe, with a time of its own: see macros/resolved.bt. */
  RESOLVED: 10,
  RESOLVED_OTHER: 11,
  ADDRESS: 20,
  QUESTION: 21,
} as const

/** Limits that both sides know. CHUNK: bytes of text in one line; more don't fit the 512 bytes that BPF has for a stack. */
export const limits = {
  CHUNK: 64,
  PATH_STEPS: 64,
  PATH_DEPTH: 64,
  NAMED_MAX: 4096,
  ARGS_MAX: 4096,
  CGROUP_DEPTH: 16,
  CGROUP_NAME_MAX: 128,
  QUESTION_MAX: 512,
} as const
