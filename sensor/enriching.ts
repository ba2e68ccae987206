/** The enricher with all its sources, as the configuration has them. */
import { openApiServer } from '../enrich/api-server.ts'
import { openCgroups } from '../enrich/cgroups.ts'
import { createEnricher, type Enricher } from '../enrich/enricher.ts'
import { watchIdentities } from '../enrich/identities.ts'
import type { Kubernetes } from '../enrich/kubernetes.ts'
import type { Log } from '../enrich/list-watch.ts'
import { watchPods } from '../enrich/pods.ts'
import { watchRuntime } from '../enrich/runtime.ts'
import { openUsers } from '../enrich/users.ts'
import type { Config } from './config.ts'
import { parseDuration } from './duration.ts'
import type { Event } from './event.ts'

/** `hostUsers`: whether this machine's user database is the host's. */
export function openEnriching(options: {
  config: Config
  kubernetes: Kubernetes | undefined
  host: { name: string; kernel: string }
  hostUsers: boolean
  log: Log
  emit(event: Event): void
  onResult(result: string): void
}): Enricher {
  const { config, kubernetes, host, hostUsers, log, emit, onResult } = options
  const socket = config.cri?.socket === undefined ? 'auto' : config.cri.socket
  const waitMs = parseDuration(config.kubernetes?.maxWait ?? '')
  const onChange = () => enricher.podsChanged()

  const pods =
    kubernetes &&
    watchPods({
      ...kubernetes,
      log,
      onChange() {
        if (pods) identities?.podsChanged(pods.all())
        onChange()
      },
    })
  const api = kubernetes && openApiServer(kubernetes.kubeConfig)
  const identities =
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
  const runtime = socket === null ? undefined : watchRuntime({ socket, log, onChange })

  const enricher = createEnricher({
    cgroups: openCgroups(),
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
  return {
    ...enricher,
    close() {
      enricher.close()
      pods?.close()
      identities?.close()
      api?.close()
      runtime?.close()
    },
  }
}
