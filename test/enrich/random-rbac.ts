/**
 * Random RBAC over a small vocabulary, so that questions often have to do with roles and bindings; and a reading of it
 * that is as plain as can be: every binding is looked at for every question, nothing is indexed or remembered.
 */
import type { V1ClusterRole, V1ClusterRoleBinding, V1Role, V1RoleBinding } from '@kubernetes/client-node'
import fc from 'fast-check'
import type { Account, RbacKind, RbacObjects } from '../../enrich/rbac.ts'

export const vocabulary = {
  namespaces: ['red', 'blue'],
  accounts: ['alice', 'bob'],
  verbs: ['get', 'list', 'watch', 'create', 'update', 'delete', 'deletecollection', 'impersonate', '*'],
  groups: ['', 'apps', 'rbac.authorization.k8s.io', '*'],
  resources: [
    'pods',
    'pods/exec',
    'pods/log',
    'pods/*',
    '*/exec',
    '*/*',
    '*',
    'secrets',
    'deployments',
    'deployments/scale',
  ],
  names: ['one', 'two'],
  paths: ['/healthz', '/metrics', '/metrics/cadvisor', '/metrics/*', '/metrics*', '/*', '*', '/logs/**'],
  roles: ['r1', 'r2', 'r3'],
  labels: ['x', 'y'],
}

const some = <T>(values: readonly T[], maxLength = 2) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength })

const resourceRule = fc
  .record({
    verbs: some(vocabulary.verbs, 3),
    apiGroups: some(vocabulary.groups),
    resources: some(vocabulary.resources),
    resourceNames: fc.option(some(vocabulary.names), { nil: undefined, freq: 3 }),
  })
  .map((rule) => JSON.parse(JSON.stringify(rule)))
const pathRule = fc.record({ verbs: some(['get', 'post', '*']), nonResourceURLs: some(vocabulary.paths) })

const subject = fc.oneof(
  fc.record({
    kind: fc.constant('ServiceAccount'),
    name: fc.constantFrom(...vocabulary.accounts),
    namespace: fc.constantFrom(...vocabulary.namespaces),
  }),
  fc.record({
    kind: fc.constant('Group'),
    apiGroup: fc.constant('rbac.authorization.k8s.io'),
    name: fc.constantFrom(
      'system:serviceaccounts',
      'system:serviceaccounts:red',
      'system:authenticated',
      'system:masters',
      'people',
    ),
  }),
  fc.record({
    kind: fc.constant('User'),
    apiGroup: fc.constant('rbac.authorization.k8s.io'),
    name: fc.constantFrom('system:serviceaccount:blue:alice', 'system:serviceaccount:red:bob', 'jane'),
  }),
)

/** In a RoleBinding an account without a namespace is of the binding's own. */
const localSubject = fc
  .tuple(subject, fc.boolean())
  .map(([{ namespace, ...rest }, isLocal]: [{ kind: string; name: string; namespace?: string }, boolean]) =>
    namespace === undefined || isLocal ? rest : { ...rest, namespace },
  )

const roleRef = (kinds: readonly string[]) =>
  fc.record({
    apiGroup: fc.constant('rbac.authorization.k8s.io'),
    kind: fc.constantFrom(...kinds),
    name: fc.constantFrom(...vocabulary.roles, 'absent'),
  })

const name = fc.constantFrom(...vocabulary.roles)
const namespace = fc.constantFrom(...vocabulary.namespaces)

export const role: fc.Arbitrary<V1Role> = fc.record({
  metadata: fc.record({ name, namespace }),
  rules: fc.array(resourceRule, { maxLength: 3 }),
})
export const clusterRole: fc.Arbitrary<V1ClusterRole> = fc.record({
  metadata: fc.record({ name }),
  rules: fc.array(fc.oneof({ arbitrary: resourceRule, weight: 3 }, pathRule), { maxLength: 3 }),
})
/** Its rules are the sum of the cluster roles with the label; a controller writes them on a real server. */
export const aggregated: fc.Arbitrary<V1ClusterRole> = fc.record({
  metadata: fc.record({ name }),
  aggregationRule: fc.record({
    clusterRoleSelectors: fc.array(
      fc.record({ matchLabels: fc.record({ sum: fc.constantFrom(...vocabulary.labels) }) }),
      {
        minLength: 1,
        maxLength: 2,
      },
    ),
  }),
  rules: fc.constant([]),
})
export const labelled: fc.Arbitrary<V1ClusterRole> = fc
  .tuple(clusterRole, fc.constantFrom(...vocabulary.labels))
  .map(([one, sum]) => ({ ...one, metadata: { ...one.metadata, labels: { sum } } }))
export const roleBinding: fc.Arbitrary<V1RoleBinding> = fc.record({
  metadata: fc.record({ name: fc.constantFrom('b1', 'b2', 'b3'), namespace }),
  subjects: fc.array(localSubject, { maxLength: 3 }),
  roleRef: roleRef(['Role', 'ClusterRole']),
})
export const clusterRoleBinding: fc.Arbitrary<V1ClusterRoleBinding> = fc.record({
  metadata: fc.record({ name: fc.constantFrom('b1', 'b2', 'b3') }),
  subjects: fc.array(subject, { maxLength: 3 }),
  roleRef: roleRef(['ClusterRole']),
})

