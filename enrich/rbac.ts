/**
 * The cluster's RBAC, indexed by who a binding is for: what a service account may do, where, and by which binding.
 *
 * A service account is the user system:serviceaccount:<namespace>:<name> in the groups system:serviceaccounts,
 * system:serviceaccounts:<namespace> and system:authenticated (kubernetes pkg/serviceaccount, UserInfo); bindings of
 * all four kinds count. Bindings for other users and groups are not kept.
 *
 * Rules are taken as the server shows them: of an aggregated ClusterRole its controller has written the sum of the
 * roles that it selects into the role itself, and the authorizer reads nothing else. Where it has written nothing
 * (a manifest that was never applied) the sum is made here.
 */
import type { V1ClusterRole, V1ClusterRoleBinding, V1Role, V1RoleBinding } from '@kubernetes/client-node'
import { matches, type Selector } from './label-selector.ts'
import { type AccessRequest, type PolicyRule, ruleAllows } from './rbac-rule.ts'

export type Account = { namespace: string; name: string }

/**
 * A role that an account holds. `namespace` absent: in all of them, and for what is in none. `forAll`: every service
 * account holds it, as a member of system:serviceaccounts or system:authenticated.
 */
export type Grant = { namespace?: string; role: Role; binding: string; forAll?: true }

/** Immutable: a change makes a new one. `title`: `ClusterRole edit`, `Role shop/reader`. */
export type Role = {
  title: string
  labels: Readonly<Record<string, string>>
  rules: readonly PolicyRule[]
  selectors?: readonly Selector[]
}

/** Whom a change concerns: those accounts and those whole namespaces, or everybody. */
export type Concerned = 'all' | { accounts: readonly Account[]; namespaces: readonly string[] }

export type RbacObjects = {
  Role: V1Role
  ClusterRole: V1ClusterRole
  RoleBinding: V1RoleBinding
  ClusterRoleBinding: V1ClusterRoleBinding
}
export type RbacKind = keyof RbacObjects

export type Rbac = {
  /** These are all objects of the kind. */
  replace<K extends RbacKind>(kind: K, objects: readonly RbacObjects[K][]): void
  /** A new or changed object. */
  put<K extends RbacKind>(kind: K, object: RbacObjects[K]): Concerned
  remove<K extends RbacKind>(kind: K, object: RbacObjects[K]): Concerned
  /** Every role that the account holds, cluster-wide ones first. A binding to a role that is not there gives nothing. */
  grantsOf(account: Account): Grant[]
  /** The grant that allows it, or undefined. Without a namespace: for what is in none, and for all namespaces at once. */
  allowedBy(account: Account, request: AccessRequest & { namespace?: string }): Grant | undefined
  /** The accounts that bindings name, each once. */
  accounts(): Account[]
  /** Those of one namespace. */
  accountsIn(namespace: string): ReadonlySet<Account>
  /** How many are kept. */
  counts(): { roles: number; bindings: number }
}

type Binding = { title: string; namespace?: string; role: string; holders: readonly string[] }

const everyone: ReadonlySet<string> = new Set(['group system:serviceaccounts', 'group system:authenticated'])
const userPrefix = 'system:serviceaccount:'
const groupPrefix = 'system:serviceaccounts:'

const userKey = ({ namespace, name }: Account) => `user ${userPrefix}${namespace}:${name}`
const holdersOf = (account: Account) => [userKey(account), `group ${groupPrefix}${account.namespace}`, ...everyone]

