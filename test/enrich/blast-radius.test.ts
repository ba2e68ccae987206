import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { V1ClusterRole, V1RoleBinding } from '@kubernetes/client-node'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blastRadius, levelOf, levels } from '../../enrich/blast-radius.ts'
import { escalationsOf } from '../../enrich/escalation.ts'
import { escalationPaths, families, type Need } from '../../enrich/escalation-paths.ts'
import { nodeReachOf } from '../../enrich/node-reach.ts'
import { createRbac, type Grant } from '../../enrich/rbac.ts'
import type { PolicyRule } from '../../enrich/rbac-rule.ts'
import { areRecorded, recordedList } from './recorded.ts'

const account = { namespace: 'shop', name: 'cart' }

const grant = (rules: readonly PolicyRule[], namespace?: string, binding = 'b'): Grant => ({
  role: { title: 'ClusterRole r', labels: {}, rules },
  binding: namespace ? `RoleBinding ${namespace}/${binding}` : `ClusterRoleBinding ${binding}`,
  ...(namespace && { namespace }),
})

const ids = (grants: readonly Grant[]) => escalationsOf(grants).map(({ path }) => path.id)
const scoreOf = (grants: readonly Grant[]) =>
  blastRadius({ escalations: escalationsOf(grants), exposures: [], dataStores: [] }).score

/** The least rule that satisfies a need: its first verb on its first resource. */
function least({ verbs, on }: Need): PolicyRule {
  const [group = '', resource = ''] = (on[0] ?? '').includes('/') ? (on[0] ?? '').split('/') : ['', on[0]]
  return { verbs: verbs.slice(0, 1), apiGroups: [group], resources: [resource.replace(':', '/')] }
}

describe('the table of escalation paths', () => {
  test('names each path once, with weights that are shares and a reason', () => {
    expect(new Set(escalationPaths.map(({ id }) => id)).size).toBe(escalationPaths.length)
    for (const { id, weight, inNamespace = 0, why, family, needs } of escalationPaths) {
      expect(weight, id).toBeGreaterThan(0)
      expect(weight, id).toBeLessThanOrEqual(1)
      expect(inNamespace, id).toBeLessThanOrEqual(weight)
      expect(why, id).toMatch(/[^.]\.$/)
      expect(families, id).toContain(family)
      expect(needs.length, id).toBeGreaterThan(0)
    }
  })

  test.each(escalationPaths.map((path) => [path.id, path] as const))(
    '%s is found by the least right that opens it, and by every one of its verbs and resources',
    (id, path) => {
      expect(ids([grant(path.needs.map(least), undefined)])).toContain(id)
      for (const [at, need] of path.needs.entries()) {
        const others = path.needs.filter((_, index) => index !== at).map(least)
        for (const verb of need.verbs) {
          for (const on of need.on) {
            const rules = [...others, least({ ...need, verbs: [verb], on: [on] })]
            expect(ids([grant(rules)]), `${verb} ${on}`).toContain(id)
          }
        }
        if (path.needs.length > 1) expect(ids([grant(others)])).not.toContain(id)
      }
      expect(ids([grant(path.needs.map((need) => ({ ...least(need), apiGroups: ['example.com'] })))])).not.toContain(id)
    },
  )

  test.each(escalationPaths.map((path) => [path.id, path] as const))(
    '%s in one namespace counts only if there it means something',
    (id, path) => {
      const found = ids([grant(path.needs.map(least), path.within ?? 'shop')]).includes(id)
      expect(found).toBe(path.inNamespace !== undefined)
      if (path.within) expect(ids([grant(path.needs.map(least), 'shop')])).not.toContain(id)
    },
  )
})

test('the table in the documentation is the table', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/blast-radius.md'), 'utf8')
  const documented = page.split('\n').filter((line) => /^\| `[a-z-]+` \|.*\|.*\|.*\| .*\|$/.test(line))
  const rows = escalationPaths.map(
    ({ id, title, within, family, weight, inNamespace = '' }) =>
      `| \`${id}\` | ${title}${within ? ` (${within})` : ''} | ${family} | ${weight} | ${inNamespace} |`,
  )
  expect(documented).toEqual(rows)
})

