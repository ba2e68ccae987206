/**
 * What there is to know of the identity of a pod beside its name: credentials, cloud roles, SPIFFE ID, who else has it.
 * Kept from watches, one for each kind; what may not be read is left out, and named.
 */
import type { V1Namespace, V1Secret, V1ServiceAccount } from '@kubernetes/client-node'
import type { ApiServer } from './api-server.ts'
import { type CloudNode, cloudNodeFrom, cloudOf } from './cloud.ts'
import { handedTo } from './container-mounts.ts'
import { credentialOf, type TokenSecret } from './credential.ts'
import type { Freshness, IdentityDetail } from './identity.ts'
import type { Log, Timing } from './list-watch.ts'
import type { Pod } from './pod-table.ts'
import { type ServiceAccount, serviceAccountFrom } from './service-account.ts'
import { createSharing } from './sharing.ts'
import { createSpiffe, type Registration, registrationFrom, type SpiffeConfig } from './spiffe.ts'
import { type WatchedObjects, watchObjects } from './watched-objects.ts'

export type Identities = {
  /** Another number whenever what `detailOf` says of any pod may be another. */
  revision(): number
  /** stale: the API server is away for one of the kinds. */
  state(): Freshness
  /** `container`: its name; absent: not known, all that any container of the pod has is told. */
  detailOf(pod: Pod, container: string | undefined): IdentityDetail
  /** Nothing more is to be expected soon. */
  settled(pod: Pod): boolean
  /** undefined: not known. */
  namespaceLabels(namespace: string): Readonly<Record<string, string>> | undefined
  /** The pods of this node changed. */
  podsChanged(pods: Pod[]): void
  close(): void
}

// All agents list these whole: not at once.
const spread = 2_000

/**
 * `tokenSecrets`: whether Secrets of type kubernetes.io/service-account-token may be watched: their metadata only, but
 * the right to that is the right to read all Secrets. `now`: Unix time in milliseconds.
 */
export function watchIdentities(options: {
  api: ApiServer
  nodeName: string
  clusterName?: string
  spiffe?: SpiffeConfig
  tokenSecrets?: boolean
  log: Log
  onChange(): void
  clock?: () => number
  now?: () => number
  timing?: Partial<Timing>
}): Identities {
  const { api, nodeName, clusterName, spiffe = {}, tokenSecrets = false, log, onChange } = options
  const { clock = () => performance.now(), now = Date.now } = options
  let revision = 0
  const changed = () => {
    revision += 1
    onChange()
  }
  const common = { api, log, clock, onChange: changed, timing: { spread, ...options.timing } }

  const accounts = watchObjects<V1ServiceAccount, ServiceAccount>({
    ...common,
    path: '/api/v1/serviceaccounts',
    what: 'serviceaccounts',
    missing: 'identities are without what their accounts say (cloud roles, automount)',
    keep: serviceAccountFrom,
  })
  const namespaces = watchObjects<V1Namespace, Record<string, string>>({
    ...common,
    path: '/api/v1/namespaces',
    metadataOnly: true,
    what: 'namespaces',
    missing: 'SPIFFE IDs that go by the labels of a namespace are absent',
    keep: ({ metadata }) => metadata?.labels ?? {},
  })
  const registrations = watchObjects<Parameters<typeof registrationFrom>[0], Registration>({
    ...common,
    path: '/apis/spire.spiffe.io/v1alpha1/clusterspiffeids',
    what: 'clusterspiffeids.spire.spiffe.io',
    missing: 'SPIFFE IDs that they register are absent',
    keep: registrationFrom,
  })
  const nodes = watchObjects<Parameters<typeof cloudNodeFrom>[0], CloudNode>({
    ...common,
    path: '/api/v1/nodes',
    query: { fieldSelector: `metadata.name=${nodeName}` },
    what: 'nodes',
    missing: "the node's own cloud role is not told",
    keep: cloudNodeFrom,
  })
  const secrets = tokenSecrets
    ? watchObjects<V1Secret, TokenSecret>({
        ...common,
        path: '/api/v1/secrets',
        query: { fieldSelector: 'type=kubernetes.io/service-account-token' },
        metadataOnly: true,
        what: 'secrets (metadata)',
        missing: 'legacy tokens are known only by their names and places',
        keep: tokenSecretFrom,
      })
    : undefined

  const watches: Record<string, WatchedObjects<unknown>> = {
    service_accounts: accounts,
    spiffe: registrations,
    namespaces,
    ...(secrets && { token_secrets: secrets }),
    node: nodes,
  }
  const all = Object.values(watches)
  /** Whether anything follows from it: where nothing does, nothing is missing. */
  const matters: Record<string, () => boolean> = {
    namespaces: () => [...registrations.all().values()].some(({ namespaceSelector }) => namespaceSelector),
  }
  const sharing = createSharing()
  const spiffeIds = createSpiffe(spiffe, clusterName, (template, problem) =>
    log.warn({ template, problem }, 'a template of SPIFFE IDs can not be used: the IDs that it gives are absent'),
  )

  const accountOf = ({ namespace, serviceAccount }: Pod) =>
    serviceAccount === undefined ? undefined : accounts.get(`${namespace}/${serviceAccount}`)

  function missing(): string[] {
    return Object.entries(watches).flatMap(([name, watch]) => {
      const known = watch.known()
      const lacks = known === 'waiting' || known === 'forbidden'
      return lacks && (matters[name]?.() ?? true) ? [name] : []
    })
  }

  return {
    revision: () => revision,
    state: () => (all.some((watch) => watch.known() === 'stale') ? 'stale' : 'live'),
    detailOf(pod, container) {
      const handed = handedTo(pod, container)
      const account = accountOf(pod)
      const tokenSecretOf = isListed(secrets) ? (name: string) => secrets.get(`${pod.namespace}/${name}`) : undefined
      const cloud = cloudOf(pod, handed, account, nodes.get(nodeName))
      const shared = sharing.othersThan(pod)
      const lacking = missing()
      return {
        credential: credentialOf(handed, pod, account, tokenSecretOf, now()),
        ...(cloud.length > 0 && { cloud }),
        ...(registrations.known() !== 'waiting' &&
          spiffeIds.idOf(pod, container, registrations.all().values(), namespaces.get(pod.namespace))),
        ...(handed.secrets.length > 0 && { secrets: handed.secrets }),
        ...(shared.length > 0 && { shared_with: shared }),
        ...(lacking.length > 0 && { missing: lacking }),
      }
    },
    settled(pod) {
      const waits = all.some((watch) => watch.known() === 'waiting')
      // A pod is admitted only when its account is there: where it isn't yet, the watch is on its way to it.
      const expected = pod.serviceAccount !== undefined && accounts.known() === 'live'
      return !waits && (!expected || accountOf(pod) !== undefined)
    },
    namespaceLabels: (namespace) => namespaces.get(namespace),
    podsChanged(pods) {
      if (sharing.replace(pods)) revision += 1
    },
    close() {
      for (const watch of all) watch.close()
    },
  }
}

/** Whether what it has is all there is, or was when the API server went away. */
function isListed<Kept>(watch: WatchedObjects<Kept> | undefined): watch is WatchedObjects<Kept> {
  return watch?.known() === 'live' || watch?.known() === 'stale'
}

function tokenSecretFrom({ metadata }: V1Secret): TokenSecret | undefined {
  const serviceAccount = metadata?.annotations?.['kubernetes.io/service-account.name']
  const created = metadata?.creationTimestamp
  return serviceAccount ? { serviceAccount, ...(created && { created: String(created) }) } : undefined
}
