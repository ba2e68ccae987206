/**
 * What a pod's own settings let it reach of its node, whatever RBAC says: read from the pod's spec alone.
 *
 * What a container may do beside its own file system and network is a matter of namespaces, capabilities, mounts and
 * the seccomp filter (capabilities(7), namespaces(7); https://kubernetes.io/docs/concepts/security/pod-security-standards/).
 */
import type { V1Container, V1EphemeralContainer, V1Pod, V1PodSpec } from '@kubernetes/client-node'

/** `weight`: 0 to 1, how much of the node is lost by it. `setting`: where in the pod's spec it comes from. */
export type Exposure = { id: string; title: string; why: string; weight: number; setting: string }

/** The fields of `k8s.pod` that tell the same; true or absent. */
export type PodSettings = {
  privileged?: true
  host_network?: true
  host_pid?: true
  host_ipc?: true
  host_paths?: string[]
  capabilities?: string[]
  seccomp_unconfined?: true
}

export type NodeReach = { settings: PodSettings; exposures: readonly Exposure[] }

type AnyContainer = (V1Container | V1EphemeralContainer) & { where: string }
type HostMount = { path: string; readOnly: boolean; setting: string }

/** Sockets of container runtimes, by the end of their path: who can write to one starts any container on the node. */
const runtimeSockets = [
  '/docker.sock',
  '/containerd.sock',
  '/crio.sock',
  '/dockershim.sock',
  '/cri-dockerd.sock',
  '/podman.sock',
]

/** Directories that the sockets are in. A read-only mount does not keep anybody from connecting to a socket in it. */
const socketDirectories = [
  '/run',
  '/var/run',
  '/run/containerd',
  '/run/crio',
  '/run/k3s',
  '/run/k3s/containerd',
  '/run/podman',
]

/**
 * Paths of the node, by what a pod gains when it can write there, and when it can only read. `below`: the share of it
 * that a single thing below that path is worth.
 */
const hostPaths: { path: string; gains: string; write: number; read: number; below?: number }[] = [
  { path: '/', gains: 'the whole file system of the node is in it', write: 0.85, read: 0.75, below: 0.1 },
  { path: '/etc', gains: 'users, cron and start-up of the node are set there', write: 0.8, read: 0.3, below: 0.3 },
  {
    path: '/etc/kubernetes',
    gains: "the control plane's keys and static pods are there",
    write: 0.85,
    read: 0.8,
    below: 0.9,
  },
  { path: '/etc/cni', gains: 'the kubelet runs what is set there as root', write: 0.8, read: 0.05, below: 0.9 },
  {
    path: '/opt/cni/bin',
    gains: 'the container runtime runs the programs there as root',
    write: 0.8,
    read: 0.02,
    below: 0.9,
  },
  {
    path: '/var/lib/kubelet',
    gains: "all pods' tokens and Secrets of the node are there",
    write: 0.8,
    read: 0.75,
    below: 0.5,
  },
  {
    path: '/var/lib/etcd',
    gains: "the cluster's whole state is there, Secrets included",
    write: 0.85,
    read: 0.85,
    below: 0.9,
  },
  { path: '/var/lib/containerd', gains: "all containers' file systems are there", write: 0.75, read: 0.4, below: 0.3 },
  { path: '/var/lib/docker', gains: "all containers' file systems are there", write: 0.75, read: 0.4, below: 0.3 },
  {
    path: '/var/lib/rancher',
    gains: "the cluster's keys and state are there (k3s, RKE2)",
    write: 0.85,
    read: 0.8,
    below: 0.5,
  },
  {
    path: '/var/log',
    gains: 'a link placed there is followed by the kubelet, which serves logs as root',
    write: 0.4,
    read: 0.15,
    below: 0.3,
  },
  { path: '/var/spool/cron', gains: 'what is written there runs as root', write: 0.8, read: 0.1, below: 0.9 },
  { path: '/root', gains: "the administrator's keys and start-up files are there", write: 0.8, read: 0.5, below: 0.8 },
  { path: '/home', gains: "people's keys and start-up files are there", write: 0.6, read: 0.4, below: 0.5 },
  {
    path: '/proc',
    gains: 'kernel.core_pattern and the processes of the node are there',
    write: 0.8,
    read: 0.4,
    below: 0.3,
  },
  { path: '/sys', gains: 'the kernel and its devices are set there', write: 0.5, read: 0.05, below: 0.3 },
  {
    path: '/sys/fs/cgroup',
    gains: 'a release_agent set there runs as root on the node (cgroup v1)',
    write: 0.6,
    read: 0.02,
    below: 0.3,
  },
  { path: '/dev', gains: "the node's disks and memory are there", write: 0.7, read: 0.4, below: 0.3 },
  { path: '/boot', gains: 'what the node boots is there', write: 0.6, read: 0.05, below: 0.5 },
  { path: '/usr', gains: 'programs that the node runs as root are there', write: 0.8, read: 0.02, below: 0.5 },
  { path: '/opt', gains: 'programs that the node may run as root are there', write: 0.5, read: 0.02, below: 0.5 },
  { path: '/bin', gains: 'programs that the node runs as root are there', write: 0.8, read: 0.02, below: 0.5 },
  { path: '/sbin', gains: 'programs that the node runs as root are there', write: 0.8, read: 0.02, below: 0.5 },
  { path: '/lib', gains: 'libraries and modules that the node loads are there', write: 0.8, read: 0.02, below: 0.5 },
]
const otherPath = { gains: 'files of the node are there', write: 0.1, read: 0.04 }

