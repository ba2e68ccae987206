/**
 * The event: what the kernel saw one process do, tied to who that process is.
 *
 * This is the one definition of its shape. The TypeScript types, the capture format (`n` is the protobuf field
 * number), the fields that a rule may name and their documentation are all read from it. Names follow OpenTelemetry's
 * semantic conventions where there is one, else ECS. A field that is unknown is absent, never null.
 */
import { type Static, Type } from './schema.ts'

/**
 * Every type of event, with what it tells besides who did it. Two are the sensor's own: `gap`, it was blind, or lost
 * events, and for how long; `posture`, how a workload of this node is set up is a risk by itself.
 */
export const carried = {
  exec: [],
  exit: [],
  open: ['file', 'target', 'error'],
  connect: ['destination', 'source', 'network', 'error'],
  dns: ['dns', 'destination', 'network'],
  listen: ['source', 'network'],
  accept: ['source', 'destination', 'network'],
  stdio: [],
  ptrace: ['ptrace', 'target', 'error'],
  namespace: ['namespace', 'target', 'error'],
  mount: ['mount', 'error'],
  module: ['module', 'file', 'error'],
  bpf: ['bpf', 'error'],
  credentials: ['credentials', 'error'],
  chmod: ['file', 'error'],
  chown: ['file', 'error'],
  link: ['file', 'error'],
  rename: ['file', 'error'],
  unlink: ['file', 'error'],
  mkdir: ['file', 'error'],
  memfd: ['file', 'error'],
  socket: ['socket', 'error'],
  io_uring: ['io_uring', 'error'],
  kill: ['signal', 'target', 'error'],
  syscall: ['syscall', 'error'],
  gap: ['gap'],
  posture: ['posture'],
} as const satisfies Record<string, readonly string[]>

export type EventType = keyof typeof carried
export const eventTypes = Object.keys(carried) as EventType[]

const text = (n: number, description: string) => Type.Optional(Type.String({ n, description }))
/** Text of which these are the only values: rules/ holds authors to them, and editors complete them. */
const oneOf = (n: number, values: readonly string[], description: string) =>
  Type.Optional(Type.String({ n, description, examples: [...values] }))
const someOf = (n: number, values: readonly string[], description: string) =>
  Type.Optional(Type.Array(Type.String({ examples: [...values] }), { n, description }))
const integer = (n: number, description: string) => Type.Optional(Type.Integer({ n, description }))
const real = (n: number, description: string) => Type.Optional(Type.Number({ n, description }))
const flag = (n: number, description: string) => Type.Optional(Type.Boolean({ n, description }))
const texts = (n: number, description: string) => Type.Optional(Type.Array(Type.String(), { n, description }))
const named = (n: number, description: string) =>
  Type.Optional(Type.Record(Type.String(), Type.String(), { n, description }))

const Address = Type.Object({
  ip: text(1, 'IP address; an IPv4 address mapped into IPv6 is written as IPv4.'),
  port: integer(2, 'Port number.'),
  path: text(3, 'Of a unix socket: its path as it was bound; an abstract name begins with @.'),
})

const Relay = Type.Object({
  pid: integer(1, 'The process that passes data between this file descriptor and the network.'),
  name: text(2, 'Its program name.'),
  command_line: text(3, 'Its command line.'),
})

const Stdio = Type.Object({
  type: oneOf(
    1,
    ['socket', 'unix', 'pipe', 'tty', 'file', 'directory', 'null', 'device', 'closed', 'other'],
    'What the descriptor is: socket (network), unix, pipe (named or not), tty, file, directory, null, device, closed, other.',
  ),
  peer: Type.Optional(
    Type.Object(Address.properties, { n: 2, description: 'Remote end of the connection behind it.' }),
  ),
  direction: oneOf(
    3,
    ['outbound', 'inbound'],
    'outbound: this process or an ancestor opened the connection; inbound: it was accepted.',
  ),
  inode: text(4, 'Inode of the pipe or file, with its device: the two ends of one pipe share it.'),
  relay: Type.Optional(
    Type.Object(Relay.properties, {
      n: 5,
      description: 'Set when another process holds the connection and relays it.',
    }),
  ),
})

