import type { V1ClusterRole, V1ClusterRoleBinding, V1Role, V1RoleBinding } from '@kubernetes/client-node'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Account, type Concerned, createRbac, type Rbac, type RbacKind } from '../../enrich/rbac.ts'
import type { PolicyRule } from '../../enrich/rbac-rule.ts'
import { naively, type Objects, objects, type Question, question } from './random-rbac.ts'
import { areRecorded, recordedJson, recordedList } from './recorded.ts'

const kinds: RbacKind[] = ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding']

function rbacOf(all: Objects): Rbac {
  const rbac = createRbac()
  for (const kind of kinds) rbac.replace(kind, all[kind])
  return rbac
}

const ask = (rbac: Rbac, { account, verb, group, resource, name, path, namespace }: Question): boolean => {
  const request =
    path !== undefined ? { verb, path } : { verb, group: group ?? '', resource: resource ?? '', ...(name && { name }) }
  return rbac.allowedBy(account, { ...request, ...(namespace && { namespace }) }) !== undefined
}

describe.skipIf(!areRecorded)("the API server's own answers (recorded)", () => {
  type Review = {
    subject: string
    namespace: string
    status: { resourceRules: PolicyRule[]; nonResourceRules: PolicyRule[] }
  }
  const reviews = areRecorded ? recordedJson<Review[]>('rules-reviews') : []
  const rbac = createRbac()
  if (areRecorded) {
    rbac.replace('Role', recordedList<V1Role>('roles'))
    rbac.replace('ClusterRole', recordedList<V1ClusterRole>('clusterroles'))
    rbac.replace('RoleBinding', recordedList<V1RoleBinding>('rolebindings'))
    rbac.replace('ClusterRoleBinding', recordedList<V1ClusterRoleBinding>('clusterrolebindings'))
  }
  const sorted = (rules: readonly PolicyRule[]) =>
    rules.map((rule) => JSON.stringify(rule, Object.keys(rule).sort())).sort()

  test.each(reviews)(
    '$subject has in $namespace exactly the rules that the server says',
    ({ subject, namespace, status }) => {
      const [, , own = '', name = ''] = subject.split(':')
      const rules = rbac
        .grantsOf({ namespace: own, name })
        .filter((grant) => grant.namespace === undefined || grant.namespace === namespace)
        .flatMap((grant) => grant.role.rules)
      expect(sorted(rules.filter((rule) => rule.resources?.length))).toEqual(sorted(status.resourceRules))
      expect(sorted(rules.filter((rule) => rule.nonResourceURLs?.length))).toEqual(sorted(status.nonResourceRules))
    },
  )

  test('there are reviews of every account of the recorded workloads', () => {
    expect(reviews.length).toBe(55)
  })
})

