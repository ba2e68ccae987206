/**
 * Puts on each event who did it: container, pod, service account, or the host's user.
 *
 * The kernel is faster than the API server. A container's first process is seen before the pod's status shows the
 * container's id, and now and then before the pod was announced at all. So an event that lacks an answer waits for it,
 * but never longer than `waitMs`, and only with the other events of its own container, whose order is kept. A
 * container that once waited in vain (the pod's pause container is in no status, ever) is not waited for again.
 *
 * The container runtime, where it may be asked, is the second source: its answer is enough while the API server is away,
 * and it tells a pause container from one that will show up.
 *
 * What is put on events is built once for each container and shared by its events: not to be changed by who gets it.
 */
import { LRUCache } from 'lru-cache'
import type { Event, Identity, K8s } from '../sensor/event.ts'
import { type Attribution, attribute, type KnownContainer, type Result } from './attribution.ts'
import type { Cgroups } from './cgroups.ts'
import { containerOf } from './containers.ts'
import type { Identities } from './identities.ts'
import { type Freshness, hostUser, noIdentity } from './identity.ts'
import type { Pods } from './pods.ts'
import type { Runtime } from './runtime.ts'
import type { Users } from './users.ts'

/** Where a process runs. `version1`: where cgroups of v1 are in use, the path of its own, if it is known (sensor/processes.ts). */
export type Where = { cgroupId?: string | undefined; pid?: number; version1?: string | undefined }

export type Enricher = {
  /** Emits the event with what is known, at once or in at most `waitMs`. The event is changed, not copied. */
  push(event: Event, where: Where): void
  cgroupMade(id: string, path: string): void
  cgroupRemoved(id: string): void
  /** The pods, or what else is known of identities and containers, changed: look whether what events wait for is there. */
  podsChanged(): void
  /** Emits everything that waits, now. */
  flush(): void
  /** Events that wait now, and how many went on at once because `mostWaiting` others did. */
  counts(): { waiting: number; overflowed: number }
  /** flush(); from then on nothing waits. */
  close(): void
}

type Group = KnownContainer & {
  fields?: Attribution
  revision?: number
  queue: Event[]
  gaveUp: boolean
  cancel?: () => void
}

const mostContainers = 4_096
const mostUsers = 1_024

export function createEnricher(options: {
  cgroups: Pick<Cgroups, 'pathOf' | 'made' | 'removed'>
  /** Whether cgroups of v1 are in use, too. */
  usesVersion1?: boolean
  /** Absent: no Kubernetes, nothing waits. */
  pods?: Pick<Pods, 'podOf' | 'containerOf' | 'state'>
  /** What is known of the pods' identities beside their names; absent: nothing. */
  identities?: Pick<Identities, 'revision' | 'state' | 'detailOf' | 'settled'>
  runtime?: Pick<Runtime, 'containerOf' | 'answered' | 'available'>
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
  const { cgroups, pods, identities, runtime, users, host, nodeName, clusterName, emit, onResult } = options
  const { usesVersion1 = false, waitMs = 2_000, mostWaiting = 10_000, after = afterTimeout } = options
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

  /** Some runtimes make a container's cgroups in v1 alone: its cgroup in v2 is the host's, which says nothing by itself. */
  function groupAt({ cgroupId, pid, version1 }: Where, startTime: number | undefined): Group | 'host' | 'unknown' {
    const path = cgroups.pathOf(version1 === undefined ? { cgroupId, pid, startTime } : { cgroupId })
    const group = path === undefined ? 'unknown' : groupOf(path)
    if (typeof group === 'object' || !usesVersion1) return group
    return version1 === undefined ? 'unknown' : groupOf(version1)
  }

  /** Brings a group up to what is known now. */
  function refresh(group: Group): Attribution {
    const { ref } = group
    const found = (ref.podUid && pods?.podOf(ref.podUid)) || pods?.containerOf(ref.id)?.pod
    const freshness = pods && freshnessOf(found !== undefined)
    const revision = identities?.revision()
    const pod = found ?? group.pod
    const container = pod?.containers.get(ref.id) ?? group.container
    const ofRuntime = ref.podUid && !container ? runtime?.containerOf(ref.id) : group.ofRuntime
    const same =
      pod === group.pod && freshness === group.freshness && revision === group.revision && ofRuntime === group.ofRuntime
    if (group.fields && same) return group.fields
    const detail = pod && identities?.detailOf(pod, (container ?? ofRuntime?.container)?.name)
    Object.assign(group, { pod, container, freshness, revision, ofRuntime, detail })
    group.fields = attribute(group, node)
    return group.fields
  }

  // A pod that the API server has dropped but whose container still acts is not forgotten: just no longer current.
  function freshnessOf(found: boolean): Freshness {
    return found && pods?.state() === 'live' && identities?.state() !== 'stale' ? 'live' : 'stale'
  }

  /** Nothing more is to be expected for it soon. */
  function complete({ ref, pod, container, ofRuntime }: Group): boolean {
    const shown = container !== undefined || (ofRuntime !== undefined && ofRuntime.container === undefined)
    if (pod?.ownersSettled && shown && (identities?.settled(pod) ?? true)) return true
    // Without the API server the runtime's word is all there is.
    return runtime?.available() === true && pods?.state() !== 'live' && runtime.answered(ref.id)
  }

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
    const hopeful =
      (pods || runtime?.available()) && !closed && !group.gaveUp && group.ref.podUid !== undefined && !complete(group)
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

  function hostIdentityOf(id: number | undefined, name: string | undefined): Identity {
    const key = `${id} ${name}`
    const known = hostIdentities.get(key)
    if (known) return known
    const identity = hostUser(id, name)
    hostIdentities.set(key, identity)
    return identity
  }

  function pushHost(event: Event): void {
    const user = event.process?.user
    const name = user?.id === undefined ? undefined : users?.nameOf(user.id)
    // Events of one process may share what tells of it.
    if (event.process && name !== undefined && user?.name !== name) event.process.user = { ...user, name }
    event.identity = hostIdentityOf(user?.id, name)
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
      const group = groupAt(where, event.process.start_time)
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
