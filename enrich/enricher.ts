/**
 * Puts on each event who did it: container, pod, service account, or the host's user.
 *
 * The kernel is faster than the API server. A container's first process is seen before the pod's status shows the
 * container's id, and now and then before the pod was announced at all. So an event that lacks an answer waits for it,
 * but never longer than `waitMs`, and only with the other events of its own container, whose order is kept. A
 * container that once waited in vain (the pod's pause container is in no status, ever) is not waited for again.
 *
 * What is put on events is built once for each container and shared by its events: not to be changed by who gets it.
 */
import { LRUCache } from 'lru-cache'
import type { Event, Identity, K8s } from '../sensor/event.ts'
import { type Attribution, attribute, type Result } from './attribution.ts'
import type { Cgroups } from './cgroups.ts'
import { type ContainerRef, containerOf } from './containers.ts'
import { type Freshness, hostUser, noIdentity } from './identity.ts'
import type { Pod, PodContainer } from './pod-table.ts'
import type { Pods } from './pods.ts'
import type { Users } from './users.ts'

export type Enricher = {
  /** Emits the event with what is known, at once or in at most `waitMs`. The event is changed, not copied. */
  push(event: Event, where: { cgroupId?: string; pid?: number }): void
  cgroupMade(id: string, path: string): void
  cgroupRemoved(id: string): void
  /** The pods changed: look whether what events wait for is there. */
  podsChanged(): void
  /** Emits everything that waits, now. */
  flush(): void
  /** Events that wait now, and how many went on at once because `mostWaiting` others did. */
  counts(): { waiting: number; overflowed: number }
  /** flush(); from then on nothing waits. */
  close(): void
}

type Group = {
  ref: ContainerRef
  pod?: Pod
  container?: PodContainer
  freshness?: Freshness
  fields?: Attribution
  queue: Event[]
  gaveUp: boolean
  cancel?: () => void
}

const mostContainers = 4_096
const mostUsers = 1_024

export function createEnricher(options: {
  cgroups: Pick<Cgroups, 'pathOf' | 'made' | 'removed'>
  /** Absent: no Kubernetes, nothing waits. */
  pods?: Pick<Pods, 'podOf' | 'containerOf' | 'state'>
  users?: Users
  host: { name?: string; kernel?: string }
  nodeName?: string
  clusterName?: string
  waitMs?: number
  mostWaiting?: number
  emit(event: Event): void
  onResult?(result: Result): void
  /** Runs `work` in `ms` milliseconds; what it returns cancels that. */
  after?(ms: number, work: () => void): () => void
}): Enricher {
  const { cgroups, pods, users, host, nodeName, clusterName, emit, onResult } = options
  const { waitMs = 1_500, mostWaiting = 10_000, after = afterTimeout } = options
  const node: K8s | undefined =
    nodeName === undefined
      ? undefined
      : { node: { name: nodeName }, ...(clusterName && { cluster: { name: clusterName } }) }
  const containers = new LRUCache<string, Group>({ max: mostContainers })
  const groups = new LRUCache<string, Group | 'host'>({ max: mostContainers })
  const hostIdentities = new LRUCache<string, Identity>({ max: mostUsers })
  const waitingGroups = new Set<Group>()
  let waiting = 0
  let overflowed = 0
  let closed = false

  function groupOf(path: string): Group | 'host' {
    const known = groups.get(path)
    if (known) return known
    const ref = containerOf(path)
    // Cgroups inside a container are the container's: one group, one order.
    const group = ref ? (containers.get(ref.id) ?? { ref, queue: [], gaveUp: false }) : 'host'
    if (ref && group !== 'host') containers.set(ref.id, group)
    groups.set(path, group)
    return group
  }

  /** Brings a group up to what the pods tell now. */
  function refresh(group: Group): Attribution {
    const { ref } = group
    const found = (ref.podUid && pods?.podOf(ref.podUid)) || pods?.containerOf(ref.id)?.pod
    // A pod that the API server has dropped but whose container still acts is not forgotten: just no longer current.
    const freshness: Freshness | undefined = pods && (found ? pods.state() : 'stale')
    if (group.fields && freshness === group.freshness && (!found || found === group.pod)) return group.fields
    group.pod = found ?? group.pod
    group.container = group.pod?.containers.get(ref.id) ?? group.container
    group.freshness = freshness
    group.fields = attribute(group, node)
    return group.fields
  }

  const complete = ({ pod, container }: Group) => pod?.ownersSettled === true && container !== undefined

  function send(event: Event, { container, k8s, identity, result }: Attribution): void {
    event.container = container
    if (k8s) event.k8s = k8s
    event.identity = identity
    onResult?.(result)
    emit(event)
  }

  function pushContainer(event: Event, group: Group): void {
    const fields = refresh(group)
    // A container in no pod's cgroup is Docker's or Podman's own: no pod will ever show it.
    const hopeful = pods && !closed && !group.gaveUp && group.ref.podUid !== undefined && !complete(group)
    const room = waiting < mostWaiting
    if (!hopeful || !room) {
      if (hopeful) overflowed += 1
      if (group.queue.length > 0) drain(group)
      send(event, fields)
      return
    }
    group.queue.push(event)
    waiting += 1
    if (group.queue.length > 1) return
    waitingGroups.add(group)
    group.cancel = after(waitMs, () => {
      group.gaveUp = true
      drain(group)
    })
  }

  function drain(group: Group): void {
    group.cancel?.()
    waitingGroups.delete(group)
    const events = group.queue
    group.queue = []
    waiting -= events.length
    const fields = refresh(group)
    for (const event of events) send(event, fields)
  }

  function pushHost(event: Event): void {
    const user = event.process?.user
    const name = user?.id === undefined ? undefined : users?.nameOf(user.id)
    if (event.process && name !== undefined) event.process.user = { ...user, name }
    const key = `${user?.id} ${name}`
    const identity = hostIdentities.get(key) ?? hostUser(user?.id, name)
    hostIdentities.set(key, identity)
    event.identity = identity
    if (node) event.k8s = node
    onResult?.('host')
    emit(event)
  }

  function pushUnknown(event: Event): void {
    event.identity = noIdentity
    if (node) event.k8s = node
    onResult?.('unknown')
    emit(event)
  }

  function flush(): void {
    for (const group of waitingGroups) drain(group)
  }

  return {
    push(event, where) {
      event.host = host
      if (!event.process) {
        // The sensor's own, such as a gap: nobody did it.
        if (node) event.k8s = node
        emit(event)
        return
      }
      const path = cgroups.pathOf({ ...where, startTime: event.process.start_time })
      const group = path === undefined ? 'unknown' : groupOf(path)
      if (group === 'unknown') pushUnknown(event)
      else if (group === 'host') pushHost(event)
      else pushContainer(event, group)
    },
    cgroupMade: cgroups.made,
    cgroupRemoved: cgroups.removed,
    podsChanged() {
      for (const group of waitingGroups) {
        refresh(group)
        if (complete(group)) drain(group)
      }
    },
    flush,
    counts: () => ({ waiting, overflowed }),
    close() {
      closed = true
      flush()
    },
  }
}

function afterTimeout(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms)
  return () => clearTimeout(timer)
}