const ListeningSocket = Type.Object({ port: integer(1, 'TCP port that the process listens on.') })

export const processProperties = {
  pid: integer(1, 'Process id in the initial PID namespace.'),
  ppid: integer(2, 'Parent process id.'),
  start_time: real(3, 'When the process was forked: Unix time in milliseconds.'),
  name: text(4, 'Program: the file name of the executable or, for a multi-call binary (busybox), the applet.'),
  executable: Type.Optional(
    Type.Object(
      {
        path: text(1, 'Path of the executed file as the kernel resolved it, seen from the root of the process.'),
        name: text(2, 'Last component of the path.'),
        deleted: flag(4, 'The file has no name left: unlinked, or never had one (memfd).'),
        upper_layer: flag(
          5,
          "The file was made or changed in the container: it is in overlayfs' upper layer, not in the image.",
        ),
        filesystem: text(6, 'Kind of the file system that holds it: overlay, tmpfs, ext4, nfs ...'),
        setuid: flag(7, 'Its mode has the set-user-id bit.'),
        setgid: flag(8, 'Its mode has the set-group-id bit.'),
      },
      { n: 5 },
    ),
  ),
  command_args: texts(6, 'All arguments, argv[0] included. Bytes that are not UTF-8 become U+FFFD.'),
  command_line: text(7, 'The arguments joined by spaces.'),
  args_truncated: flag(8, 'The arguments are longer than command_args shows: the sensor reads 4096 bytes of them.'),
  working_directory: text(9, 'Current directory as the kernel resolved it, seen from the root of the process.'),
  user: Type.Optional(
    Type.Object(
      {
        id: integer(1, 'Effective user id in the initial user namespace.'),
        name: text(2, "User name, from the host's user database; for processes outside containers only."),
      },
      { n: 10 },
    ),
  ),
  group: Type.Optional(Type.Object({ id: integer(1, 'Effective group id.') }, { n: 11 })),
  stdin: Type.Optional(Type.Object(Stdio.properties, { n: 12, description: 'File descriptor 0.' })),
  stdout: Type.Optional(Type.Object(Stdio.properties, { n: 13, description: 'File descriptor 1.' })),
  stderr: Type.Optional(Type.Object(Stdio.properties, { n: 14, description: 'File descriptor 2.' })),
  reads_commands_from: oneOf(15, ['stdin', 'argument', 'script'], 'For a shell: stdin, argument (-c) or script.'),
  listening: Type.Optional(
    Type.Object(ListeningSocket.properties, { n: 16, description: 'A socket that the process listens on.' }),
  ),
  previous: Type.Optional(
    Type.Object(
      { name: text(1, 'Its program name.'), command_line: text(2, 'Its command line.') },
      { n: 18, description: 'The program that this process ran before it executed this one: nc in `nc -e /bin/sh`.' },
    ),
  ),
  capabilities: texts(19, 'Effective capabilities when it was executed, such as CAP_SYS_ADMIN.'),
  exit_code: integer(17, 'Exit code; 128 + signal number for a process ended by a signal.'),
}

const ProcessBase = Type.Object(processProperties)

export const Process = Type.Object({
  ...processProperties,
  ancestors: Type.Optional(
    Type.Array(ProcessBase, { n: 30, description: 'Nearest first: ancestors[0] is the parent. At most 16.' }),
  ),
})

