/**
 * The pods of this node as the sensor needs them: found by the UID in a cgroup's name and by container id. Deleted
 * ones stay for a minute, because events of their last processes come late.
 */
import type { V1ContainerStatus, V1Pod, V1PodSpec } from '@kubernetes/client-node'
import { type Controller, controllerOf, type Owner } from './owners.ts'
import { type ContainerKind, containersIn } from './pod-containers.ts'

/** Immutable: a change makes a new one. */
export type Pod = {
  uid: string
  namespace: string
  name: string
  labels?: Record<string, string>
  /** The short ones: see shortAnnotations. */
  annotations?: Record<string, string>
  /** Absent: a static pod, which has none. */
  serviceAccount?: string
  /** The direct controller, as the pod names it. */
  controller?: Controller
  /** All controllers known so far, the direct one first. */
  owners: Owner[]
  /** Nothing more will be known of the owners soon. */
  ownersSettled: boolean
  /** By container id (64 hex digits, without the runtime's `containerd://`). */
  containers: ReadonlyMap<string, PodContainer>
  /** As the API server has it. */
  spec: V1PodSpec
  ips?: string[]
  hostIp?: string
  /** Static pods only: what the kubelet uses in place of the UID. */
  configHash?: string
}

export type PodContainer = {
  name: string
  kind?: ContainerKind
  image?: string
  imageId?: string
  runtime?: string
  /** Unix time in milliseconds. */
  startTime?: number
  restartCount?: number
}

export type PodTable = {
  /** This is what there is; a pod that isn't in it is gone. */
  replace(objects: V1Pod[]): Pod[]
  put(object: V1Pod): Pod | undefined
  remove(object: V1Pod): void
  setOwners(uid: string, owners: Owner[]): void
  /** `uid`: the pod's, or a static pod's configuration hash. */
  podOf(uid: string): Pod | undefined
  containerOf(containerId: string): { pod: Pod; container: PodContainer } | undefined
  /** Without those that are deleted. */
  all(): Pod[]
}

const keepDeletedMs = 60_000

export function createPodTable(clock: () => number): PodTable {
  const pods = new Map<string, Pod>()
  const byHash = new Map<string, string>()
  const byContainer = new Map<string, string>()
  const deletedAt = new Map<string, number>()

  function store(pod: Pod): Pod {
    const previous = pods.get(pod.uid)
    for (const id of previous?.containers.keys() ?? []) if (!pod.containers.has(id)) byContainer.delete(id)
    for (const id of pod.containers.keys()) byContainer.set(id, pod.uid)
    if (pod.configHash !== undefined) byHash.set(pod.configHash, pod.uid)
    pods.set(pod.uid, pod)
    return pod
  }

  function forget(uid: string): void {
    const pod = pods.get(uid)
    deletedAt.delete(uid)
    pods.delete(uid)
    for (const id of pod?.containers.keys() ?? []) byContainer.delete(id)
    // A static pod's new mirror may carry the same hash.
    if (pod?.configHash !== undefined && byHash.get(pod.configHash) === uid) byHash.delete(pod.configHash)
  }

  function sweep(): void {
    const now = clock()
    for (const [uid, at] of deletedAt) if (now - at >= keepDeletedMs) forget(uid)
  }

  function put(object: V1Pod): Pod | undefined {
    sweep()
    const pod = podFrom(object, pods.get(object.metadata?.uid ?? ''))
    if (!pod) return undefined
    deletedAt.delete(pod.uid)
    return store(pod)
  }

  function remove(uid: string | undefined): void {
    sweep()
    if (uid !== undefined && pods.has(uid) && !deletedAt.has(uid)) deletedAt.set(uid, clock())
  }

  function kept(uid: string | undefined): Pod | undefined {
    if (uid === undefined) return undefined
    const at = deletedAt.get(uid)
    if (at !== undefined && clock() - at >= keepDeletedMs) forget(uid)
    return pods.get(uid)
  }

  return {
    replace(objects) {
      const listed = new Set(objects.map((object) => object.metadata?.uid))
      for (const uid of pods.keys()) if (!listed.has(uid)) remove(uid)
      return objects.flatMap((object) => put(object) ?? [])
    },
    put,
    remove(object) {
      // The last state of a pod may be the first that shows the id of a short-lived container.
      put(object)
      remove(object.metadata?.uid)
    },
    setOwners(uid, owners) {
      const pod = pods.get(uid)
      if (!pod || (pod.ownersSettled && sameOwners(pod.owners, owners))) return
      store({ ...pod, owners, ownersSettled: true })
    },
    podOf: (uid) => kept(uid) ?? kept(byHash.get(uid)),
    containerOf(containerId) {
      const pod = kept(byContainer.get(containerId))
      const container = pod?.containers.get(containerId)
      return pod && container && { pod, container }
    },
    all: () => [...pods.values()].filter((pod) => !deletedAt.has(pod.uid)),
  }
}

