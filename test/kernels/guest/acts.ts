/** One act for each family of events, and what must be told of it. */
import type { Event, EventType } from '../../../sensor/event.ts'

/** What is said of an event, at any depth; what is not said can be anything. */
export type Part<T> = T extends (infer One)[] ? Part<One>[] : T extends object ? { [K in keyof T]?: Part<T[K]> } : T

export interface KernelAct {
  family: EventType
  name: string
  /** The program and its arguments, run in the directory of the acts; `SENSOR` is the sensor's number. */
  command: readonly string[]
  /** The first kernel that shows it (docs/kernels.md); older ones are not asked. */
  since?: readonly [major: number, minor: number]
  /** The kind of machine that has it, as Node calls it; all of them if it isn't said. */
  machine?: 'x64'
  /** Told of the program's process, in this order, among the events of these types. `PRINTED` is what it printed. */
  told: (context: { printed: string; sensor: number }) => Part<Event>[]
}

/** The directory of the acts: a tmpfs, as a pod's secrets are. */
export const place = '/tmp/place'
const acts = '/opt/nightjar/bin/acts'
const privilege = '/opt/nightjar/bin/privilege'
/** The same acts by a 32-bit program, and by a 64-bit one that calls as these do. */
const compat = { 'a 32-bit program': '/opt/nightjar/bin/compat32', 'int 0x80': '/opt/nightjar/bin/compat64' }
const byBoth = (act: (by: string, program: string) => KernelAct[]): KernelAct[] =>
  Object.entries(compat).flatMap(([by, program]) => act(by, program).map((one) => ({ ...one, machine: 'x64' })))

const file = (name: string): { path: string; name: string; directory: string } => ({
  path: `${place}/${name}`,
  name: name.slice(name.lastIndexOf('/') + 1),
  directory: `${place}/${name}`.replace(/\/[^/]*$/, ''),
})