export const Container = Type.Object({
  id: text(1, 'Container id, as the runtime names it (64 hex digits).'),
  name: text(2, 'Container name.'),
  runtime: text(3, 'containerd, cri-o, docker, podman.'),
  image: Type.Optional(
    Type.Object(
      {
        name: text(1, 'Image reference as the pod asks for it.'),
        id: text(
          2,
          'The image that runs, as the runtime reports it: name@sha256:..., or the digest of its configuration.',
        ),
        digest: text(3, 'Digest of the manifest of the image that runs, sha256:..., where the runtime reports it.'),
      },
      { n: 4 },
    ),
  ),
  kind: oneOf(
    10,
    ['app', 'init', 'sidecar', 'ephemeral'],
    'What it is in its pod: app, init, sidecar (an init container that stays) or ephemeral (kubectl debug).',
  ),
  start_time: real(11, 'When it was started: Unix time in milliseconds, exact to 1 second.'),
  restart_count: integer(12, 'How often the pod had restarted it when it was started.'),
})

const nameOnly = (n: number, what: string) =>
  Type.Optional(Type.Object({ name: text(1, `Name of the ${what}.`) }, { n }))

export const K8s = Type.Object({
  namespace: nameOnly(1, 'namespace'),
  pod: Type.Optional(
    Type.Object(
      {
        name: text(1, 'Name of the pod.'),
        uid: text(2, 'UID of the pod.'),
        label: named(3, 'Labels of the pod.'),
        annotation: named(
          10,
          'Annotations of the pod: values of up to 256 bytes, 64 of them, without what kubectl apply keeps for itself.',
        ),
        privileged: flag(20, 'One of its containers is privileged.'),
        host_network: flag(21, "It is in the node's network namespace: NetworkPolicies do not hold for it."),
        host_pid: flag(22, "It is in the node's PID namespace: it sees all processes of the node."),
        host_ipc: flag(23, "It is in the node's IPC namespace."),
        host_paths: texts(
          24,
          'Paths of the node that its containers mount, such as /var/run; `:ro` follows read-only ones.',
        ),
        capabilities: texts(25, 'Capabilities that its containers add to the default ones, such as CAP_SYS_ADMIN.'),
        seccomp_unconfined: flag(26, 'One of its containers asks for no seccomp filter, or is privileged.'),
      },
      { n: 2 },
    ),
  ),
  container: nameOnly(3, 'container in the pod'),
  node: nameOnly(4, 'node'),
  cluster: nameOnly(5, 'cluster, as configured'),
  owner: Type.Optional(
    Type.Object(
      { kind: text(1, 'Kind of the topmost controller, such as Deployment.'), name: text(2, 'Its name.') },
      { n: 6, description: 'The workload: the topmost controller that owns the pod.' },
    ),
  ),
  deployment: nameOnly(7, 'Deployment'),
  replicaset: nameOnly(8, 'ReplicaSet'),
  statefulset: nameOnly(9, 'StatefulSet'),
  daemonset: nameOnly(10, 'DaemonSet'),
  job: nameOnly(11, 'Job'),
  cronjob: nameOnly(12, 'CronJob'),
})

const Endpoint = Type.Object({
  type: text(1, 'Such as postgresql, redis, kubernetes-api, kubelet.'),
  name: text(2, 'namespace/name of the Service; of what has no Service a name of its own.'),
  address: text(3, 'IP address or DNS name to connect to.'),
  port: integer(4, 'Port number.'),
  evidence: text(5, 'Why it is taken for one: its port, port name, label, annotation or name.'),
  policy: text(6, 'What NetworkPolicies say: none concerns it, allowed, or unknown (it can not be told from here).'),
})

