/**
 * What the container runtime knows of a container: the second source, for when the API server is away or slow. It is
 * asked only for containers that events come from and that the API server has not shown.
 */
import { LRUCache } from 'lru-cache'
import type { Cri } from './cri.ts'
import type { Answers } from './cri-messages.ts'
import type { Log } from './list-watch.ts'
import { type PodContainer, shortAnnotations } from './pod-table.ts'

/** `container` absent: it is a pod's sandbox (its pause container), which no pod's status shows. */
export type RuntimeContainer = {
  namespace: string
  pod: string
  /** Of a static pod the hash of its configuration, as in its cgroup. */
  podUid: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  container?: PodContainer
}

export type RuntimeContainers = {
  /** Asks if it isn't known yet: `onChange` is called when the answer is in. */
  containerOf(id: string): RuntimeContainer | undefined
  /** The runtime has said all that it knows of it, or can't be asked now. */
  answered(id: string): boolean
  close(): void
}

const mostKnown = 4_096
const mostAtOnce = 8
// What it doesn't know may be a container that is being made; what it can't be asked, it may be soon.
const unknownForMs = 1_000
const silentForMs = 5_000

type Known = { found?: RuntimeContainer; until: number }

/** `runtime`: the name for containers that it holds, such as containerd. */
export function createRuntimeContainers(options: {
  cri: Cri
  runtime: string
  log: Log
  onChange(): void
  clock?: () => number
}): RuntimeContainers {
  const { cri, runtime, log, onChange, clock = () => performance.now() } = options
  const known = new LRUCache<string, Known>({ max: mostKnown })
  const asked = new Set<string>()
  let silentUntil = Number.NEGATIVE_INFINITY
  let complained = false
  let closed = false

  async function ask(id: string): Promise<Known> {
    const { containers = [] } = await cri.call('ListContainers', { filter: { id } })
    const container = containers.find((one) => one.id === id)
    const sandboxId = container?.podSandboxId ?? id
    const { items = [] } = await cri.call('ListPodSandbox', { filter: { id: sandboxId } })
    const sandbox = items.find((one) => one.id === sandboxId)
    if (!sandbox) return { until: clock() + unknownForMs }
    const found = foundIn(sandbox, container && containerFrom(container, await statusOf(id), runtime))
    return found ? { found, until: Number.POSITIVE_INFINITY } : { until: clock() + unknownForMs }
  }

  /** It may have been removed since it was listed. */
  const statusOf = (id: string): Promise<Status> =>
    cri.call('ContainerStatus', { containerId: id }).then(
      ({ status }) => status,
      () => undefined,
    )

  function lookUp(id: string): void {
    asked.add(id)
    ask(id)
      .then(
        (answer) => {
          known.set(id, answer)
          if (complained) log.info({}, 'the container runtime answers again')
          complained = false
        },
        (error: Error) => {
          silentUntil = clock() + silentForMs
          if (!complained && !closed)
            log.warn(
              { reason: error.message },
              'the container runtime does not answer: containers are named by the API server alone',
            )
          complained = true
        },
      )
      .finally(() => {
        asked.delete(id)
        if (!closed) onChange()
      })
  }

  return {
    containerOf(id) {
      const answer = known.get(id)
      if (answer && clock() < answer.until) return answer.found
      if (!closed && !asked.has(id) && asked.size < mostAtOnce && clock() >= silentUntil) lookUp(id)
      return answer?.found
    },
    answered: (id) => !asked.has(id) && (known.has(id) || clock() < silentUntil),
    close() {
      closed = true
      cri.close()
    },
  }
}

type Sandbox = NonNullable<Answers['ListPodSandbox']['items']>[number]
type Listed = NonNullable<Answers['ListContainers']['containers']>[number]
type Status = Answers['ContainerStatus']['status']

/** What the kubelet adds to a pod's own labels (kubernetes pkg/kubelet/types/labels.go), and containerd to its. */
const ofKubelet = /^io\.(?:kubernetes\.(?:pod|container)\.|cri-containerd)/

function foundIn(sandbox: Sandbox, container: PodContainer | undefined): RuntimeContainer | undefined {
  const { name, namespace, uid } = sandbox.metadata ?? {}
  if (!name || !namespace || !uid) return undefined
  const labels = Object.entries(sandbox.labels ?? {}).filter(([key]) => !ofKubelet.test(key))
  return {
    namespace,
    pod: name,
    podUid: uid,
    ...(labels.length > 0 && { labels: Object.fromEntries(labels) }),
    ...shortAnnotations(sandbox.annotations),
    ...(container && { container }),
  }
}

function containerFrom(listed: Listed, status: Status, runtime: string): PodContainer {
  const { metadata, labels } = listed
  const image = named(status?.image) ?? named(listed.image)
  const imageId = status?.imageRef || listed.imageRef
  const startTime = Number(BigInt(status?.startedAt ?? 0) / 1_000_000n)
  return {
    name: metadata?.name || labels?.['io.kubernetes.container.name'] || listed.id || '',
    ...(image && { image }),
    ...(imageId && { imageId }),
    runtime,
    ...(startTime > 0 && { startTime }),
    // Absent in the message is 0.
    restartCount: metadata?.attempt ?? 0,
  }
}

/** What the pod asked for; containerd gives the id of the image as its name, where it was asked for by that. */
const named = (image: { image?: string; userSpecifiedImage?: string } | undefined) =>
  image?.userSpecifiedImage || image?.image || undefined