/** Capabilities that reach beyond the container, none of them among those that a runtime gives by default. */
const capabilities: Readonly<Record<string, { weight: number; gains: string }>> = {
  ALL: { weight: 0.85, gains: 'all capabilities are all of root' },
  CAP_SYS_MODULE: { weight: 0.85, gains: 'it loads kernel modules' },
  CAP_SYS_RAWIO: { weight: 0.8, gains: 'it reads and writes memory and ports of the machine' },
  CAP_SYS_ADMIN: { weight: 0.75, gains: 'it mounts file systems and more: most known escapes begin with it' },
  CAP_DAC_READ_SEARCH: { weight: 0.7, gains: 'it opens files of the node by handle (open_by_handle_at)' },
  CAP_BPF: { weight: 0.5, gains: 'it loads programs into the kernel, which see what others do' },
  CAP_MAC_ADMIN: { weight: 0.4, gains: 'it changes the mandatory access policy' },
  CAP_SYS_PTRACE: { weight: 0.3, gains: 'it reads and steers processes that it can see' },
  CAP_PERFMON: { weight: 0.3, gains: 'it traces kernel and processes' },
  CAP_SYS_BOOT: { weight: 0.3, gains: 'it restarts the machine, or boots another kernel' },
  CAP_NET_ADMIN: { weight: 0.2, gains: 'it changes addresses, routes and packet filters of its network namespace' },
  CAP_SYSLOG: { weight: 0.15, gains: "it reads the kernel's log and addresses" },
  CAP_CHECKPOINT_RESTORE: { weight: 0.15, gains: 'it reads the memory maps of processes' },
  CAP_SYS_TIME: { weight: 0.1, gains: "it sets the machine's clock" },
}

/** In a user namespace of its own, root of the pod is nobody on the node (user_namespaces(7)). */
const shareInUserNamespace = 0.2

/** The pod's reach, the worst first. */
export function nodeReachOf({ spec }: Pick<V1Pod, 'spec'>): NodeReach {
  if (!spec) return { settings: {}, exposures: [] }
  const containers = containersOf(spec)
  const privileged = containers.filter(isPrivileged)
  const added = addedCapabilities(containers)
  const mounts = hostMounts(spec, containers)
  const unconfined = containers.filter((container) => isUnconfined(container, spec))
  const exposures = [
    ...privileged.map(privilegedExposure),
    ...namespaceExposures(spec, privileged.length > 0 || added.some(({ name }) => name === 'CAP_SYS_PTRACE')),
    ...added.flatMap(capabilityExposure),
    ...mounts.map(mountExposure),
    ...(unconfined.length > 0 ? [unconfinedExposure(unconfined)] : []),
  ]
  const share = (exposure: Exposure) =>
    spec.hostUsers === false && exposure.id !== 'host-path' && exposure.id !== 'runtime-socket'
      ? { ...exposure, weight: exposure.weight * shareInUserNamespace }
      : exposure
  return {
    settings: settingsOf(spec, { privileged, added, mounts, unconfined }),
    exposures: exposures.map(share).sort((one, other) => other.weight - one.weight),
  }
}

function containersOf(spec: V1PodSpec): AnyContainer[] {
  return [
    ...spec.containers.map((one) => ({ ...one, where: `container ${one.name}` })),
    ...(spec.initContainers ?? []).map((one) => ({ ...one, where: `init container ${one.name}` })),
    ...(spec.ephemeralContainers ?? []).map((one) => ({ ...one, where: `ephemeral container ${one.name}` })),
  ]
}

const isPrivileged = ({ securityContext }: AnyContainer) =>
  securityContext?.privileged === true || securityContext?.windowsOptions?.hostProcess === true

/** The container's own word counts before the pod's; a privileged container has no filter, whatever it asks for. */
const isUnconfined = (container: AnyContainer, spec: V1PodSpec) =>
  isPrivileged(container) ||
  (container.securityContext?.seccompProfile ?? spec.securityContext?.seccompProfile)?.type === 'Unconfined'

function addedCapabilities(containers: readonly AnyContainer[]): { name: string; where: string }[] {
  return containers.flatMap(({ securityContext, where }) =>
    (securityContext?.capabilities?.add ?? []).map((name) => ({ name: capabilityName(name), where })),
  )
}

