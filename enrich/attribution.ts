/** What an event of one container says about it: the container, its pod and workload, and the identity it acts with. */
import type { Container, Identity, K8s } from '../sensor/event.ts'
import type { ContainerRef } from './containers.ts'
import type { RuntimeContainer } from './cri-containers.ts'
import {
  type Freshness,
  type IdentityDetail,
  noIdentity,
  podNotFound,
  podOfRuntime,
  serviceAccount,
  staticPod,
} from './identity.ts'
import { nodeReachOf } from './node-reach.ts'
import type { Pod, PodContainer } from './pod-table.ts'

/**
 * pod: all of it; runtime: a pod that only the container runtime knew; container: one outside Kubernetes; unknown: one of
 * a pod that was not found, or nothing at all.
 */
export type Result = 'pod' | 'runtime' | 'container' | 'host' | 'unknown'

export type Attribution = { container: Container; k8s?: K8s; identity: Identity; result: Result }

/** The kinds of controllers that have a field of their own (OpenTelemetry's k8s.* names). */
const ownerFields: Record<string, keyof K8s> = {
  Deployment: 'deployment',
  ReplicaSet: 'replicaset',
  StatefulSet: 'statefulset',
  DaemonSet: 'daemonset',
  Job: 'job',
  CronJob: 'cronjob',
}

/** What is known of a container. `freshness` absent: there is no Kubernetes to ask. */
export type KnownContainer = {
  ref: ContainerRef
  pod?: Pod
  container?: PodContainer
  freshness?: Freshness
  detail?: IdentityDetail
  /** What its runtime says of it; asked only where the API server has not shown it. */
  ofRuntime?: RuntimeContainer
}

/** `node`: what every event of this node says of it. What is not known is left out. */
export function attribute(known: KnownContainer, node: K8s | undefined): Attribution {
  const { ref, pod, freshness, detail, ofRuntime } = known
  const k8s = k8sOf(known, node)
  return {
    container: containerFields(known),
    ...(k8s && { k8s }),
    ...(pod && freshness
      ? { identity: podIdentity(pod, freshness, detail), result: 'pod' }
      : ofRuntime
        ? { identity: podOfRuntime, result: 'runtime' }
        : freshness && ref.podUid
          ? { identity: podNotFound, result: 'unknown' }
          : { identity: noIdentity, result: 'container' }),
  }
}

const podIdentity = (pod: Pod, freshness: Freshness, detail: IdentityDetail | undefined): Identity =>
  pod.serviceAccount === undefined
    ? staticPod(freshness, detail)
    : serviceAccount(pod.namespace, pod.serviceAccount, freshness, detail)

function containerFields({ ref, container, ofRuntime }: KnownContainer): Container {
  const { name, kind, image, imageId, startTime, restartCount } = container ?? ofRuntime?.container ?? {}
  const runtime = ref.runtime ?? (container ?? ofRuntime?.container)?.runtime
  // A local image has no manifest: its id is the digest of its configuration, alone.
  const digest = imageId && /@(sha\d+:[0-9a-f]+)$/.exec(imageId)?.[1]
  return {
    id: ref.id,
    ...(name && { name }),
    ...(runtime && { runtime }),
    ...((image || imageId) && {
      image: { ...(image && { name: image }), ...(imageId && { id: imageId }), ...(digest && { digest }) },
    }),
    ...(kind && { kind }),
    ...(startTime !== undefined && { start_time: startTime }),
    ...(restartCount !== undefined && { restart_count: restartCount }),
  }
}

function k8sOf(known: KnownContainer, node: K8s | undefined): K8s | undefined {
  const { ref, pod, container, ofRuntime } = known
  if (!pod && ofRuntime) return k8sOfRuntime(ofRuntime, node)
  // The hash in a static pod's cgroup is not the UID that the API server knows the pod by.
  if (!pod) return ref.podUid && isUid(ref.podUid) ? { ...node, pod: { uid: ref.podUid } } : node
  const topmost = pod.owners.at(-1)
  const name = (container ?? ofRuntime?.container)?.name
  return {
    ...node,
    namespace: { name: pod.namespace },
    pod: {
      name: pod.name,
      uid: pod.uid,
      ...(pod.labels && { label: pod.labels }),
      ...(pod.annotations && { annotation: pod.annotations }),
      ...nodeReachOf(pod).settings,
    },
    ...(name && { container: { name } }),
    ...(topmost && { owner: topmost }),
    ...Object.fromEntries(
      pod.owners.flatMap(({ kind, name }) => (ownerFields[kind] ? [[ownerFields[kind], { name }]] : [])),
    ),
  }
}

function k8sOfRuntime(
  { namespace, pod, podUid, labels, annotations, container }: RuntimeContainer,
  node: K8s | undefined,
): K8s {
  return {
    ...node,
    namespace: { name: namespace },
    pod: {
      name: pod,
      ...(isUid(podUid) && { uid: podUid }),
      ...(labels && { label: labels }),
      ...(annotations && { annotation: annotations }),
    },
    ...(container && { container: { name: container.name } }),
  }
}

const isUid = (podUid: string) => podUid.includes('-')
