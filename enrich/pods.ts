/** The pods of one node, followed by list and watch, with the controllers above them. */
import type { V1Pod } from '@kubernetes/client-node'
import type { ApiServer } from './api-server.ts'
import type { Freshness } from './identity.ts'
import { type Log, listWatch, type Timing } from './list-watch.ts'
import { createOwners } from './owners.ts'
import { createPodTable, type Pod, type PodContainer } from './pod-table.ts'

export type Pods = {
  /** The first list is in (or it was closed before that). Never rejects: the API server may be away for hours. */
  ready: Promise<void>
  /** stale: there has been no watch for longer than 10 seconds; what is known may be out of date. */
  state(): Freshness
  /** `podUid`: the UID in the name of the pod's cgroup; for static pods the kubelet's hash. */
  podOf(podUid: string): Pod | undefined
  containerOf(containerId: string): { pod: Pod; container: PodContainer } | undefined
  /** Without those that are deleted. */
  all(): Pod[]
  close(): void
}

/**
 * `onChange` is called after each change to any pod. Failures are logged, once until it works again, and never thrown.
 * `timing` is in milliseconds.
 */
export function watchPods(options: {
  api: ApiServer
  nodeName: string
  log: Log
  onChange(): void
  clock?: () => number
  timing?: Partial<Timing>
}): Pods {
  const { api, nodeName, log, onChange, clock = () => performance.now(), timing } = options
  const table = createPodTable(clock)
  const owners = createOwners({ api, log, clock })
  let closed = false

  // When the pod appears, so that no event has to ask. Tried again with every change of the pod and every bookmark: what
  // failed may work by now, and what is known costs nothing.
  function findOwners({ uid, namespace, controller }: Pod): void {
    if (!controller) return
    const above = owners.above(namespace, controller)
    if (Array.isArray(above)) {
      table.setOwners(uid, above)
      return
    }
    above.then((found) => {
      if (closed) return
      table.setOwners(uid, found)
      onChange()
    })
  }

  const watch = listWatch<V1Pod>({
    api,
    path: '/api/v1/pods',
    query: { fieldSelector: `spec.nodeName=${nodeName}` },
    what: 'pods',
    on: {
      replaced(objects) {
        table.replace(objects).forEach(findOwners)
        const found = { node: nodeName, pods: table.all().length }
        if (found.pods > 0) log.info(found, 'pods of this node listed')
        else log.warn(found, 'the API server has no pod on a node of this name: is kubernetes.nodeName right?')
        onChange()
      },
      changed(object) {
        const pod = table.put(object)
        if (pod) findOwners(pod)
        onChange()
      },
      removed(object) {
        table.remove(object)
        onChange()
      },
      bookmark: () => table.all().forEach(findOwners),
    },
    log,
    clock,
    timing,
  })

  return {
    ready: watch.ready,
    state: watch.state,
    podOf: table.podOf,
    containerOf: table.containerOf,
    all: table.all,
    close() {
      closed = true
      watch.close()
    },
  }
}
