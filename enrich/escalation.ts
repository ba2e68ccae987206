/** Which escalation paths the roles of an account open, how far each reaches, and by which binding. */
import { type EscalationPath, escalationPaths, type Need } from './escalation-paths.ts'
import type { Grant, Role } from './rbac.ts'
import { type PolicyRule, resourceAllowed } from './rbac-rule.ts'

export type Escalation = {
  path: EscalationPath
  /** 0 to 1: how much of the cluster is lost by it. More grants never make it less. */
  weight: number
  /** It is granted for the whole cluster. */
  everywhere: boolean
  /** Where it is granted besides, sorted. */
  namespaces: readonly string[]
  /** Those of them where it is granted for all objects. */
  wholly: readonly string[]
  /** It is granted for objects of these names alone, sorted. */
  names?: readonly string[]
  /** `ClusterRoleBinding a -> ClusterRole b`, each once. */
  grants: readonly string[]
}

/** Rights in this namespace lead to nearly all others: the control plane's own workloads and accounts are there. */
const systemNamespace = 'kube-system'
const systemShare = 0.9
/** A right on a few named objects, against the same on all. */
const namedShare = 1 / 3
const cluster = ''

/** full: on all objects, or on one whose name stands for all. */
type Hold = { full: boolean; names: readonly string[] }
type Reach = { full: boolean; names: Set<string>; grants: Set<string> }
type ByPlace = ReadonlyMap<string, Reach>

/** Of each path the sets of needs that open it. */
const needSets = escalationPaths.map(({ needs, or = [] }) => [needs, ...or])

export function escalationsOf(grants: readonly Grant[]): Escalation[] {
  const reaches = needSets.map((sets) => sets.map((needs) => needs.map(() => new Map<string, Reach>())))
  for (const { namespace, role, binding } of grants) {
    const grant = `${binding} -> ${role.title}`
    for (const { path, set, need, full, names } of holdsOf(role)) {
      const { inNamespace, within } = escalationPaths[path] ?? {}
      if (namespace !== undefined && (inNamespace === undefined || (within ?? namespace) !== namespace)) continue
      const byPlace = reaches[path]?.[set]?.[need]
      const reach = byPlace?.get(namespace ?? cluster) ?? { full: false, names: new Set(), grants: new Set() }
      byPlace?.set(namespace ?? cluster, reach)
      reach.full ||= full
      for (const name of names) reach.names.add(name)
      reach.grants.add(grant)
    }
  }
  return escalationPaths.flatMap((path, at) => combined(path, reaches[at] ?? []) ?? [])
}

/** What holds at a place is what all needs of a set have there, each by itself or for the whole cluster. */
function combined(path: EscalationPath, sets: readonly (readonly ByPlace[])[]): Escalation | undefined {
  const open = sets.filter((needs) => needs.every((places) => places.size > 0))
  const found = [...new Set(open.flat().flatMap((places) => [...places.keys()]))].flatMap((place) => {
    const parts = open
      .map((needs) =>
        needs.map((places) => [places.get(place), places.get(cluster)].filter((reach) => reach !== undefined)),
      )
      .filter((needs) => needs.every((reaches) => reaches.length > 0))
    if (parts.length === 0) return []
    const full = parts.some((needs) => needs.every((reaches) => reaches.some((reach) => reach.full)))
    // Of a path about the system's own objects only their names count: another ConfigMap there decides nothing.
    return full || path.within === undefined ? [{ place, full, reaches: parts.flat(2) }] : []
  })
  if (found.length === 0) return undefined
  const everywhere = found.find(({ place }) => place === cluster)
  const names = found.some(({ full }) => full)
    ? []
    : found.flatMap(({ reaches }) => reaches.flatMap((reach) => [...reach.names]))
  return {
    path,
    weight: weightOf(path, found),
    everywhere: everywhere !== undefined && (everywhere.full || !found.some(({ full }) => full)),
    namespaces: found.flatMap(({ place }) => (place === cluster ? [] : [place])).sort(),
    wholly: found.flatMap(({ place, full }) => (place === cluster || !full ? [] : [place])),
    ...(names.length > 0 && { names: [...new Set(names)].sort() }),
    grants: [...new Set(found.flatMap(({ reaches }) => reaches.flatMap((reach) => [...reach.grants])))],
  }
}

/**
 * Namespaces add up as independent losses do: two halves make three quarters. Never more than the right everywhere, and
 * those held on a few names together never more than those names everywhere: else a right would weigh less when it is
 * given in more places.
 */
function weightOf(path: EscalationPath, found: readonly { place: string; full: boolean }[]): number {
  const together = (weights: readonly number[]) => 1 - weights.reduce((kept, weight) => kept * (1 - weight), 1)
  const named = found.filter(({ full }) => !full).map(({ place }) => at(path, place) * namedShare)
  const full = found.filter(({ full }) => full).map(({ place }) => at(path, place))
  return Math.min(path.weight, together([...full, Math.min(path.weight * namedShare, together(named))]))
}

function at({ weight, inNamespace = 0, within }: EscalationPath, place: string): number {
  if (place === cluster) return weight
  return place === systemNamespace && within === undefined ? Math.max(inNamespace, weight * systemShare) : inNamespace
}

type NeedHold = Hold & { path: number; set: number; need: number }

const known = new WeakMap<readonly PolicyRule[], readonly NeedHold[]>()

/** What a role holds of each need: worked out once, however many bindings it has. */
function holdsOf({ rules }: Role): readonly NeedHold[] {
  const before = known.get(rules)
  if (before) return before
  const holds = needSets.flatMap((sets, path) =>
    sets.flatMap((needs, set) =>
      needs.flatMap((need, at) => {
        const hold = holdOf(rules, need)
        return hold ? [{ path, set, need: at, ...hold }] : []
      }),
    ),
  )
  known.set(rules, holds)
  return holds
}

function holdOf(rules: readonly PolicyRule[], need: Need): Hold | undefined {
  const names = new Set<string>()
  let full = false
  for (const rule of rules) {
    const given = need.on.map(split).filter(([group, resource]) => resourceAllowed(rule, group, resource))
    if (given.length === 0) continue
    const verbs = need.verbs.filter((verb) => rule.verbs.includes(verb) || rule.verbs.includes('*'))
    if (verbs.length === 0) continue
    const { resourceNames } = rule
    if (!resourceNames || resourceNames.length === 0) full = true
    else if (verbs.some((verb) => given.some(([, resource]) => hasName(verb, resource)))) {
      for (const name of resourceNames) names.add(name)
      full ||= resourceNames.some((name) => need.names?.includes(name))
    }
  }
  return full || names.size > 0 ? { full, names: [...names] } : undefined
}

/** A request to create an object, or to delete a collection, has no name: a rule with names never allows it. */
const hasName = (verb: string, resource: string) =>
  verb !== 'deletecollection' && (verb !== 'create' || resource.includes('/'))

const splits = new Map<string, readonly [group: string, resource: string]>()

/** `apps/deployments` -> apps, deployments; `pods:exec` -> '', pods/exec. */
function split(on: string): readonly [string, string] {
  const before = splits.get(on)
  if (before) return before
  const slash = on.indexOf('/')
  const parts = [on.slice(0, Math.max(0, slash)), on.slice(slash + 1).replace(':', '/')] as const
  splits.set(on, parts)
  return parts
}
