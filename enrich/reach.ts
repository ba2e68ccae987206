/**
 * How far a pod's identity reaches: RBAC, its node, the network, put together for the pods that ask and remembered until
 * something changes that concerns them. Nothing here asks the API server: it is told of every object by whoever watches
 * or lists them.
 */
import type { V1PodSpec } from '@kubernetes/client-node'
import { LRUCache } from 'lru-cache'
import type { Identity } from '../sensor/event.ts'
import { becomingOf, type Direct } from './becoming.ts'
import { blastRadius } from './blast-radius.ts'
import { type Escalation, escalationsOf } from './escalation.ts'
import type { Labels } from './label-selector.ts'
import type { NamespaceLabels } from './network-policy.ts'
import { createNetwork, type NetworkKind, type NetworkObjects } from './network-reach.ts'
import { nodeReachOf } from './node-reach.ts'
import { type Account, type Concerned, createRbac, type Rbac, type RbacKind, type RbacObjects } from './rbac.ts'

export type ReachObjects = RbacObjects & NetworkObjects
export type ReachKind = keyof ReachObjects

export const rbacKinds: readonly RbacKind[] = ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding']
export const networkKinds: readonly NetworkKind[] = ['Service', 'EndpointSlice', 'NetworkPolicy']

/** Immutable: a change makes a new one. */
export type ReachPod = {
  uid: string
  namespace: string
  labels?: Labels
  /** Absent: a static pod, which has none. */
  serviceAccount?: string
  spec: V1PodSpec
  ips?: readonly string[]
  hostIp?: string
}

export type PodReach = Pick<Identity, 'blast_radius' | 'reach'>

export type Reach = {
  /** These are all objects of the kind; from now on it is known. */
  replace<K extends ReachKind>(kind: K, objects: readonly ReachObjects[K][]): void
  put<K extends ReachKind>(kind: K, object: ReachObjects[K]): void
  remove<K extends ReachKind>(kind: K, object: ReachObjects[K]): void
  /** It may not be read: what follows from it is not known. */
  forget(kind: ReachKind): void
  /** Labels of pods or namespaces may be others now. */
  labelsChanged(): void
  isKnown(kind: ReachKind): boolean
  /** What RBAC gives the account; undefined: not known. */
  escalationsOf(account: Account): readonly Escalation[] | undefined
  /**
   * `holdsToken`: the API server would take the pod for its account. What is not known is absent. The same object as
   * before where nothing has changed for the pod.
   */
  reachOf(pod: ReachPod, holdsToken: boolean): PodReach
  /** Another number whenever the answer of reachOf may be another, for a pod that was asked about. */
  revision(): number
  rbac: Pick<Rbac, 'accounts' | 'grantsOf' | 'counts'>
}

/** `hangsOn`: namespaces whose accounts it can become. */
type Known = { account: Account; escalations: readonly Escalation[]; hangsOn: ReadonlySet<string> }

/** RBAC's says whom a change concerns; the network's concerns all pods. */
type Store = {
  replace(kind: ReachKind, objects: readonly unknown[]): void
  put(kind: ReachKind, object: unknown): Concerned | undefined
  remove(kind: ReachKind, object: unknown): Concerned | undefined
}

const mostPods = 1_024
const mostAccounts = 32_768