export const Identity = Type.Object({
  subject: text(
    1,
    'system:serviceaccount:<namespace>:<name> in a pod (a static pod has none), else user:<name> on the host.',
  ),
  kind: oneOf(2, ['service_account', 'host_user', 'unknown'], 'service_account, host_user or unknown.'),
  service_account: Type.Optional(
    Type.Object(
      { namespace: text(1, "The service account's namespace."), name: text(2, "The service account's name.") },
      { n: 3 },
    ),
  ),
  freshness: oneOf(
    4,
    ['live', 'stale', 'runtime', 'unknown'],
    'live: from a current watch; stale: the API server is away; runtime: only the container runtime knew the pod, the service account is not known; unknown: the pod was not found in time.',
  ),
  credential: Type.Optional(
    Type.Object(
      {
        kind: oneOf(
          1,
          ['projected', 'legacy_secret', 'none'],
          'What the container holds: projected (tokens that expire), legacy_secret (one that does not), none.',
        ),
        audiences: texts(2, "Audiences of its projected tokens. The API server's own token mostly names none."),
        expiration_seconds: integer(
          3,
          "Lifetime asked for, of the API server's projected token, else of the longest. Automounted tokens ask for 3607; API servers that are set so (the default) extend that to a year.",
        ),
        api_server: flag(4, 'The API server accepts one of its tokens; absent where only its flags could tell.'),
        automounted: flag(5, "The API server's token was put there by Kubernetes, not asked for as a volume."),
        automount: text(6, 'What decided on that: pod, service_account, or default (nobody asked for it).'),
        secret: Type.Optional(
          Type.Object(
            {
              name: text(1, 'Name of the Secret.'),
              service_account: text(2, 'The service account that its token is for.'),
              created: text(3, 'When it was made (RFC 3339).'),
              age_days: integer(4, 'Its age in days.'),
            },
            { n: 7, description: 'legacy_secret: the Secret that holds the token.' },
          ),
        ),
      },
      { n: 10, description: 'How the container proves who it is.' },
    ),
  ),
  cloud: Type.Optional(
    Type.Array(
      Type.Object({
        provider: text(1, 'aws, gcp or azure.'),
        principal: text(
          2,
          'Who it is there: the ARN of an IAM role, the email of a Google service account, an Azure client id.',
        ),
        source: text(
          3,
          'eks_irsa, eks_pod_identity, gke_workload_identity, gcp_federation, azure_workload_identity, or node_role: what the metadata service gives out for the node.',
        ),
        held: flag(
          4,
          'true: the container has what it takes to act as this principal. false: its service account names the principal, but nothing of that is in the container. Absent: can not be told from here.',
        ),
        audience: text(5, 'Audience of the token that is exchanged for it.'),
      }),
      { n: 11, description: 'Whom the container can act as in a cloud.' },
    ),
  ),
  spiffe_id: text(12, 'SPIFFE ID that the workload is registered with.'),
  spiffe_source: text(13, 'What it comes from: ClusterSPIFFEID/<name>, or configuration.'),
  secrets: Type.Optional(
    Type.Array(
      Type.Object({
        name: text(1, 'Name of the Secret, in the namespace of the pod.'),
        via: text(2, 'volume or env (in this container), or image_pull.'),
      }),
      { n: 14, description: 'Secrets that are handed to the container.' },
    ),
  ),
  shared_with: texts(
    15,
    'Other workloads with pods on this node that use the same service account, as Kind/name; at most 16.',
  ),
  missing: texts(
    16,
    'What could not be looked up (no permission, or no answer yet), so that what follows from it is absent here: service_accounts, spiffe, namespaces, token_secrets, node, rbac, network.',
  ),
  blast_radius: Type.Optional(
    Type.Object(
      {
        score: integer(1, '0 to 100: what whoever holds this identity, in this pod, could do with it.'),
        level: oneOf(
          2,
          ['none', 'low', 'medium', 'high', 'critical'],
          'none (0), low (1 to 24), medium (25 to 54), high (55 to 79) or critical (80 to 100).',
        ),
        paths: Type.Optional(
          Type.Array(
            Type.Object({
              id: text(1, 'Such as read-secrets or create-pods; cluster-admin stands for all others.'),
              title: text(2, 'What can be done, in a few words.'),
              why: text(3, 'Where it can be done and why it matters, in a sentence.'),
              grants: texts(4, 'What gives it: binding -> role, or the setting of the pod.'),
            }),
            { n: 3, description: 'The ways that make the score, the worst first. At most 16.' },
          ),
        ),
      },
      { n: 20, description: 'How far the identity reaches. Absent where its rights or its pod are not known.' },
    ),
  ),
  reach: Type.Optional(
    Type.Object(
      {
        data_stores: Type.Optional(
          Type.Array(Endpoint, { n: 1, description: 'Data stores that the pod can open a connection to.' }),
        ),
        control_plane: Type.Optional(
          Type.Array(Endpoint, { n: 2, description: 'Parts of the control plane that it can open a connection to.' }),
        ),
        node: Type.Optional(
          Type.Array(
            Type.Object({
              id: text(1, 'Such as privileged, host-path or runtime-socket.'),
              title: text(2, 'What of the node is within reach.'),
              why: text(3, 'What it means, in a sentence.'),
            }),
            { n: 3, description: 'What the pod can reach of its node, the worst first.' },
          ),
        ),
      },
      { n: 21, description: 'What the pod reaches beside the API. Absent where it is not known.' },
    ),
  ),
})

