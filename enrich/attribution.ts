/** What an event of one container says about it: the container, its pod and workload, and the identity it acts with. */
import type { Container, Identity, K8s } from '../sensor/event.ts'
import type { ContainerRef } from './containers.ts'
import { type Freshness, noIdentity, podNotFound, serviceAccount } from './identity.ts'
import type { Pod, PodContainer } from './pod-table.ts'

/** pod: all of it; container: one outside Kubernetes; unknown: one of a pod that was not found, or nothing at all. */
export type Result = 'pod' | 'container' | 'host' | 'unknown'

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

/**
 * `freshness` absent: there is no Kubernetes to ask. `node`: what every event of this node says of it. What is not
 * known is left out.
 */
export function attribute(
  known: { ref: ContainerRef; pod?: Pod; container?: PodContainer; freshness?: Freshness },
  node: K8s | undefined,
): Attribution {
  const { ref, pod, freshness } = known
  const k8s = k8sOf(known, node)
  return {
    container: containerFields(known),
    ...(k8s && { k8s }),
    ...(pod && freshness
      ? { identity: serviceAccount(pod.namespace, pod.serviceAccount, freshness), result: 'pod' }
      : freshness && ref.podUid
        ? { identity: podNotFound, result: 'unknown' }
        : { identity: noIdentity, result: 'container' }),
  }
}

function containerFields({ ref, container }: { ref: ContainerRef; container?: PodContainer }): Container {
  const { name, kind, image, imageId, startTime, restartCount } = container ?? {}
  const runtime = ref.runtime ?? container?.runtime
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

function k8sOf(
  { ref, pod, container }: { ref: ContainerRef; pod?: Pod; container?: PodContainer },
  node: K8s | undefined,
): K8s | undefined {
  if (!pod) {
    // The hash in a static pod's cgroup is not the UID that the API server knows the pod by.
    return ref.podUid?.includes('-') ? { ...node, pod: { uid: ref.podUid } } : node
  }
  const topmost = pod.owners.at(-1)
  return {
    ...node,
    namespace: { name: pod.namespace },
    pod: {
      name: pod.name,
      uid: pod.uid,
      ...(pod.labels && { label: pod.labels }),
      ...(pod.annotations && { annotation: pod.annotations }),
    },
    ...(container && { container: { name: container.name } }),
    ...(topmost && { owner: topmost }),
    ...Object.fromEntries(
      pod.owners.flatMap(({ kind, name }) => (ownerFields[kind] ? [[ownerFields[kind], { name }]] : [])),
    ),
  }
}
