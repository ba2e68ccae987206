/**
 * How far the pods of this node reach, kept current by watches: one for each kind, of which the least is kept. What may
 * not be read leaves out what follows from it, and is named; everything else goes on.
 */
import type { ApiServer } from './api-server.ts'
import type { Identities } from './identities.ts'
import type { Freshness } from './identity.ts'
import type { Labels } from './label-selector.ts'
import { type ListWatch, type Log, listWatch, type Timing } from './list-watch.ts'
import type { Pod } from './pod-table.ts'
import type { Rights } from './posture.ts'
import { createReach, networkKinds, type PodReach, type ReachKind, type ReachObjects, rbacKinds } from './reach.ts'

export type WatchedReach = {
  reachOf(pod: Pod, holdsToken: boolean): PodReach
  /** Of an account, whatever pods it has. */
  rights: Rights
  /** What could not be looked up, or not yet: rbac, network. */
  missing(): string[]
  /** Another number whenever an answer may be another. */
  revision(): number
  /** stale: the API server is away for one of the kinds. */
  state(): Freshness
  /** Nothing more is to be expected soon. */
  settled(): boolean
  /** The pods of this node. */
  podsChanged(pods: readonly Pod[]): void
  close(): void
}

const paths: Readonly<Record<ReachKind, string>> = {
  Role: '/apis/rbac.authorization.k8s.io/v1/roles',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  RoleBinding: '/apis/rbac.authorization.k8s.io/v1/rolebindings',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  Service: '/api/v1/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/endpointslices',
  NetworkPolicy: '/apis/networking.k8s.io/v1/networkpolicies',
}
const parts: Readonly<Record<string, { kinds: readonly ReachKind[]; optional: string }>> = {
  rbac: { kinds: rbacKinds, optional: 'identity.blast_radius is absent for pods that hold a token' },
  network: { kinds: networkKinds, optional: 'identity.reach is without data stores and control plane' },
}

// All agents list these whole: not at once.
const spread = 1_500

export function watchReach(options: {
  api: ApiServer
  namespaceLabels(namespace: string): Labels | undefined
  log: Log
  onChange(): void
  clock?: () => number
  timing?: Partial<Timing>
}): WatchedReach {
  const { api, namespaceLabels, log, onChange, clock = () => performance.now() } = options
  const timing = { spread, ...options.timing }
  let labels = new Map<string, Labels>()
  let written = ''
  let knowledge = 0
  const reach = createReach({ namespaceLabels, labelsOf: (namespace, pod) => labels.get(`${namespace}/${pod}`) })

  const watches = new Map<ReachKind, ListWatch>()
  for (const { kinds, optional } of Object.values(parts)) {
    for (const kind of kinds) watches.set(kind, watch(kind, optional))
  }

  function watch<K extends ReachKind>(kind: K, optional: string): ListWatch {
    // Those who wait for the first answer have to hear of it, whether or not it changes one.
    const told = (work: () => void) => {
      const before = reach.revision()
      const known = reach.isKnown(kind)
      work()
      if (known !== reach.isKnown(kind)) knowledge += 1
      if (known !== reach.isKnown(kind) || before !== reach.revision()) onChange()
    }
    return listWatch<ReachObjects[K]>({
      ...{ api, path: paths[kind], what: `${kind.toLowerCase().replace(/y$/, 'ie')}s`, optional, log, clock, timing },
      on: {
        replaced: (objects) => told(() => reach.replace(kind, objects)),
        changed: (object) => told(() => reach.put(kind, object)),
        removed: (object) => told(() => reach.remove(kind, object)),
        refused() {
          told(() => reach.forget(kind))
          onChange()
        },
      },
    })
  }

  return {
    reachOf: reach.reachOf,
    rights: {
      grantsOf: (account) => (rbacKinds.every(reach.isKnown) ? reach.rbac.grantsOf(account) : undefined),
      escalationsOf: reach.escalationsOf,
    },
    missing: () =>
      Object.entries(parts).flatMap(([name, { kinds }]) => (kinds.every((kind) => reach.isKnown(kind)) ? [] : [name])),
    revision: () => reach.revision() + knowledge,
    state: () =>
      [...watches].some(([kind, one]) => reach.isKnown(kind) && one.state() === 'stale') ? 'stale' : 'live',
    settled: () => [...watches].every(([kind, one]) => reach.isKnown(kind) || one.refused() !== undefined),
    podsChanged(pods) {
      const now = JSON.stringify(pods.map(({ namespace, name, labels }) => [`${namespace}/${name}`, labels]))
      if (now === written) return
      written = now
      labels = new Map(pods.map(({ namespace, name, labels = {} }) => [`${namespace}/${name}`, labels]))
      reach.labelsChanged()
    },
    close() {
      for (const one of watches.values()) one.close()
    },
  }
}

/** The identities with their reach: what the enricher asks for is both. */
export function withReach(identities: Identities, reach: WatchedReach): Identities {
  return {
    ...identities,
    revision: () => identities.revision() + reach.revision(),
    state: () => (reach.state() === 'stale' ? 'stale' : identities.state()),
    settled: (pod) => reach.settled() && identities.settled(pod),
    detailOf(pod, container) {
      const detail = identities.detailOf(pod, container)
      const missing = [...(detail.missing ?? []), ...reach.missing()]
      return {
        ...detail,
        ...reach.reachOf(pod, mayHoldToken(detail)),
        ...(missing.length > 0 && { missing }),
      }
    },
    podsChanged(pods) {
      identities.podsChanged(pods)
      reach.podsChanged(pods)
    },
    close() {
      identities.close()
      reach.close()
    },
  }
}

/** Of a Secret only its contents could tell for sure that it is no token. */
const mayHoldToken = ({ credential, secrets = [] }: ReturnType<Identities['detailOf']>): boolean =>
  credential?.api_server !== false || secrets.some(({ via }) => via !== 'image_pull')
