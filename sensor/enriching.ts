/** The enricher with all its sources, as the configuration has them. */

import { openApiServer } from '../enrich/api-server.ts'
import { attribute } from '../enrich/attribution.ts'
import { openCgroups } from '../enrich/cgroups.ts'
import { createEnricher, type Enricher } from '../enrich/enricher.ts'
import { watchIdentities } from '../enrich/identities.ts'
import type { IdentityDetail } from '../enrich/identity.ts'
import type { Kubernetes } from '../enrich/kubernetes.ts'
import type { Log } from '../enrich/list-watch.ts'
import type { Pod } from '../enrich/pod-table.ts'
import { watchPods } from '../enrich/pods.ts'
import { watchPosture } from '../enrich/posture.ts'
import { watchReach, withReach } from '../enrich/reach-watch.ts'
import { watchRuntime } from '../enrich/runtime.ts'
import { openUsers } from '../enrich/users.ts'
import type { Config } from './config.ts'
import { parseDuration } from './duration.ts'
import type { Event } from './event.ts'

const nodeOf = ({ nodeName, clusterName }: Kubernetes) => ({
  node: { name: nodeName },
  ...(clusterName && { cluster: { name: clusterName } }),
})

/** `hostUsers`: whether this machine's user database is the host's. */
export function openEnriching(options: {
  config: Config
  kubernetes: Kubernetes | undefined
  host: { name: string; kernel: string }
  hostUsers: boolean
  /** Whether /proc shows the processes by the numbers that the kernel gives them. */
  seesAll: boolean
  /** Whether cgroups of version 1 are in use, too. */
  usesVersion1: boolean
  log: Log
  emit(event: Event): void
  onResult(result: string): void
}): Enricher {
  const { config, kubernetes, host, hostUsers, seesAll, usesVersion1, log, emit, onResult } = options
  const socket = config.cri?.socket === undefined ? 'auto' : config.cri.socket
  const waitMs = parseDuration(config.kubernetes?.maxWait ?? '')
  const onChange = () => {
    enricher.podsChanged()
    posture?.changed()
  }

  const api = kubernetes && openApiServer(kubernetes.kubeConfig)
  const pods =
    api &&
    watchPods({
      api,
      nodeName: kubernetes.nodeName,
      log,
      onChange() {
        if (pods) identities?.podsChanged(pods.all())
        onChange()
      },
    })
  const named =
    api &&
    watchIdentities({
      api,
      nodeName: kubernetes.nodeName,
      ...(kubernetes.clusterName && { clusterName: kubernetes.clusterName }),
      spiffe: config.spiffe ?? {},
      tokenSecrets: config.kubernetes?.tokenSecrets ?? false,
      log,
      onChange,
    })
  const reach = api && named && watchReach({ api, namespaceLabels: named.namespaceLabels, log, onChange })
  const identities = named && reach && withReach(named, reach)
  const runtime = socket === null ? undefined : watchRuntime({ socket, log, onChange })

  const enricher = createEnricher({
    cgroups: openCgroups({ seesAll }),
    usesVersion1,
    ...(pods && { pods }),
    ...(identities && { identities }),
    ...(runtime && { runtime }),
    ...(hostUsers && { users: openUsers() }),
    host,
    ...(kubernetes && { nodeName: kubernetes.nodeName }),
    ...(kubernetes?.clusterName && { clusterName: kubernetes.clusterName }),
    ...(waitMs !== undefined && { waitMs }),
    emit,
    onResult,
  })
  const posture =
    pods &&
    reach &&
    identities &&
    watchPosture({
      pods: pods.all,
      rights: reach.rights,
      identityOf: (pod) =>
        identities.settled(pod) ? told(pod, identities.detailOf(pod, undefined)).identity : undefined,
      tell(pod, identity, finding) {
        const { k8s } = told(pod, {})
        emit({ type: 'posture', time: Date.now(), posture: finding, host, ...(k8s && { k8s }), identity })
      },
    })
  /** As an event of the pod would tell it. */
  function told(pod: Pod, detail: IdentityDetail) {
    const node = kubernetes && nodeOf(kubernetes)
    return attribute({ ref: { id: '' }, pod, freshness: pods?.state() ?? 'stale', detail }, node)
  }

  return {
    ...enricher,
    close() {
      posture?.close()
      enricher.close()
      pods?.close()
      identities?.close()
      api?.close()
      runtime?.close()
    },
  }
}