export function createRbac(): Rbac {
  const roles = new Map<string, Role>()
  const bindings = new Map<string, Binding>()
  const byHolder = new Map<string, Set<Binding>>()
  const byRole = new Map<string, Set<Binding>>()
  const summed = new Map<Role, Role>()
  const named = new Map<string, Account>()
  const byNamespace = new Map<string, Set<Account>>()
  let aggregating = 0

  function putBinding(kind: 'RoleBinding' | 'ClusterRoleBinding', object: V1RoleBinding): Concerned {
    const before = dropBinding(kind, object)
    const binding = bindingFrom(kind, object)
    if (!binding) return before
    bindings.set(keyOf(kind, object), binding)
    for (const holder of binding.holders) {
      if (!byHolder.has(holder)) nameAccount(holder)
      add(byHolder, holder, binding)
    }
    add(byRole, binding.role, binding)
    return together([before, concernedBy(binding)])
  }

  function dropBinding(kind: RbacKind, object: V1RoleBinding): Concerned {
    const key = keyOf(kind, object)
    const binding = bindings.get(key)
    if (!binding) return nobody
    bindings.delete(key)
    for (const holder of binding.holders) {
      take(byHolder, holder, binding)
      if (!byHolder.has(holder)) forgetAccount(holder)
    }
    take(byRole, binding.role, binding)
    return concernedBy(binding)
  }

  function nameAccount(holder: string): void {
    const account = accountOf(holder)
    if (!account) return
    named.set(holder, account)
    add(byNamespace, account.namespace, account)
  }

  function forgetAccount(holder: string): void {
    const account = named.get(holder)
    named.delete(holder)
    if (account) take(byNamespace, account.namespace, account)
  }

  function setRole(key: string, role: Role | undefined): Concerned {
    const before = roles.get(key)
    summed.clear()
    if (before?.selectors) aggregating -= 1
    if (role?.selectors) aggregating += 1
    if (role) roles.set(key, role)
    else roles.delete(key)
    // A role that others are made of here: which, only their selectors know.
    if (aggregating > 0 && key.startsWith('ClusterRole')) return 'all'
    return together([...(byRole.get(key) ?? [])].map(concernedBy))
  }

  /** With the rules of the roles that it selects, which may be made of others in turn. */
  function whole(role: Role): Role {
    if (!role.selectors) return role
    const known = summed.get(role)
    if (known) return known
    const parts = new Set<Role>([role])
    for (const part of parts) {
      const { selectors } = part
      if (!selectors) continue
      for (const [key, other] of roles) {
        if (key.startsWith('ClusterRole') && selectors.some((one) => matches(one, other.labels))) parts.add(other)
      }
    }
    const sum = { ...role, rules: [...parts].flatMap((part) => part.rules) }
    summed.set(role, sum)
    return sum
  }

  function grantsOf(account: Account): Grant[] {
    const grants: Grant[] = []
    for (const holder of holdersOf(account)) {
      for (const { title, namespace, role: key } of byHolder.get(holder) ?? []) {
        const role = roles.get(key)
        if (!role) continue
        grants.push({
          ...(namespace !== undefined && { namespace }),
          role: whole(role),
          binding: title,
          ...(everyone.has(holder) && { forAll: true as const }),
        })
      }
    }
    return grants.sort((one, other) => Number(one.namespace !== undefined) - Number(other.namespace !== undefined))
  }

  function putOne<K extends RbacKind>(kind: K, object: RbacObjects[K]): Concerned {
    if (kind === 'Role' || kind === 'ClusterRole') return setRole(keyOf(kind, object), roleFrom(kind, object as V1Role))
    return putBinding(kind as 'RoleBinding' | 'ClusterRoleBinding', object as V1RoleBinding)
  }

  return {
    replace(kind, objects) {
      const isRole = kind === 'Role' || kind === 'ClusterRole'
      const kept = new Set(objects.map((object) => keyOf(kind, object)))
      for (const key of (isRole ? roles : bindings).keys()) {
        if (!key.startsWith(`${kind} `) || kept.has(key)) continue
        if (isRole) setRole(key, undefined)
        else dropBinding(kind, objectOf(key))
      }
      for (const object of objects) putOne(kind, object)
    },
    put: putOne,
    remove(kind, object) {
      if (kind === 'Role' || kind === 'ClusterRole') return setRole(keyOf(kind, object), undefined)
      return dropBinding(kind, object as V1RoleBinding)
    },
    grantsOf,
    allowedBy(account, { namespace, ...request }) {
      return grantsOf(account).find(
        (grant) =>
          (grant.namespace === undefined || (grant.namespace === namespace && !('path' in request))) &&
          grant.role.rules.some((rule) => ruleAllows(rule, request)),
      )
    },
    accounts: () => [...byNamespace.values()].flatMap((accounts) => [...accounts]),
    accountsIn: (namespace) => byNamespace.get(namespace) ?? noAccounts,
    counts: () => ({ roles: roles.size, bindings: bindings.size }),
  }
}

