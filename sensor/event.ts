/**
 * The event: what the kernel saw one process do, tied to who that process is.
 *
 * This is the one definition of its shape. The TypeScript types, the capture format (`n` is the protobuf field
 * number), the fields that a rule may name and their documentation are all read from it. Names follow OpenTelemetry's
 * semantic conventions where there is one, else ECS. A field that is unknown is absent, never null.
 */
import { type Static, Type } from 'typebox'

/** Every type of event. `gap` is the sensor's own: it was blind, or lost events, and for how long. */
export const eventTypes = ['exec', 'exit', 'connect', 'stdio', 'gap'] as const
export type EventType = (typeof eventTypes)[number]

const text = (n: number, description: string) => Type.Optional(Type.String({ n, description }))
const integer = (n: number, description: string) => Type.Optional(Type.Integer({ n, description }))
const real = (n: number, description: string) => Type.Optional(Type.Number({ n, description }))
const flag = (n: number, description: string) => Type.Optional(Type.Boolean({ n, description }))
const texts = (n: number, description: string) => Type.Optional(Type.Array(Type.String(), { n, description }))
const named = (n: number, description: string) =>
  Type.Optional(Type.Record(Type.String(), Type.String(), { n, description }))

const Address = Type.Object({
  ip: text(1, 'IP address; an IPv4 address mapped into IPv6 is written as IPv4.'),
  port: integer(2, 'Port number.'),
})

const Relay = Type.Object({
  pid: integer(1, 'The process that passes data between this file descriptor and the network.'),
  name: text(2, 'Its program name.'),
  command_line: text(3, 'Its command line.'),
})

const Stdio = Type.Object({
  type: text(
    1,
    'What the descriptor is: socket (network), unix, pipe (named or not), tty, file, directory, null, device, closed, other.',
  ),
  peer: Type.Optional(
    Type.Object(Address.properties, { n: 2, description: 'Remote end of the connection behind it.' }),
  ),
  direction: text(3, 'outbound: this process or an ancestor opened the connection; inbound: it was accepted.'),
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
  reads_commands_from: text(15, 'For a shell: stdin, argument (-c) or script.'),
  listening: Type.Optional(
    Type.Object(ListeningSocket.properties, { n: 16, description: 'A socket that the process listens on.' }),
  ),
  previous: Type.Optional(
    Type.Object(
      { name: text(1, 'Its program name.'), command_line: text(2, 'Its command line.') },
      { n: 18, description: 'The program that this process ran before it executed this one: nc in `nc -e /bin/sh`.' },
    ),
  ),
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
  kind: text(
    10,
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

export const Identity = Type.Object({
  subject: text(1, 'system:serviceaccount:<namespace>:<name> in a pod, else user:<name> on the host.'),
  kind: text(2, 'service_account, host_user or unknown.'),
  service_account: Type.Optional(
    Type.Object(
      { namespace: text(1, "The service account's namespace."), name: text(2, "The service account's name.") },
      { n: 3 },
    ),
  ),
  freshness: text(
    4,
    'live: from a current watch; stale: the API server is away; unknown: the pod was not found in time.',
  ),
})

export const Event = Type.Object({
  type: Type.Enum([...eventTypes], { n: 1, description: 'What happened.' }),
  time: Type.Number({
    n: 2,
    description: 'When the kernel saw it: Unix time in milliseconds, exact to 1 microsecond.',
  }),
  process: Type.Optional(Type.Object(Process.properties, { n: 3, description: 'Who did it.' })),
  destination: Type.Optional(
    Type.Object(Address.properties, { n: 4, description: 'connect: the remote end, from the socket.' }),
  ),
  source: Type.Optional(Type.Object(Address.properties, { n: 5, description: 'connect: the local end.' })),
  network: Type.Optional(
    Type.Object(
      { transport: text(1, 'tcp or udp.'), type: text(2, 'ipv4 or ipv6.') },
      { n: 6, description: 'connect: the transport.' },
    ),
  ),
  gap: Type.Optional(
    Type.Object(
      {
        reason: text(1, 'probe_exited, probe_stalled, probe_replaced (new rules), events_lost, records_rejected.'),
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
})

export type Event = Static<typeof Event>
export type Process = Static<typeof Process>
export type ProcessBase = Static<typeof ProcessBase>
export type Stdio = Static<typeof Stdio>
export type Container = Static<typeof Container>
export type K8s = Static<typeof K8s>
export type Identity = Static<typeof Identity>