const sameOwners = (one: Owner[], other: Owner[]) =>
  one.length === other.length && one.every(({ kind, name }, at) => other[at]?.kind === kind && other[at]?.name === name)

/**
 * Admission puts `default` into a pod that names none. It leaves the mirror of a static pod as it is, and lets none name
 * one (kubernetes plugin/pkg/admission/serviceaccount/admission.go).
 */
export function serviceAccountOf({ metadata, spec }: V1Pod): string | undefined {
  const isMirror = metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined
  return spec?.serviceAccountName || (isMirror ? undefined : 'default')
}

/** What the sensor keeps of an API object. `previous`: what it kept of the same pod before. */
function podFrom(object: V1Pod, previous: Pod | undefined): Pod | undefined {
  const { uid, namespace, name, labels, annotations } = object.metadata ?? {}
  if (!uid || !namespace || !name) return undefined
  const controller = controllerOf(object)
  const serviceAccount = serviceAccountOf(object)
  const same = previous?.controller?.uid === controller?.uid ? previous : undefined
  // https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-hash
  const configHash = annotations?.['kubernetes.io/config.hash'] ?? annotations?.['kubernetes.io/config.mirror']
  return {
    uid,
    namespace,
    name,
    ...(labels && Object.keys(labels).length > 0 && { labels }),
    ...shortAnnotations(annotations),
    ...(serviceAccount && { serviceAccount }),
    ...(controller && { controller }),
    owners: same?.owners ?? (controller ? [{ kind: controller.kind, name: controller.name }] : []),
    ownersSettled: same?.ownersSettled ?? controller === undefined,
    containers: containersFrom(object, previous?.containers),
    spec: object.spec ?? { containers: [] },
    ...(object.status?.podIPs && { ips: object.status.podIPs.map(({ ip }) => ip) }),
    ...(object.status?.hostIP && { hostIp: object.status.hostIP }),
    ...(configHash && { configHash }),
  }
}

// Annotations may hold 256 KiB of anything; what rules and analysts look for is short.
const longestAnnotation = 256
const mostAnnotations = 64
const applied = 'kubectl.kubernetes.io/last-applied-configuration'

export function shortAnnotations(annotations: Record<string, string> | undefined): Pick<Pod, 'annotations'> {
  const short = Object.entries(annotations ?? {})
    .filter(([name, value]) => name !== applied && Buffer.byteLength(value) <= longestAnnotation)
    .slice(0, mostAnnotations)
  return short.length > 0 ? { annotations: Object.fromEntries(short) } : {}
}

/**
 * A container never changes: what was once known of an id stays, also when the pod's spec names another image by now.
 * The status still shows the container before a restart, in lastState; of its image it tells nothing.
 */
function containersFrom(object: V1Pod, previous: Pod['containers'] | undefined): Pod['containers'] {
  const { spec, status } = object
  const specified = containersIn(spec)
  const statuses = [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ]
  const containers = new Map<string, PodContainer>()
  for (const { name, imageID, restartCount, ...status } of statuses) {
    const { kind, image } = specified.get(name) ?? {}
    for (const { runtime, id, current, startedAt } of instancesOf(status)) {
      const startTime = startedAt === undefined ? Number.NaN : new Date(startedAt).getTime()
      const restarts = restartCount - (current ? 0 : 1)
      containers.set(id, {
        name,
        ...(kind && { kind }),
        ...(current && image && { image }),
        ...(current && imageID && { imageId: imageID }),
        ...(runtime && { runtime }),
        ...(startTime > 0 && { startTime }),
        ...(restarts >= 0 && { restartCount: restarts }),
        ...previous?.get(id),
      })
    }
  }
  return containers
}

/** `containerd://<id>` as the kubelet writes it; the current one last, so that it wins. */
function instancesOf({
  containerID,
  state,
  lastState,
}: Pick<V1ContainerStatus, 'containerID' | 'state' | 'lastState'>) {
  const before = lastState?.terminated
  const { running, terminated } = state ?? {}
  return [
    { reference: before?.containerID, startedAt: before?.startedAt, current: false },
    { reference: containerID, startedAt: running?.startedAt ?? terminated?.startedAt, current: true },
  ].flatMap(({ reference, ...instance }) => {
    const found = /^(?:([^:/]+):\/\/)?([0-9a-f]{64})$/.exec(reference ?? '')
    return found?.[2] ? [{ ...instance, runtime: found[1], id: found[2] }] : []
  })
}