describe('agrees with a plain reading of RBAC', () => {
  test('whatever the roles, aggregations, bindings and questions', () => {
    fc.assert(
      fc.property(objects, fc.array(question, { minLength: 20, maxLength: 20 }), (all, questions) => {
        const rbac = rbacOf(all)
        for (const one of questions) expect([one, ask(rbac, one)]).toEqual([one, naively(all, one)])
      }),
      { numRuns: 500 },
    )
  })

  test('after any change to it; and it says whom a change concerns', () => {
    const all = fc.tuple(objects, objects, fc.array(question, { minLength: 30, maxLength: 30 }))
    fc.assert(
      fc.property(all, fc.constantFrom(...kinds), fc.boolean(), ([before, after, questions], kind, removes) => {
        const rbac = rbacOf(before)
        const answers = questions.map((one) => ask(rbac, one))
        const now: Objects = structuredClone(before)
        const concerned: Concerned[] = []
        for (const object of removes ? before[kind] : after[kind]) {
          concerned.push(removes ? rbac.remove(kind, object) : rbac.put(kind, object))
          const others = now[kind].filter((one) => JSON.stringify(nameOf(one)) !== JSON.stringify(nameOf(object)))
          Object.assign(now, { [kind]: removes ? others : [...others, object] })
        }
        for (const [at, one] of questions.entries()) {
          expect([one, ask(rbac, one)]).toEqual([one, naively(now, one)])
          if (ask(rbac, one) !== answers[at]) expect(concerned.some((whom) => concerns(whom, one.account))).toBe(true)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('after a list that has nothing of the one before', () => {
    fc.assert(
      fc.property(
        objects,
        objects,
        fc.array(question, { minLength: 20, maxLength: 20 }),
        (before, after, questions) => {
          const rbac = rbacOf(before)
          for (const kind of kinds) rbac.replace(kind, after[kind])
          for (const one of questions) expect([one, ask(rbac, one)]).toEqual([one, naively(after, one)])
        },
      ),
    )
  })
})

const nameOf = ({ metadata }: { metadata?: { namespace?: string; name?: string } }) => [
  metadata?.namespace,
  metadata?.name,
]
const concerns = (whom: Concerned, account: Account) =>
  whom === 'all' ||
  whom.namespaces.includes(account.namespace) ||
  whom.accounts.some(({ namespace, name }) => namespace === account.namespace && name === account.name)

describe('what is easily got wrong', () => {
  const account = { namespace: 'shop', name: 'cart' }
  const bound = (rule: PolicyRule, namespace?: string): Rbac => {
    const rbac = createRbac()
    rbac.put('ClusterRole', { metadata: { name: 'r' }, rules: [rule as never] })
    const binding = {
      metadata: { name: 'b', ...(namespace && { namespace }) },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'r' },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    }
    if (namespace) rbac.put('RoleBinding', binding)
    else rbac.put('ClusterRoleBinding', binding)
    return rbac
  }
  const core = (verb: string, resource: string, more: object = {}) => ({
    verb,
    group: '',
    resource,
    namespace: 'shop',
    ...more,
  })

  test.each<[string, PolicyRule, ReturnType<typeof core>, boolean]>([
    [
      'pods does not cover pods/exec',
      { verbs: ['*'], apiGroups: [''], resources: ['pods'] },
      core('create', 'pods/exec'),
      false,
    ],
    [
      'pods/* is no wildcard',
      { verbs: ['*'], apiGroups: [''], resources: ['pods/*'] },
      core('create', 'pods/exec'),
      false,
    ],
    [
      '*/exec covers pods/exec',
      { verbs: ['*'], apiGroups: [''], resources: ['*/exec'] },
      core('create', 'pods/exec'),
      true,
    ],
    [
      '*/exec does not cover pods',
      { verbs: ['*'], apiGroups: [''], resources: ['*/exec'] },
      core('get', 'pods'),
      false,
    ],
    ['*/* covers nothing', { verbs: ['*'], apiGroups: [''], resources: ['*/*'] }, core('create', 'pods/exec'), false],
    [
      'the group * covers the core group',
      { verbs: ['get'], apiGroups: ['*'], resources: ['pods'] },
      core('get', 'pods'),
      true,
    ],
    [
      'a list has no name',
      { verbs: ['list'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] },
      core('list', 'secrets'),
      false,
    ],
    [
      'a list by the field metadata.name has one',
      { verbs: ['list'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] },
      core('list', 'secrets', { name: 'a' }),
      true,
    ],
    [
      'an empty list of names names all',
      { verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: [] },
      core('get', 'pods', { name: 'x' }),
      true,
    ],
    [
      'verbs are told apart by case',
      { verbs: ['GET'], apiGroups: [''], resources: ['pods'] },
      core('get', 'pods'),
      false,
    ],
  ])('%s', (_, rule, request, allowed) => {
    expect(bound(rule).allowedBy(account, request) !== undefined).toBe(allowed)
  })

  test('an account that a RoleBinding names without a namespace is of its own', () => {
    const rbac = createRbac()
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }]
    rbac.put('ClusterRole', { metadata: { name: 'reader' }, rules })
    rbac.put('RoleBinding', {
      metadata: { name: 'b', namespace: 'shop' },
      subjects: [{ kind: 'ServiceAccount', name: 'cart' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' },
    })
    expect(rbac.allowedBy(account, { ...core('get', 'pods'), namespace: 'shop' })?.binding).toBe('RoleBinding shop/b')
    expect([...rbac.accountsIn('shop')]).toEqual([account])
  })

  test('a RoleBinding to a ClusterRole gives its rights in its namespace, and no paths at all', () => {
    const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], nonResourceURLs: ['*'] }
    const inShop = bound(everything, 'shop')
    expect(inShop.allowedBy(account, core('get', 'pods'))?.binding).toBe('RoleBinding shop/b')
    expect(inShop.allowedBy(account, { ...core('get', 'pods'), namespace: 'other' })).toBeUndefined()
    expect(inShop.allowedBy(account, { verb: 'get', group: '', resource: 'nodes' })).toBeUndefined()
    expect(inShop.allowedBy(account, { verb: 'get', path: '/metrics', namespace: 'shop' })).toBeUndefined()
    expect(bound(everything).allowedBy(account, { verb: 'get', path: '/metrics' })?.role.title).toBe('ClusterRole r')
  })

  test('a role that becomes part of an aggregated one concerns everybody, as nobody knows who holds that', () => {
    const rbac = bound({ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'shop')
    const part = { metadata: { name: 'part', labels: { sum: 'x' } }, rules: [] }
    expect(rbac.put('ClusterRole', part)).not.toBe('all')
    const selectors = { clusterRoleSelectors: [{ matchLabels: { sum: 'x' } }] }
    rbac.put('ClusterRole', { metadata: { name: 'sum' }, aggregationRule: selectors, rules: [] })
    expect(rbac.put('ClusterRole', part)).toBe('all')
  })
})