/** Written with or without the prefix, in either case; the runtimes take all of it. */
function capabilityName(name: string): string {
  const upper = name.toUpperCase()
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`
}

function hostMounts(spec: V1PodSpec, containers: readonly AnyContainer[]): HostMount[] {
  const paths = new Map((spec.volumes ?? []).flatMap(({ name, hostPath }) => (hostPath ? [[name, hostPath.path]] : [])))
  return containers.flatMap(({ volumeMounts, where }) =>
    (volumeMounts ?? []).flatMap(({ name, subPath, readOnly = false }) => {
      const path = paths.get(name)
      if (path === undefined) return []
      return [{ path: normal(subPath ? `${path}/${subPath}` : path), readOnly, setting: `volume ${name}, ${where}` }]
    }),
  )
}

const normal = (path: string) => path.replaceAll(/\/+/g, '/').replace(/(.)\/$/, '$1')

function settingsOf(
  spec: V1PodSpec,
  found: { privileged: unknown[]; added: { name: string }[]; mounts: HostMount[]; unconfined: unknown[] },
): PodSettings {
  const hostPaths = distinct(found.mounts.map(({ path, readOnly }) => (readOnly ? `${path}:ro` : path)))
  const added = distinct(found.added.map(({ name }) => name))
  return {
    ...(found.privileged.length > 0 && { privileged: true }),
    ...(spec.hostNetwork && { host_network: true }),
    ...(spec.hostPID && { host_pid: true }),
    ...(spec.hostIPC && { host_ipc: true }),
    ...(hostPaths.length > 0 && { host_paths: hostPaths }),
    ...(added.length > 0 && { capabilities: added }),
    ...(found.unconfined.length > 0 && { seccomp_unconfined: true }),
  }
}

const distinct = (values: string[]) => [...new Set(values)].sort()

const privilegedExposure = ({ where }: AnyContainer): Exposure => ({
  ...{ id: 'privileged', title: 'Take over the node', weight: 0.85, setting: `${where}: privileged` },
  why: "a privileged container has all of root's capabilities and the node's devices: it is root on the node.",
})

function namespaceExposures(spec: V1PodSpec, canTrace: boolean): Exposure[] {
  const hostPid: Exposure = canTrace
    ? {
        ...{ id: 'host-pid', title: "Enter the node's processes", weight: 0.85, setting: 'hostPID' },
        why: 'it sees all processes of the node and may trace them: it can become any of them.',
      }
    : {
        ...{ id: 'host-pid', title: "See the node's processes", weight: 0.35, setting: 'hostPID' },
        why: 'it sees the command lines of all processes of the node, and can end those of its user.',
      }
  const hostNetwork: Exposure = {
    ...{ id: 'host-network', title: "Use the node's network", weight: 0.3, setting: 'hostNetwork' },
    why: "it is in the node's network: NetworkPolicies do not hold for it, what listens on localhost does not either, and the cloud's metadata service takes it for the node.",
  }
  const hostIpc: Exposure = {
    ...{ id: 'host-ipc', title: "Use the node's shared memory", weight: 0.15, setting: 'hostIPC' },
    why: "shared memory and semaphores of the node's processes are within reach.",
  }
  return [
    ...(spec.hostPID ? [hostPid] : []),
    ...(spec.hostNetwork ? [hostNetwork] : []),
    ...(spec.hostIPC ? [hostIpc] : []),
  ]
}

function capabilityExposure({ name, where }: { name: string; where: string }): Exposure[] {
  const known = capabilities[name]
  if (!known) return []
  const title = name === 'ALL' ? 'Use all capabilities' : `Use ${name}`
  return [{ id: 'capability', title, why: `${known.gains}.`, weight: known.weight, setting: `${where}: ${name}` }]
}

function mountExposure({ path, readOnly, setting }: HostMount): Exposure {
  const how = readOnly ? 'read-only' : 'read and write'
  if (runtimeSockets.some((socket) => path.endsWith(socket)) || socketDirectories.includes(path)) {
    return {
      ...{ id: 'runtime-socket', title: 'Command the container runtime', weight: 0.85 },
      why: 'whoever can write to its socket starts any container on the node, a privileged one included.',
      setting: `${setting}: ${path}`,
    }
  }
  const { gains, weight } = worthOf(path, readOnly)
  return {
    ...{ id: 'host-path', title: `${readOnly ? 'Read' : 'Write'} ${path} of the node`, weight },
    why: `${gains}.`,
    setting: `${setting}: ${path} (${how})`,
  }
}

/** Of all that is said of the path itself, of what it contains and of what contains it, the worst. */
function worthOf(path: string, readOnly: boolean): { gains: string; weight: number } {
  const kind = readOnly ? 'read' : 'write'
  const found = hostPaths.flatMap((known) => {
    const share =
      known.path === path || isBelow(known.path, path) ? 1 : isBelow(path, known.path) ? known.below : undefined
    return share === undefined ? [] : [{ gains: known.gains, weight: known[kind] * share }]
  })
  return found.reduce((worst, one) => (one.weight > worst.weight ? one : worst), {
    gains: otherPath.gains,
    weight: otherPath[kind],
  })
}

const isBelow = (path: string, directory: string) => path.startsWith(directory === '/' ? '/' : `${directory}/`)

const unconfinedExposure = (containers: readonly AnyContainer[]): Exposure => ({
  ...{ id: 'seccomp-unconfined', title: 'Use all system calls', weight: 0.05 },
  why: 'without a seccomp filter the whole of the kernel can be attacked.',
  setting: containers.map(({ where }) => where).join(', '),
})