export const kernelActs: readonly KernelAct[] = [
  {
    family: 'exec',
    name: 'a program by a symbolic link, with an argument of two lines',
    command: [`${place}/program`, 'nothing', 'a\nE 1 2 3'],
    told: () => [
      {
        process: {
          executable: { path: acts },
          command_args: [`${place}/program`, 'nothing', 'a\nE 1 2 3'],
          working_directory: place,
        },
      },
    ],
  },
  {
    family: 'exit',
    name: 'the last word of a process that had a child, with its code',
    command: [acts, 'child'],
    told: () => [{ process: { exit_code: 7 } }],
  },
  {
    family: 'open',
    name: 'through a link and ..: the file that it is',
    command: [acts, 'read', 'way/../way/secret'],
    told: () => [
      { file: { ...file('kept/secret'), requested_path: 'way/../way/secret', access: ['read'], filesystem: 'tmpfs' } },
    ],
  },
  {
    family: 'open',
    name: 'made and cut',
    command: [acts, 'create', 'kept/made'],
    told: () => [{ file: { ...file('kept/made'), access: ['write', 'create', 'truncate'] } }],
  },
  {
    family: 'open',
    name: 'of one that is not there',
    command: [acts, 'read', 'kept/nothing'],
    told: () => [{ file: { requested_path: 'kept/nothing' }, error: { code: 'ENOENT' } }],
  },
  {
    family: 'open',
    name: 'by its handle',
    command: [acts, 'handle', 'kept/secret'],
    told: () => [{ file: { path: place } }, { file: file('kept/secret') }],
  },
  {
    family: 'open',
    name: 'by a ring',
    since: [5, 17],
    command: [privilege, 'ring', `${place}/way/secret`],
    told: () => [{ file: file('kept/secret') }],
  },
  ...byBoth((by, program) => [
    {
      family: 'open',
      name: `by ${by}: the file that it is, and what was asked for`,
      command: [program, 'open', 'way/../way/secret'],
      told: () => [{ file: { ...file('kept/secret'), requested_path: 'way/../way/secret', access: ['read'] } }],
    },
    {
      family: 'open',
      name: `by ${by}: made and cut`,
      command: [program, 'openat', 'kept/thirty-two'],
      told: () => [{ file: { ...file('kept/thirty-two'), access: ['write', 'create', 'truncate'] } }],
    },
    {
      family: 'open',
      name: `by ${by}: made anew`,
      command: [program, 'creat', 'way/anew'],
      told: () => [{ file: { ...file('kept/anew'), access: ['write', 'create', 'truncate'] } }],
    },
    {
      family: 'open',
      name: `by ${by}: the newest call`,
      command: [program, 'openat2', 'way/secret'],
      told: () => [{ file: { ...file('kept/secret'), requested_path: 'way/secret', access: ['read'] } }],
    },
    {
      family: 'open',
      name: `by ${by}: by its handle`,
      command: [program, 'handle', 'kept/secret'],
      told: () => [{ file: { path: place } }, { file: file('kept/secret') }],
    },
    {
      family: 'chmod',
      name: `by ${by}: through a link`,
      command: [program, 'fchmodat', 'way/anew'],
      told: () => [{ file: { ...file('kept/anew'), mode: '4755', path_source: 'kernel' } }],
    },
    {
      family: 'chmod',
      name: `by ${by}: by a descriptor`,
      command: [program, 'fchmod', 'way/anew'],
      told: () => [{ file: { ...file('kept/anew'), mode: '0640' } }],
    },
    {
      family: 'chown',
      name: `by ${by}`,
      command: [program, 'chown', 'way/anew'],
      told: () => [{ file: { ...file('kept/anew'), uid: 12, gid: 34 } }],
    },
    {
      family: 'link',
      name: `by ${by}: hard`,
      command: [program, 'link', 'way/anew', 'way/hard'],
      told: () => [{ file: { ...file('kept/hard'), target_path: `${place}/kept/anew` } }],
    },
    {
      family: 'link',
      name: `by ${by}: symbolic`,
      command: [program, 'symlink', '/etc/passwd', 'way/soft'],
      told: () => [{ file: { ...file('kept/soft'), target_path: '/etc/passwd', link_type: 'symbolic' } }],
    },
    {
      family: 'rename',
      name: `by ${by}: of the older kind`,
      command: [program, 'rename', 'way/hard', 'way/harder'],
      told: () => [{ file: { ...file('kept/harder'), previous_path: `${place}/kept/hard`, path_source: 'kernel' } }],
    },
    {
      family: 'rename',
      name: `by ${by}: of the newer kind`,
      command: [program, 'renameat', 'way/harder', 'hard'],
      told: () => [{ file: { ...file('hard'), previous_path: `${place}/kept/harder` } }],
    },
    {
      family: 'unlink',
      name: `by ${by}`,
      command: [program, 'unlink', 'hard'],
      told: () => [{ file: file('hard') }],
    },
    {
      family: 'unlink',
      name: `by ${by}: of a link`,
      command: [program, 'unlink', 'way/soft'],
      told: () => [{ file: file('kept/soft') }],
    },
    {
      family: 'mkdir',
      name: `by ${by}, with its mode`,
      command: [program, 'mkdirat', `way/${program.slice(-2)}`],
      told: () => [{ file: { ...file(`kept/${program.slice(-2)}`), mode: '0751' } }],
    },
    {
      family: 'ptrace',
      name: `by ${by}`,
      command: [program, 'trace', '-'],
      told: () => [{ ptrace: { request: 'attach' } }],
    },
    {
      family: 'namespace',
      name: `by ${by}`,
      command: [program, 'unshare', '-'],
      told: () => [{ namespace: { operation: 'unshare', types: ['uts'] } }],
    },
    {
      family: 'mount',
      name: `by ${by}`,
      command: [program, 'mount', `${place}/kept/new`],
      told: () => [{ mount: { operation: 'mount', target: `${place}/kept/new`, filesystem: 'tmpfs' } }],
    },
    {
      family: 'memfd',
      name: `by ${by}`,
      command: [program, 'memfd', 'kept in mind'],
      told: () => [{ file: { path: '/memfd:kept in mind' } }],
    },
    {
      family: 'bpf',
      name: `by ${by}`,
      command: [program, 'bpf', '-'],
      told: () => [{ bpf: { operation: 'map_create' } }],
    },
    {
      family: 'socket',
      name: `by ${by}`,
      command: [program, 'raw', '-'],
      told: () => [{ socket: { family: 'ipv4', type: 'raw' } }],
    },
    {
      family: 'connect',
      name: `by ${by}: a unix socket`,
      command: [program, 'connect', `${program.slice(-2)}.socket`],
      told: () => [{ destination: { path: `${program.slice(-2)}.socket` }, network: { transport: 'unix' } }],
    },
    {
      family: 'socket',
      name: `by ${by}, by socketcall`,
      command: [program, 'raw-older', '-'],
      told: () => [{ socket: { family: 'ipv4', type: 'raw' } }],
    },
    {
      family: 'connect',
      name: `by ${by}, by socketcall: a unix socket`,
      command: [program, 'connect-older', `${program.slice(-2)}.older`],
      told: () => [{ destination: { path: `${program.slice(-2)}.older` }, network: { transport: 'unix' } }],
    },
    {
      family: 'dns',
      name: `by ${by}`,
      command: [program, 'ask', '-'],
      told: () => [{ dns: { question: { name: 'node.example', type: 'AAAA' } } }],
    },
  ]),
  {
    family: 'chmod',
    name: 'with the set-user-id bit',
    command: [acts, 'chmod', 'kept/secret'],
    told: () => [{ file: { ...file('kept/secret'), mode: '4755' } }],
  },
  {
    family: 'chown',
    name: 'to another user and group',
    command: [acts, 'chown', 'kept/secret'],
    told: () => [{ file: { ...file('kept/secret'), uid: 12, gid: 34 } }],
  },
  {
    family: 'link',
    name: 'hard',
    command: [acts, 'link', 'kept/secret', 'kept/other'],
    told: () => [{ file: { ...file('kept/other'), target_path: `${place}/kept/secret` } }],
  },
  {
    family: 'link',
    name: 'symbolic',
    command: [acts, 'symlink', '/etc/passwd', 'kept/symbolic'],
    told: () => [{ file: { ...file('kept/symbolic'), target_path: '/etc/passwd' } }],
  },
  {
    family: 'rename',
    name: 'to another directory',
    command: [acts, 'rename', 'kept/other', 'moved'],
    told: () => [{ file: { ...file('moved'), previous_path: `${place}/kept/other` } }],
  },
  { family: 'unlink', name: 'of a file', command: [acts, 'unlink', 'moved'], told: () => [{ file: file('moved') }] },
  {
    family: 'unlink',
    name: 'by a descriptor of its directory',
    command: [acts, 'by-descriptor', 'kept', 'made'],
    told: () => [{ file: file('kept/made') }],
  },
  {
    family: 'mkdir',
    name: 'with its mode',
    command: [acts, 'mkdir', 'kept/newer'],
    told: () => [{ file: { ...file('kept/newer'), mode: '0751' } }],
  },
  // `way` is a symbolic link to `kept`: these kernels have kprobes, so that the names are the kernel's.
  {
    family: 'mkdir',
    name: 'through a link: where it is',
    command: [acts, 'mkdir', 'way/linked'],
    told: () => [{ file: { ...file('kept/linked'), requested_path: 'way/linked', path_source: 'kernel' } }],
  },
  {
    family: 'chmod',
    name: 'through a link: of which file',
    command: [acts, 'chmod', 'way/secret'],
    told: () => [{ file: { ...file('kept/secret'), requested_path: 'way/secret', path_source: 'kernel' } }],
  },
  {
    family: 'chown',
    name: 'through a link: of which file',
    command: [acts, 'chown', 'way/secret'],
    told: () => [{ file: { ...file('kept/secret'), requested_path: 'way/secret', path_source: 'kernel' } }],
  },
  {
    family: 'link',
    name: 'hard, through a link: from where to where',
    command: [acts, 'link', 'way/secret', 'way/hard'],
    told: () => [
      {
        file: {
          ...file('kept/hard'),
          target_path: `${place}/kept/secret`,
          requested_path: 'way/hard',
          path_source: 'kernel',
        },
      },
    ],
  },
  {
    family: 'link',
    name: 'symbolic, through a link: where it is',
    command: [acts, 'symlink', '/etc/passwd', 'way/soft'],
    told: () => [{ file: { ...file('kept/soft'), target_path: '/etc/passwd', path_source: 'kernel' } }],
  },
  {
    family: 'rename',
    name: 'through a link: from where to where',
    command: [acts, 'rename', 'way/hard', 'way/harder'],
    told: () => [{ file: { ...file('kept/harder'), previous_path: `${place}/kept/hard`, path_source: 'kernel' } }],
  },
  {
    family: 'unlink',
    name: 'through a link: of which file',
    command: [acts, 'unlink', 'way/harder'],
    told: () => [{ file: { ...file('kept/harder'), requested_path: 'way/harder', path_source: 'kernel' } }],
  },
  {
    family: 'connect',
    name: 'by TCP',
    command: [acts, 'connection'],
    told: () => [{ destination: { ip: '127.0.0.1', port: 7001 }, network: { transport: 'tcp' } }],
  },
  {
    family: 'listen',
    name: 'at a port',
    command: [acts, 'connection'],
    told: () => [{ source: { ip: '127.0.0.1', port: 7001 } }],
  },
  {
    family: 'accept',
    name: 'of a connection',
    command: [acts, 'connection'],
    told: () => [{ destination: { ip: '127.0.0.1', port: 7001 }, source: { ip: '127.0.0.1' } }],
  },
  {
    family: 'stdio',
    name: 'a connection as standard input',
    command: [acts, 'connection'],
    told: () => [{ process: { stdin: { type: 'socket', peer: { ip: '127.0.0.1', port: 7001 } } } }],
  },
  {
    family: 'connect',
    name: 'by UDP, from the packet',
    command: [acts, 'question'],
    told: () => [{ destination: { ip: '127.0.0.1', port: 53 }, network: { transport: 'udp' } }],
  },
  {
    family: 'dns',
    name: 'a question',
    command: [acts, 'question'],
    told: () => [{ dns: { question: { name: 'node.example', type: 'AAAA' } }, destination: { port: 53 } }],
  },
  { family: 'socket', name: 'raw', command: [acts, 'raw'], told: () => [{ socket: { family: 'ipv4', type: 'raw' } }] },
  {
    family: 'ptrace',
    name: 'attach, look, change',
    command: [privilege, 'trace'],
    told: ({ printed }) =>
      ['attach', 'peek', 'poke'].map((request) => ({ ptrace: { request }, target: { pid: Number(printed) } })),
  },
  {
    family: 'ptrace',
    name: 'memory of another process',
    command: [privilege, 'memory'],
    told: ({ printed }) =>
      ['process_vm_readv', 'process_vm_writev'].map((request) => ({
        ptrace: { request },
        target: { pid: Number(printed) },
      })),
  },
  {
    family: 'namespace',
    name: 'made, and the host’s entered again',
    command: [privilege, 'back'],
    told: () => [
      { namespace: { operation: 'unshare', types: ['ipc', 'uts'] } },
      { namespace: { operation: 'setns', types: ['uts'], host: true } },
    ],
  },
  {
    family: 'namespace',
    name: 'of another process, by its descriptor',
    command: [privilege, 'join'],
    told: ({ printed }) => [
      { namespace: { operation: 'setns', types: ['ipc', 'uts'], host: false }, target: { pid: Number(printed) } },
    ],
  },
  {
    family: 'mount',
    name: 'of the older kind',
    command: [privilege, 'mounts', `${place}/kept/new`],
    told: () => [
      { mount: { operation: 'propagation', target: '/' } },
      { mount: { operation: 'mount', target: `${place}/kept/new`, filesystem: 'tmpfs' } },
      { mount: { operation: 'bind', source: '/etc' } },
      { mount: { operation: 'umount', target: `${place}/kept/new` } },
    ],
  },
  {
    family: 'mount',
    name: 'of the newer kind: where it is, through .. and a link',
    command: [privilege, 'new-mounts', `${place}/kept`],
    told: () => [
      { mount: { operation: 'propagation', target: '/' } },
      { mount: { operation: 'mount', filesystem: 'tmpfs' } },
      { mount: { operation: 'move', target: `${place}/kept/new`, filesystem: 'tmpfs' } },
      { mount: { operation: 'bind', source: '/etc' } },
    ],
  },
  {
    family: 'module',
    name: 'loaded from a file, and taken out',
    command: [acts, 'module', '/extra/dummy.ko', 'dummy'],
    told: () => [
      { module: { operation: 'load', name: 'dummy' }, file: { path: '/extra/dummy.ko' } },
      { module: { operation: 'unload', name: 'dummy' } },
    ],
  },
  {
    family: 'bpf',
    name: 'a program with its type and name, and a map',
    command: [privilege, 'load'],
    told: () => [
      { bpf: { operation: 'program_load', type: 'socket_filter', name: 'nightjar_test' } },
      { bpf: { operation: 'map_create' } },
    ],
  },
  {
    family: 'credentials',
    name: 'given up, and asked for again in vain',
    command: [privilege, 'nobody'],
    told: () => [
      { credentials: { operation: 'setgid', previous: { group: { id: 0 } } } },
      { credentials: { operation: 'setuid', previous: { user: { id: 0 } } } },
      { credentials: { operation: 'setuid' }, error: { code: 'EPERM' } },
    ],
  },
  {
    family: 'credentials',
    name: 'a capability taken again',
    command: [privilege, 'raise'],
    told: () => [{ credentials: { operation: 'capset', gained: ['CAP_NET_RAW'] } }],
  },
  {
    family: 'memfd',
    name: 'by its name',
    command: [privilege, 'memfd', 'kept in mind'],
    told: () => [{ file: { path: '/memfd:kept in mind', filesystem: 'tmpfs', links: 0 } }],
  },
  {
    family: 'io_uring',
    name: 'a ring, and what is asked of it',
    command: [privilege, 'ring', `${place}/kept/secret`],
    told: () => [{ io_uring: { operation: 'setup' } }, { io_uring: { operation: 'openat' } }],
  },
  {
    family: 'syscall',
    name: 'rare ones',
    command: [privilege, 'rare'],
    told: () => [
      { syscall: { name: 'userfaultfd' } },
      { syscall: { name: 'open_by_handle_at' } },
      { syscall: { name: 'acct' }, error: { code: 'ENOENT' } },
      { syscall: { name: 'personality' } },
    ],
  },
  {
    family: 'kill',
    name: 'a signal to the sensor',
    command: [acts, 'signal', 'SENSOR'],
    told: ({ sensor }) => [{ signal: { name: 'SIGPIPE' }, target: { pid: sensor, sensor: true } }],
  },
]