const noAccounts: ReadonlySet<Account> = new Set()
const nobody: Concerned = { accounts: [], namespaces: [] }

function concernedBy({ holders }: Binding): Concerned {
  if (holders.some((holder) => everyone.has(holder))) return 'all'
  return {
    accounts: holders.flatMap((holder) => accountOf(holder) ?? []),
    namespaces: holders.flatMap((holder) =>
      holder.startsWith(`group ${groupPrefix}`) ? [holder.slice(`group ${groupPrefix}`.length)] : [],
    ),
  }
}

function together(parts: readonly Concerned[]): Concerned {
  const some = parts.filter((part) => part !== 'all')
  if (some.length < parts.length) return 'all'
  return {
    accounts: some.flatMap((part) => part.accounts),
    namespaces: some.flatMap((part) => part.namespaces),
  }
}

function accountOf(holder: string): Account | undefined {
  if (!holder.startsWith(`user ${userPrefix}`)) return undefined
  const [namespace, name, ...rest] = holder.slice(`user ${userPrefix}`.length).split(':')
  return namespace && name && rest.length === 0 ? { namespace, name } : undefined
}

type Named = { metadata?: { namespace?: string; name?: string } }

const keyOf = (kind: RbacKind, { metadata }: Named) =>
  kind.startsWith('Cluster') ? `${kind} ${metadata?.name}` : `${kind} ${metadata?.namespace}/${metadata?.name}`

function objectOf(key: string): V1RoleBinding & V1ClusterRoleBinding {
  const path = key.slice(key.indexOf(' ') + 1)
  const slash = key.startsWith('Cluster') ? -1 : path.indexOf('/')
  const metadata = { namespace: path.slice(0, Math.max(0, slash)), name: path.slice(slash + 1) }
  return { metadata, roleRef: { apiGroup: '', kind: '', name: '' } }
}

/** What the sensor keeps of a role. */
function roleFrom(kind: RbacKind, object: V1Role & V1ClusterRole): Role {
  const rules = (object.rules ?? []) as PolicyRule[]
  const selectors = object.aggregationRule?.clusterRoleSelectors
  return {
    title: keyOf(kind, object),
    labels: object.metadata?.labels ?? {},
    rules,
    ...(selectors && rules.length === 0 && { selectors: selectors as Selector[] }),
  }
}

/** undefined: it is for no service account, ever. */
function bindingFrom(kind: RbacKind, object: V1RoleBinding): Binding | undefined {
  const namespace = kind === 'RoleBinding' ? object.metadata?.namespace : undefined
  const holders = (object.subjects ?? []).flatMap((subject) => {
    if (subject.kind === 'ServiceAccount') {
      // Without a namespace it is of the binding's own: appliesToUser, pkg/registry/rbac/validation/rule.go.
      const its = subject.namespace || namespace
      return its ? [userKey({ namespace: its, name: subject.name })] : []
    }
    const holder = `${subject.kind.toLowerCase()} ${subject.name}`
    return holder.startsWith(`user ${userPrefix}`) || holder.startsWith(`group ${groupPrefix}`) || everyone.has(holder)
      ? [holder]
      : []
  })
  if (holders.length === 0) return undefined
  const { kind: roleKind, name } = object.roleRef
  return {
    title: keyOf(kind, object),
    ...(namespace !== undefined && { namespace }),
    role: roleKind === 'ClusterRole' ? `ClusterRole ${name}` : `Role ${namespace}/${name}`,
    holders,
  }
}

function add<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const values = map.get(key)
  if (values) values.add(value)
  else map.set(key, new Set([value]))
}

function take<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const values = map.get(key)
  values?.delete(value)
  if (values?.size === 0) map.delete(key)
}