/** Names follow ECS, where it has one: https://www.elastic.co/docs/reference/ecs/ecs-file */
export const File = Type.Object({
  path: text(1, 'Path as the kernel resolved it, seen from the root of the process. Of rename and link: the new name.'),
  name: text(2, 'Last component of the path.'),
  directory: text(3, 'The path without its last component.'),
  requested_path: text(4, 'The string that the program passed, where it is another than the path.'),
  access: someOf(
    5,
    ['read', 'write', 'create', 'truncate', 'append'],
    'open: what was asked for: read, write, create, truncate, append.',
  ),
  type: oneOf(
    6,
    ['regular', 'directory', 'symlink', 'character_device', 'block_device', 'pipe', 'socket'],
    'regular, directory, symlink, character_device, block_device, pipe, socket.',
  ),
  filesystem: text(7, 'Kind of the file system that holds it: overlay, tmpfs, proc, sysfs, cgroup2 ...'),
  inode: text(8, 'device:inode. Two names of one file (hard links) have it in common.'),
  mode: text(9, 'Permission bits, octal, such as 0644 or 4755. chmod: the new ones.'),
  setuid: flag(10, 'The mode has the set-user-id bit.'),
  setgid: flag(11, 'The mode has the set-group-id bit.'),
  uid: integer(12, 'User that owns it. chown: the new one.'),
  gid: integer(13, 'Group that owns it. chown: the new one.'),
  previous_path: text(14, 'rename: the name that it had before.'),
  target_path: text(15, 'link: what the new name leads to: of a hard link another path, of a symbolic one its text.'),
  link_type: oneOf(16, ['hard', 'symbolic'], 'link: hard or symbolic.'),
  links: integer(17, 'How many names it has. unlink: before it.'),
  upper_layer: flag(18, "Made or changed in the container: in overlayfs' upper layer, not in the image."),
  path_source: oneOf(
    19,
    ['kernel', 'requested'],
    'kernel: the path is resolved. requested: it is the string that the program passed, made absolute from the directory that it counts from; a symbolic link in it is not followed.',
  ),
})

/** The process that something is done to, by what the process table knows of it. */
const Target = Type.Object({
  pid: processProperties.pid,
  name: processProperties.name,
  executable: processProperties.executable,
  command_line: processProperties.command_line,
  user: processProperties.user,
  same_container: flag(20, 'It runs in the same container as the process that does it, or both on the host.'),
  sensor: flag(21, 'It is a process of this sensor.'),
})

const Credentials = Type.Object({
  user: Type.Optional(Type.Object({ id: integer(1, 'Effective user id.') }, { n: 1 })),
  group: Type.Optional(Type.Object({ id: integer(1, 'Effective group id.') }, { n: 2 })),
})