export function createReach(options: {
  namespaceLabels: NamespaceLabels
  labelsOf?(namespace: string, pod: string): Labels | undefined
}): Reach {
  const rbac = createRbac()
  const network = createNetwork(options)
  const known = new Set<ReachKind>()
  const direct = new LRUCache<string, Direct & { account: Account }>({ max: mostAccounts })
  const accounts = new LRUCache<string, Known>({ max: mostAccounts })
  const pods = new LRUCache<string, { pod: ReachPod; reach: PodReach }>({ max: mostPods })
  let revision = 0

  function forgetPods(concerns: (pod: ReachPod) => boolean): void {
    let some = false
    for (const [key, { pod }] of pods) if (concerns(pod)) some = pods.delete(key) || some
    if (some) revision += 1
  }

  function forgetAccounts(whom: Concerned): void {
    if (whom === 'all') {
      direct.clear()
      accounts.clear()
      forgetPods(() => true)
      return
    }
    const names = new Set(whom.accounts.map(keyOf))
    const namespaces = new Set(whom.namespaces)
    for (const key of names) direct.delete(key)
    if (namespaces.size > 0) {
      for (const [key, { account }] of direct) if (namespaces.has(account.namespace)) direct.delete(key)
    }
    // And those that can become one of them.
    const places = new Set([...namespaces, ...whom.accounts.map(({ namespace }) => namespace)])
    const forgotten = new Set(names)
    for (const [key, { account, hangsOn }] of accounts) {
      if (!names.has(key) && !namespaces.has(account.namespace) && hangsOn.isDisjointFrom(places)) continue
      accounts.delete(key)
      forgotten.add(key)
    }
    forgetPods((pod) => {
      const account = accountOf(pod)
      return namespaces.has(pod.namespace) || (account !== undefined && forgotten.has(keyOf(account)))
    })
  }

  const isRbac = (kind: ReachKind): kind is RbacKind => (rbacKinds as readonly string[]).includes(kind)

  // That a kind and its objects belong together is checked where they come in; beyond that TypeScript can't follow.
  const storeOf = (kind: ReachKind) => (isRbac(kind) ? rbac : network) as unknown as Store

  function changed(kind: ReachKind, whom: Concerned | undefined): void {
    if (isRbac(kind)) forgetAccounts(whom ?? 'all')
    else forgetPods(() => true)
  }

  function escalations(account: Account): readonly Escalation[] | undefined {
    if (!rbacKinds.every((kind) => known.has(kind))) return undefined
    const key = keyOf(account)
    const before = accounts.get(key)
    if (before) return before.escalations
    const becoming = becomingOf(account, { direct: directly, accountsIn: rbac.accountsIn })
    const hangsOn = becoming.namespaces
    const found = [...directly(account).escalations, ...becoming.escalations]
    accounts.set(key, { account, escalations: found, hangsOn })
    return found
  }

  function directly(account: Account): Direct {
    const key = keyOf(account)
    const before = direct.get(key)
    if (before) return before
    const escalations = escalationsOf(rbac.grantsOf(account))
    const { score, paths } = blastRadius({ escalations, exposures: [], dataStores: [] })
    const found = { account, escalations, score, worst: paths?.[0]?.title ?? '' }
    direct.set(key, found)
    return found
  }

  function build(pod: ReachPod, holdsToken: boolean): PodReach {
    const node = nodeReachOf(pod)
    const account = accountOf(pod)
    const rights = holdsToken && account ? escalations(account) : []
    const network = networkOf(pod)
    const reach = {
      ...(network && network.data_stores.length > 0 && { data_stores: network.data_stores }),
      ...(network && network.control_plane.length > 0 && { control_plane: network.control_plane }),
      ...(node.exposures.length > 0 && { node: node.exposures.map(({ id, title, why }) => ({ id, title, why })) }),
    }
    return {
      ...(rights && {
        blast_radius: blastRadius({
          escalations: rights,
          exposures: node.exposures,
          dataStores: (network?.data_stores ?? []).map(({ type, name }) => `${type} ${name}`),
        }),
      }),
      ...(Object.keys(reach).length > 0 && { reach }),
    }
  }

  function networkOf({ namespace, labels = {}, ips = [], hostIp, spec }: ReachPod) {
    if (!networkKinds.every((kind) => known.has(kind))) return undefined
    const { nodeName, hostNetwork } = spec
    return network.reachOf({
      ...{ namespace, labels, ips },
      ...(hostNetwork && { hostNetwork }),
      ...(nodeName && { nodeName }),
      ...(hostIp && { hostIp }),
    })
  }

  return {
    replace(kind, objects) {
      storeOf(kind).replace(kind, objects)
      known.add(kind)
      changed(kind, 'all')
    },
    put(kind, object) {
      changed(kind, storeOf(kind).put(kind, object))
    },
    remove(kind, object) {
      changed(kind, storeOf(kind).remove(kind, object))
    },
    forget(kind) {
      if (!known.delete(kind)) return
      storeOf(kind).replace(kind, [])
      changed(kind, 'all')
    },
    labelsChanged: () => forgetPods(() => true),
    isKnown: (kind) => known.has(kind),
    escalationsOf: escalations,
    reachOf(pod, holdsToken) {
      const key = `${pod.uid} ${holdsToken}`
      const before = pods.get(key)
      if (before?.pod === pod) return before.reach
      const reach = build(pod, holdsToken)
      pods.set(key, { pod, reach })
      return reach
    },
    revision: () => revision,
    rbac,
  }
}

const keyOf = ({ namespace, name }: Account) => `${namespace}/${name}`
const accountOf = ({ namespace, serviceAccount }: ReachPod): Account | undefined =>
  serviceAccount === undefined ? undefined : { namespace, name: serviceAccount }