describe('rights are told', () => {
  const read: PolicyRule = { verbs: ['get'], apiGroups: [''], resources: ['secrets'] }

  test('with the place, the reason, and what gives them', () => {
    const { paths, score, level } = blastRadius({
      escalations: escalationsOf([grant([read], 'shop')]),
      exposures: [],
      dataStores: [],
    })
    expect({ paths, score, level }).toMatchObject({
      score: 20,
      level: 'low',
      paths: [
        {
          id: 'read-secrets',
          title: 'Read Secrets',
          why: expect.stringMatching(/^In namespace shop: passwords, keys/),
          grants: ['RoleBinding shop/b -> ClusterRole r'],
        },
      ],
    })
  })

  test.each<[string, Grant[], string]>([
    ['everywhere', [grant([read]), grant([read], 'shop')], 'In all namespaces: '],
    [
      'in several namespaces',
      ['a', 'b', 'c', 'd', 'e'].map((namespace) => grant([read], namespace)),
      'In 5 namespaces (a, b, c, 2 more): ',
    ],
    [
      'for names alone',
      [grant([{ ...read, resourceNames: ['db', 'ca'] }], 'shop')],
      'For ca, db alone, in namespace shop: ',
    ],
    [
      'in the whole cluster',
      [grant([{ verbs: ['create'], apiGroups: [''], resources: ['nodes/proxy'] }])],
      'In the whole cluster: ',
    ],
  ])('%s', (_, grants, beginning) => {
    const [path] = blastRadius({ escalations: escalationsOf(grants), exposures: [], dataStores: [] }).paths ?? []
    expect(path?.why?.slice(0, beginning.length)).toBe(beginning)
  })

  test('rights on a few names weigh less than on all, and a name that stands for all as much', () => {
    const bind = (resourceNames: string[]) => [
      { verbs: ['bind'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'], resourceNames },
      { verbs: ['create'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterrolebindings'] },
    ]
    expect(scoreOf([grant(bind(['view']))])).toBeLessThan(40)
    expect(scoreOf([grant(bind(['cluster-admin']))])).toBe(95)
    expect(scoreOf([grant([{ ...read, resourceNames: ['a'] }], 'shop')])).toBeLessThan(scoreOf([grant([read], 'shop')]))
  })

  test('a name never lets anybody create or delete a collection', () => {
    const named = (verb: string, resource: string) =>
      ids([grant([{ verbs: [verb], apiGroups: [''], resources: [resource], resourceNames: ['x'] }])])
    expect(named('create', 'pods')).toEqual([])
    expect(named('deletecollection', 'namespaces')).toEqual([])
    expect(named('create', 'pods/exec')).toEqual(['exec-pods'])
    expect(named('delete', 'namespaces')).toEqual(['destroy-data'])
  })

  test('rights in kube-system weigh nearly as much as everywhere', () => {
    expect(scoreOf([grant([read], 'kube-system')])).toBe(77)
    expect(scoreOf([grant([read])])).toBe(85)
  })

  test('cluster-admin stands for all other rights', () => {
    const all = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }
    const { paths, score, level } = blastRadius({
      escalations: escalationsOf([grant([all]), grant([read], 'shop')]),
      exposures: [],
      dataStores: [],
    })
    expect({ score, level, ids: paths?.map(({ id }) => id) }).toEqual({
      score: 100,
      level: 'critical',
      ids: ['cluster-admin'],
    })
  })
})

describe.skipIf(!areRecorded)("Kubernetes' own roles", () => {
  const rbac = () => {
    const made = createRbac()
    made.replace('ClusterRole', recordedList<V1ClusterRole>('clusterroles'))
    return made
  }
  const bound = (role: string, namespace?: string) => {
    const made = rbac()
    const binding: V1RoleBinding = {
      metadata: { name: 'b', ...(namespace && { namespace }) },
      subjects: [{ kind: 'ServiceAccount', ...account }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    }
    if (namespace) made.put('RoleBinding', binding)
    else made.put('ClusterRoleBinding', binding)
    return levelOf(scoreOf(made.grantsOf(account)))
  }
  test.each([
    ['view', 'low', 'low'],
    ['edit', 'high', 'critical'],
    ['admin', 'high', 'critical'],
    ['cluster-admin', 'critical', 'critical'],
    ['system:basic-user', 'none', 'none'],
    ['system:discovery', 'none', 'none'],
  ])('%s in one namespace is %s, everywhere %s', (role, inOne, everywhere) => {
    expect([bound(role, 'shop'), bound(role)]).toEqual([inOne, everywhere])
  })
})

describe('the score', () => {
  const rule = fc
    .constantFrom(...escalationPaths.flatMap(({ needs }) => needs))
    .chain((need) =>
      fc.record({
        verbs: fc.oneof(fc.subarray([...need.verbs], { minLength: 1 }), fc.constant(['*'])),
        on: fc.constantFrom(...need.on),
        names: fc.option(fc.constantFrom(['a'], ['aws-auth'], ['cluster-admin']), { nil: undefined }),
      }),
    )
    .map(
      ({ verbs, on, names }): PolicyRule => ({
        ...least({ verbs, on: [on] }),
        verbs,
        ...(names && { resourceNames: names }),
      }),
    )
  const anyGrant = fc
    .tuple(
      fc.array(rule, { minLength: 1, maxLength: 4 }),
      fc.option(fc.constantFrom('shop', 'blue', 'kube-system'), { nil: undefined }),
    )
    .map(([rules, namespace]) => grant(rules, namespace))
  const reached = fc.record({
    grants: fc.array(anyGrant, { maxLength: 6 }),
    pods: fc.subarray(pods()),
    dataStores: fc.array(fc.constant('redis shop/redis'), { maxLength: 8 }),
  })

  test('never falls when a right, a setting of the pod or a data store is added', () => {
    fc.assert(
      fc.property(reached, reached, (some, more) => {
        const score = ({ grants, pods, dataStores }: typeof some) =>
          blastRadius({
            escalations: escalationsOf(grants),
            exposures: pods.flatMap((pod) => nodeReachOf(pod).exposures),
            dataStores,
          }).score
        const both = {
          grants: [...some.grants, ...more.grants],
          pods: [...some.pods, ...more.pods],
          dataStores: [...some.dataStores, ...more.dataStores],
        }
        expect(score(both)).toBeGreaterThanOrEqual(Math.max(score(some), score(more)))
        expect(score(both)).toBeLessThanOrEqual(100)
        expect(score(some)).toBeGreaterThanOrEqual(0)
      }),
      { numRuns: 1_000 },
    )
  })

  test('never falls when a rule loses its names or a binding becomes cluster-wide', () => {
    fc.assert(
      fc.property(fc.array(anyGrant, { minLength: 1, maxLength: 6 }), fc.nat(5), (grants, at) => {
        const one = grants[at % grants.length]
        if (!one) return
        const wider = (change: Grant) => grants.map((grant) => (grant === one ? change : grant))
        const named = one.role.rules.map(({ resourceNames: _, ...rule }) => rule)
        expect(scoreOf(wider({ ...one, role: { ...one.role, rules: named } }))).toBeGreaterThanOrEqual(scoreOf(grants))
        const { namespace: _, ...everywhere } = one
        expect(scoreOf(wider(everywhere))).toBeGreaterThanOrEqual(scoreOf(grants))
      }),
      { numRuns: 1_000 },
    )
  })

  test('has a level for every value, in falling order', () => {
    expect(levels.map(([, least]) => least)).toEqual([80, 55, 25, 1, 0])
    expect([100, 80, 79, 55, 54, 25, 24, 1, 0].map(levelOf)).toEqual([
      'critical',
      'critical',
      'high',
      'high',
      'medium',
      'medium',
      'low',
      'low',
      'none',
    ])
  })
})

function pods() {
  const container = (more: object) => ({ spec: { containers: [{ name: 'c', ...more }] } })
  return [
    container({ securityContext: { privileged: true } }),
    container({ securityContext: { capabilities: { add: ['SYS_ADMIN'] } } }),
    { spec: { hostNetwork: true, hostPID: true, containers: [{ name: 'c' }] } },
  ]
}