export const Event = Type.Object({
  type: Type.Enum([...eventTypes], { n: 1, description: 'What happened.' }),
  time: Type.Number({
    n: 2,
    description: 'When the kernel saw it: Unix time in milliseconds, exact to 1 microsecond.',
  }),
  process: Type.Optional(Type.Object(Process.properties, { n: 3, description: 'Who did it.' })),
  destination: Type.Optional(
    Type.Object(Address.properties, {
      n: 4,
      description: 'connect: the remote end, from the socket. dns: the server that is asked. accept: the local end.',
    }),
  ),
  source: Type.Optional(
    Type.Object(Address.properties, {
      n: 5,
      description: 'connect: the local end. listen: what is listened on. accept: the remote end.',
    }),
  ),
  network: Type.Optional(
    Type.Object(
      {
        transport: oneOf(1, ['tcp', 'udp', 'unix'], 'tcp, udp or unix.'),
        type: oneOf(2, ['ipv4', 'ipv6'], 'ipv4 or ipv6.'),
      },
      { n: 6, description: 'The transport.' },
    ),
  ),
  gap: Type.Optional(
    Type.Object(
      {
        reason: oneOf(
          1,
          ['probe_exited', 'probe_stalled', 'events_lost', 'events_shed', 'records_rejected', 'sensor_absent'],
          'probe_exited, probe_stalled, events_lost, events_shed, records_rejected, sensor_absent.',
        ),
        seconds: real(2, 'How long the sensor saw nothing.'),
        lost_events: integer(3, 'Events known to be lost.'),
        detail: text(4, 'What the sensor knows of the cause.'),
      },
      { n: 7, description: 'gap: what the sensor did not see.' },
    ),
  ),
  container: Type.Optional(Type.Object(Container.properties, { n: 8 })),
  k8s: Type.Optional(Type.Object(K8s.properties, { n: 9 })),
  identity: Type.Optional(Type.Object(Identity.properties, { n: 10 })),
  host: Type.Optional(
    Type.Object(
      { name: text(1, 'Host name of the node.'), kernel: text(2, 'Kernel release.') },
      { n: 11, description: 'The node.' },
    ),
  ),
  file: Type.Optional(Type.Object(File.properties, { n: 12, description: 'The file that it was done to.' })),
  error: Type.Optional(
    Type.Object(
      { code: text(1, 'Such as EACCES or ENOENT.') },
      { n: 13, description: 'Set when the kernel refused: it was tried, and did not happen.' },
    ),
  ),
  target: Type.Optional(
    Type.Object(Target.properties, {
      n: 14,
      description:
        'The process that it was done to. open: whose /proc/<pid> the file belongs to, if it is of another process.',
    }),
  ),
  ptrace: Type.Optional(
    Type.Object(
      {
        request: text(1, 'attach, seize, traceme, peek, poke, set_registers, process_vm_readv or process_vm_writev.'),
      },
      { n: 15, description: 'ptrace: what was asked.' },
    ),
  ),
  namespace: Type.Optional(
    Type.Object(
      {
        operation: oneOf(1, ['unshare', 'clone', 'setns'], 'unshare, clone or setns.'),
        types: someOf(
          2,
          ['mount', 'pid', 'network', 'ipc', 'uts', 'user', 'cgroup', 'time'],
          'mount, pid, network, ipc, uts, user, cgroup, time.',
        ),
        host: flag(3, 'setns: one of the namespaces entered is the initial one of the machine.'),
      },
      { n: 16, description: 'namespace: what was made or entered.' },
    ),
  ),
  mount: Type.Optional(
    Type.Object(
      {
        operation: oneOf(
          1,
          ['mount', 'bind', 'remount', 'move', 'propagation', 'umount', 'pivot_root'],
          'mount, bind, remount, move, propagation, umount or pivot_root.',
        ),
        source: text(2, 'What is mounted, as the program said it: a device, a directory.'),
        target: text(3, 'Where: as the kernel resolved it if it can be told, else as the program said it.'),
        filesystem: text(4, 'Kind of file system, such as proc, overlay, cgroup.'),
        flags: texts(5, 'Such as MS_RDONLY, MS_BIND, MS_REC.'),
      },
      { n: 17, description: 'mount: what was mounted, moved or taken away.' },
    ),
  ),
  module: Type.Optional(
    Type.Object(
      { operation: oneOf(1, ['load', 'unload'], 'load or unload.'), name: text(2, 'Name of the kernel module.') },
      { n: 18, description: 'module: the kernel module.' },
    ),
  ),
  bpf: Type.Optional(
    Type.Object(
      {
        operation: text(1, 'Such as program_load, program_attach, map_create, object_pin.'),
        type: text(2, 'Type of the program, such as kprobe, tracepoint, xdp, lsm.'),
        name: text(3, 'Name of the program.'),
      },
      { n: 19, description: 'bpf: what was loaded.' },
    ),
  ),
  credentials: Type.Optional(
    Type.Object(
      {
        operation: oneOf(
          1,
          ['setuid', 'setgid', 'capset', 'exec'],
          'setuid, setgid, capset (each with its variants), or exec for a set-user-id program.',
        ),
        previous: Type.Optional(Type.Object(Credentials.properties, { n: 2, description: 'What they were before.' })),
        gained: texts(3, 'Effective capabilities that it did not have before, such as CAP_SYS_ADMIN.'),
      },
      { n: 20, description: 'credentials: how they changed; the new ones are in process.user and process.group.' },
    ),
  ),
  socket: Type.Optional(
    Type.Object(
      {
        family: text(1, 'ipv4, ipv6, packet, netlink, alg, vsock, bluetooth, or a number.'),
        type: text(2, 'stream, datagram, raw, packet, seqpacket, or a number.'),
        protocol: integer(3, 'Protocol number; of ipv4 and ipv6 an IPPROTO_, of packet an ETH_P_.'),
      },
      { n: 21, description: 'socket: a raw or packet socket, or one of a rare family, was made.' },
    ),
  ),
  io_uring: Type.Optional(
    Type.Object(
      { operation: text(1, 'setup, or the opcode of a request such as openat, connect, unlinkat.') },
      { n: 22, description: 'io_uring: what was asked of the ring.' },
    ),
  ),
  signal: Type.Optional(
    Type.Object(
      { name: text(1, 'Such as SIGKILL.'), number: integer(2, 'Its number.') },
      { n: 23, description: 'kill: the signal.' },
    ),
  ),
  syscall: Type.Optional(
    Type.Object(
      { name: text(1, 'Such as userfaultfd, open_by_handle_at, kexec_load, iopl.') },
      { n: 24, description: 'syscall: a rare system call that ordinary programs have no use for.' },
    ),
  ),
  dns: Type.Optional(
    Type.Object(
      {
        question: Type.Optional(
          Type.Object(
            {
              name: text(1, 'The name asked for, in lower case, without the dot at its end.'),
              type: text(2, 'Such as A, AAAA, TXT, MX; TYPE65280 for one without a name.'),
            },
            { n: 1 },
          ),
        ),
      },
      { n: 25, description: 'dns: the question, as it was sent.' },
    ),
  ),
  posture: Type.Optional(
    Type.Object(
      {
        finding: oneOf(
          1,
          [
            'cluster-admin-workload',
            'default-account-with-rights',
            'shared-account',
            'token-without-use',
            'legacy-token',
            'wide-token',
          ],
          'cluster-admin-workload, default-account-with-rights, shared-account, token-without-use, legacy-token or wide-token.',
        ),
        title: text(2, 'The finding in a few words.'),
        detail: text(3, 'What was found, and what to do about it.'),
      },
      { n: 40, description: 'posture: how a workload is set up, told at start and when it changes.' },
    ),
  ),
})

export type Event = Static<typeof Event>
export type File = Static<typeof File>
export type Process = Static<typeof Process>
export type ProcessBase = Static<typeof ProcessBase>
export type Stdio = Static<typeof Stdio>
export type Container = Static<typeof Container>
export type K8s = Static<typeof K8s>
export type Identity = Static<typeof Identity>
export type Endpoint = Static<typeof Endpoint>
