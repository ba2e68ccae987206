import type { V1ClusterRoleBinding, V1PolicyRule, V1RoleBinding } from '@kubernetes/client-node'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createReach, networkKinds, type Reach, type ReachPod, rbacKinds } from '../../enrich/reach.ts'
import { clusterRoleBinding, type Objects, objects, roleBinding, vocabulary } from './random-rbac.ts'

function reachFrom(all: Objects): Reach {
  const reach = createReach({ namespaceLabels: () => ({}) })
  for (const kind of rbacKinds) reach.replace(kind, all[kind] as never)
  for (const kind of networkKinds) reach.replace(kind, [])
  return reach
}

const accounts = vocabulary.namespaces.flatMap((namespace) => vocabulary.accounts.map((name) => ({ namespace, name })))
const pods: ReachPod[] = accounts.map(({ namespace, name }) => ({
  ...{ uid: `${namespace}-${name}`, namespace, serviceAccount: name },
  spec: { containers: [{ name: 'app' }] },
}))
const scores = (reach: Reach) => pods.map((pod) => reach.reachOf(pod, true).blast_radius?.score ?? Number.NaN)

/** Roles that lead somewhere: to Secrets, into pods, to other accounts. */
const telling = objects.map((all): Objects => {
  const rules: V1PolicyRule[] = [
    { verbs: ['create'], apiGroups: [''], resources: ['pods/exec'] },
    { verbs: ['get'], apiGroups: [''], resources: ['secrets'] },
    { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  ]
  const roles = vocabulary.roles.map((name, at) => ({ metadata: { name }, rules: rules.slice(at, at + 1) }))
  return {
    ...all,
    ClusterRole: roles,
    Role: vocabulary.namespaces.flatMap((namespace) =>
      roles.map(({ metadata, rules }) => ({ metadata: { ...metadata, namespace }, rules })),
    ),
  }
})

describe('what is remembered is what would be found anew', () => {
  test('after any change of a role or a binding', () => {
    fc.assert(
      fc.property(telling, telling, fc.constantFrom(...rbacKinds), fc.boolean(), (before, after, kind, removes) => {
        const reach = reachFrom(before)
        scores(reach)
        const now: Objects = structuredClone(before)
        for (const object of (removes ? before : after)[kind]) {
          const revision = reach.revision()
          const earlier = scores(reach)
          if (removes) reach.remove(kind, object as never)
          else reach.put(kind, object as never)
          const others = now[kind].filter(
            ({ metadata }) => JSON.stringify(metadata) !== JSON.stringify(object.metadata),
          )
          Object.assign(now, { [kind]: removes ? others : [...others, object] })
          expect(scores(reach)).toEqual(scores(reachFrom(now)))
          if (reach.revision() === revision) expect(scores(reach)).toEqual(earlier)
        }
      }),
      { numRuns: 100 },
    )
  })

  test('and one more binding never lowers the score of anybody', () => {
    fc.assert(
      fc.property(telling, fc.oneof(roleBinding, clusterRoleBinding), (all, binding) => {
        const reach = reachFrom(all)
        const before = scores(reach)
        const named = { ...binding, metadata: { ...binding.metadata, name: 'one-more' } }
        if (named.metadata.namespace) reach.put('RoleBinding', named)
        else reach.put('ClusterRoleBinding', named)
        for (const [at, score] of scores(reach).entries()) expect(score).toBeGreaterThanOrEqual(before[at] ?? 0)
      }),
      { numRuns: 200 },
    )
  })
})

describe('an account reaches as far as those that it can become', () => {
  const roleRef = (name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name })
  const subject = (namespace: string, name: string) => ({ kind: 'ServiceAccount', namespace, name })
  const bound = (namespace: string, role: string, account: { namespace: string; name: string }): V1RoleBinding => ({
    metadata: { namespace, name: `${role}-${account.name}` },
    roleRef: roleRef(role),
    subjects: [subject(account.namespace, account.name)],
  })
  const everywhere = (role: string, account: { namespace: string; name: string }): V1ClusterRoleBinding => ({
    metadata: { name: `${role}-${account.name}` },
    roleRef: roleRef(role),
    subjects: [subject(account.namespace, account.name)],
  })
  const [alice, bob, cleo] = ['alice', 'bob', 'cleo'].map((name, at) => ({
    namespace: ['red', 'blue', 'green'][at] ?? '',
    name,
  }))
  if (!alice || !bob || !cleo) throw new Error('three accounts')

  const clusterRoles = [
    { metadata: { name: 'exec' }, rules: [{ verbs: ['create'], apiGroups: [''], resources: ['pods/exec'] }] },
    {
      metadata: { name: 'named' },
      rules: [{ verbs: ['create'], apiGroups: [''], resources: ['pods/exec'], resourceNames: ['x'] }],
    },
    { metadata: { name: 'root' }, rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] },
  ]
  const made = (RoleBinding: V1RoleBinding[], ClusterRoleBinding: V1ClusterRoleBinding[] = []) =>
    reachFrom({ Role: [], ClusterRole: clusterRoles, RoleBinding, ClusterRoleBinding })
  const becomes = (reach: Reach, account = alice) =>
    reach.escalationsOf(account)?.find(({ path }) => path.id === 'become-account')

  test('by a shell in their pods, and says by which', () => {
    const reach = made([bound('blue', 'exec', alice)], [everywhere('root', bob)])
    expect(becomes(reach)).toMatchObject({
      path: {
        title: 'Become blue/bob',
        why: 'by way of "Run commands in pods" it can act as blue/bob, whose rights make 100 of 100 ("Do anything").',
      },
      weight: 0.9,
      namespaces: ['blue'],
      grants: ['RoleBinding blue/exec-alice -> ClusterRole exec'],
    })
  })

  test('and by theirs to others', () => {
    const reach = made([bound('blue', 'exec', alice), bound('green', 'exec', bob)], [everywhere('root', cleo)])
    expect(becomes(reach)).toMatchObject({ path: { title: 'Become green/cleo' }, namespaces: ['blue'] })
  })

  test('round in a circle, too', () => {
    const reach = made([bound('blue', 'exec', alice), bound('red', 'exec', bob)])
    expect(becomes(reach)).toMatchObject({ path: { title: 'Become blue/bob' } })
    expect(becomes(reach, bob)).toMatchObject({ path: { title: 'Become red/alice' } })
  })

  test('not where nobody with rights is, nor itself, nor by a shell in named pods alone', () => {
    expect(becomes(made([bound('blue', 'exec', alice)], [everywhere('root', cleo)]))).toBeUndefined()
    expect(becomes(made([bound('red', 'exec', alice)]))).toBeUndefined()
    expect(becomes(made([bound('blue', 'named', alice)], [everywhere('root', bob)]))).toBeUndefined()
  })
})