export type Objects = { [K in RbacKind]: RbacObjects[K][] }

/** As a server holds them: of one name there is one. */
export const objects: fc.Arbitrary<Objects> = fc
  .record({
    Role: fc.array(role, { maxLength: 4 }),
    ClusterRole: fc.array(fc.oneof({ arbitrary: clusterRole, weight: 2 }, aggregated, labelled), { maxLength: 4 }),
    RoleBinding: fc.array(roleBinding, { maxLength: 5 }),
    ClusterRoleBinding: fc.array(clusterRoleBinding, { maxLength: 3 }),
  })
  .map((all) => together([all]))

export const together = (several: readonly Objects[]): Objects => ({
  Role: lastOfName(several.flatMap((one) => one.Role)),
  ClusterRole: lastOfName(several.flatMap((one) => one.ClusterRole)),
  RoleBinding: lastOfName(several.flatMap((one) => one.RoleBinding)),
  ClusterRoleBinding: lastOfName(several.flatMap((one) => one.ClusterRoleBinding)),
})

const nameOf = ({ metadata }: { metadata?: { namespace?: string; name?: string } }) =>
  `${metadata?.namespace}/${metadata?.name}`
const lastOfName = <T extends { metadata?: { namespace?: string; name?: string } }>(values: T[]): T[] => [
  ...new Map(values.map((value) => [nameOf(value), value])).values(),
]

export type Question = {
  account: Account
  namespace?: string
  verb: string
  group?: string
  resource?: string
  name?: string
  path?: string
}
const account = fc.record({ namespace, name: fc.constantFrom(...vocabulary.accounts) })

export const question: fc.Arbitrary<Question> = fc
  .oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        account,
        namespace: fc.option(namespace, { nil: undefined }),
        verb: fc.constantFrom('get', 'list', 'create', 'update', 'deletecollection', 'impersonate'),
        group: fc.constantFrom('', 'apps', 'batch'),
        resource: fc.constantFrom(
          'pods',
          'pods/exec',
          'pods/log',
          'secrets',
          'deployments',
          'deployments/scale',
          'nodes/exec',
        ),
        name: fc.option(fc.constantFrom(...vocabulary.names, 'three'), { nil: undefined }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        account,
        verb: fc.constantFrom('get', 'post'),
        path: fc.constantFrom('/healthz', '/metrics', '/metrics/cadvisor', '/metricsx', '/', '/logs/', '/logs'),
      }),
    },
  )
  .map((one) => JSON.parse(JSON.stringify(one)))

/** The plain reading. */
export function naively(all: Objects, asked: Question): boolean {
  const user = `system:serviceaccount:${asked.account.namespace}:${asked.account.name}`
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${asked.account.namespace}`, 'system:authenticated']
  const bindings = [
    ...all.ClusterRoleBinding,
    ...all.RoleBinding.filter((one) => one.metadata?.namespace === asked.namespace && asked.path === undefined),
  ]
  for (const { metadata, subjects = [], roleRef } of bindings) {
    const holds = subjects.some((one) => {
      if (one.kind === 'User') return one.name === user
      if (one.kind === 'Group') return groups.includes(one.name)
      return `system:serviceaccount:${one.namespace ?? metadata?.namespace}:${one.name}` === user
    })
    if (!holds) continue
    const role =
      roleRef.kind === 'ClusterRole'
        ? all.ClusterRole.find((one) => one.metadata?.name === roleRef.name)
        : all.Role.find((one) => one.metadata?.name === roleRef.name && one.metadata.namespace === metadata?.namespace)
    if (role && rulesOf(all, role).some((rule) => allows(rule, asked))) return true
  }
  return false
}

type Rule = {
  verbs: string[]
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
}

function rulesOf(all: Objects, role: V1ClusterRole, above: V1ClusterRole[] = []): Rule[] {
  if (above.includes(role)) return []
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? []
  if (selectors.length === 0 || (role.rules ?? []).length > 0) return (role.rules ?? []) as Rule[]
  return all.ClusterRole.filter((one) =>
    selectors.some(({ matchLabels = {} }) =>
      Object.entries(matchLabels).every(([key, value]) => one.metadata?.labels?.[key] === value),
    ),
  ).flatMap((one) => rulesOf(all, one, [...above, role]))
}

function allows(rule: Rule, { verb, group = '', resource = '', name, path }: Question): boolean {
  if (!rule.verbs.some((one) => one === '*' || one === verb)) return false
  if (path !== undefined) {
    return (rule.nonResourceURLs ?? []).some((url) => {
      let prefix = url
      while (prefix.endsWith('*')) prefix = prefix.slice(0, -1)
      return url === path || (url !== prefix && path.startsWith(prefix))
    })
  }
  const [, subresource] = resource.split('/')
  return (
    (rule.apiGroups ?? []).some((one) => one === '*' || one === group) &&
    (rule.resources ?? []).some(
      (one) => one === '*' || one === resource || (subresource !== undefined && one === `*/${subresource}`),
    ) &&
    (!rule.resourceNames?.length || (name !== undefined && rule.resourceNames.includes(name)))
  )
}
