import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { V1ClusterRole, V1RoleBinding } from '@kubernetes/client-node'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blastRadius, levelOf, levels } from '../../enrich/blast-radius.ts'
import { escalationsOf } from '../../enrich/escalation.ts'
import { type EscalationPath, escalationPaths, families, type Need } from '../../enrich/escalation-paths.ts'
import { nodeReachOf } from '../../enrich/node-reach.ts'
import { createRbac, type Grant } from '../../enrich/rbac.ts'
import { type PolicyRule, ruleAllows } from '../../enrich/rbac-rule.ts'
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

/** The sets of needs that open a path, each by itself. */
const waysOf = ({ needs, or = [] }: EscalationPath) => [needs, ...or]

const rule = (verbs: readonly string[], on: string, resourceNames?: readonly string[]): PolicyRule => ({
  ...{ ...least({ verbs, on: [on] }), verbs },
  ...(resourceNames && { resourceNames }),
})

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
      for (const needs of waysOf(path)) {
        expect(ids([grant(needs.map(least), undefined)])).toContain(id)
        for (const [at, need] of needs.entries()) {
          const others = needs.filter((_, index) => index !== at).map(least)
          for (const verb of need.verbs) {
            for (const on of need.on) {
              const rules = [...others, least({ ...need, verbs: [verb], on: [on] })]
              expect(ids([grant(rules)]), `${verb} ${on}`).toContain(id)
            }
          }
          if (needs.length > 1) expect(ids([grant(others)])).not.toContain(id)
        }
        expect(ids([grant(needs.map((need) => ({ ...least(need), apiGroups: ['example.com'] })))])).not.toContain(id)
      }
    },
  )

  test.each(escalationPaths.map((path) => [path.id, path] as const))(
    '%s in one namespace counts only if there it means something',
    (id, path) => {
      for (const needs of waysOf(path)) {
        const found = ids([grant(needs.map(least), path.within ?? 'shop')]).includes(id)
        expect(found).toBe(path.inNamespace !== undefined)
        if (path.within) expect(ids([grant(needs.map(least), 'shop')])).not.toContain(id)
      }
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

describe('a verb opens a path only where it leads there', () => {
  const controllers = [
    ...['apps/deployments', 'apps/daemonsets', 'apps/statefulsets', 'apps/replicasets', 'replicationcontrollers'],
    'batch/cronjobs',
  ]
  const policies = (kind: string) => [
    `admissionregistration.k8s.io/${kind}admissionpolicies`,
    `admissionregistration.k8s.io/${kind}admissionpolicybindings`,
  ]
  const crds = 'apiextensions.k8s.io/customresourcedefinitions'
  const closeNodes = rule(['patch'], 'nodes')
  const own = ['cluster-autoscaler-status', 'cluster-autoscaler-priority-expander']

  test.each<[what: string, id: string, rules: PolicyRule[]]>([
    [
      "change a Job, whose pods' account and images stay",
      'create-workloads',
      [rule(['update', 'patch'], 'batch/jobs')],
    ],
    ['change a Job of a name', 'create-workloads', [rule(['patch'], 'batch/jobs', ['backup'])]],
    [
      "change a volume, which doesn't become another",
      'create-persistent-volumes',
      [rule(['update', 'patch'], 'persistentvolumes')],
    ],
    ['create a ConfigMap, which is there', 'kube-system-configuration', [rule(['create'], 'configmaps')]],
    ['delete a ConfigMap', 'kube-system-configuration', [rule(['delete', 'deletecollection'], 'configmaps')]],
    [
      'create ConfigMaps, and replace others',
      'kube-system-configuration',
      [rule(['create'], 'configmaps'), rule(['update', 'patch', 'delete'], 'configmaps', own)],
    ],
    ['create pods', 'steal-pods', [rule(['create'], 'pods'), closeNodes]],
    ['delete what can only be created', 'steal-pods', [rule(['delete'], 'pods:eviction'), closeNodes]],
    ['evict pods where nodes stay open', 'steal-pods', [rule(['create'], 'pods:eviction')]],
    ['create a kind of its own', 'custom-resources', [rule(['create'], crds)]],
    ['create a policy without a binding', 'mutating-webhooks', [rule(['create'], policies('mutating')[0] ?? '')]],
    ['bind a policy that is there', 'mutating-webhooks', [rule(['create', 'patch'], policies('mutating')[1] ?? '')]],
    ['create a check without a binding', 'validating-webhooks', [rule(['create'], policies('validating')[0] ?? '')]],
    ['bind a check that is there', 'validating-webhooks', [rule(['create', 'patch'], policies('validating')[1] ?? '')]],
  ])('to %s is not %s', (_, id, rules) => {
    expect(ids([grant(rules)])).not.toContain(id)
    expect(ids([grant(rules, 'kube-system')])).not.toContain(id)
  })

  test.each<[what: string, id: string, rules: PolicyRule[]]>([
    ['create a Job', 'create-workloads', [rule(['create'], 'batch/jobs')]],
    ...[...controllers, 'batch/jobs'].map((on): [string, string, PolicyRule[]] => [
      `do anything to ${on}`,
      'create-workloads',
      [rule(['*'], on)],
    ]),
    ...controllers.flatMap((on) =>
      ['create', 'update', 'patch'].map((verb): [string, string, PolicyRule[]] => [
        `${verb} ${on}`,
        'create-workloads',
        [rule([verb], on)],
      ]),
    ),
    ['change the image of a pod', 'change-pods', [rule(['patch'], 'pods')]],
    ['create a volume', 'create-persistent-volumes', [rule(['create'], 'persistentvolumes')]],
    ['update ConfigMaps', 'kube-system-configuration', [rule(['update'], 'configmaps')]],
    ['patch the one that counts', 'kube-system-configuration', [rule(['patch'], 'configmaps', ['coredns'])]],
    ['delete a ConfigMap and create it anew', 'kube-system-configuration', [rule(['create', 'delete'], 'configmaps')]],
    [
      'do so with the one that counts',
      'kube-system-configuration',
      [rule(['create'], 'configmaps'), rule(['delete'], 'configmaps', ['aws-auth'])],
    ],
    ['evict pods', 'steal-pods', [rule(['create'], 'pods:eviction'), closeNodes]],
    ['delete pods', 'steal-pods', [rule(['delete'], 'pods'), closeNodes]],
    ['delete all pods at once', 'steal-pods', [rule(['deletecollection'], 'pods'), closeNodes]],
    ['change a kind', 'custom-resources', [rule(['patch'], crds)]],
    ...['mutating', 'validating'].flatMap((kind): [string, string, PolicyRule[]][] => {
      const [policy = '', binding = ''] = policies(kind)
      const id = `${kind}-webhooks`
      return [
        [`change a ${kind} policy`, id, [rule(['update'], policy)]],
        [`create a ${kind} policy and bind it`, id, [rule(['create'], policy), rule(['create'], binding)]],
        [
          `create a ${kind} policy and bind it instead of another`,
          id,
          [rule(['create'], policy), rule(['patch'], binding)],
        ],
        [
          `create a ${kind} webhook`,
          id,
          [rule(['create'], `admissionregistration.k8s.io/${kind}webhookconfigurations`)],
        ],
      ]
    }),
  ])('to %s is %s', (_, id, rules) => {
    expect(ids([grant(rules)])).toContain(id)
  })

  test('the cluster autoscaler opens what it is told of, and nothing by the Jobs that it patches', () => {
    // cluster-autoscaler/cloudprovider/aws/examples/cluster-autoscaler-autodiscover.yaml
    const read = ['watch', 'list', 'get']
    const everywhere = [
      ...[rule(['create', 'patch'], 'events'), rule(['create', 'patch'], 'endpoints')],
      ...[rule(['create'], 'pods:eviction'), rule(['update'], 'pods:status')],
      rule(['get', 'update'], 'endpoints', ['cluster-autoscaler']),
      rule([...read, 'update'], 'nodes'),
      ...['namespaces', 'pods', 'services', 'replicationcontrollers', 'persistentvolumes'].map((on) => rule(read, on)),
      ...['apps/statefulsets', 'apps/replicasets', 'apps/daemonsets'].map((on) => rule(read, on)),
      rule(['get', 'list', 'watch', 'patch'], 'batch/jobs'),
      rule(['create'], 'coordination.k8s.io/leases'),
      rule(['get', 'update'], 'coordination.k8s.io/leases', ['cluster-autoscaler']),
    ]
    const inKubeSystem = [
      rule(['create', 'list', 'watch'], 'configmaps'),
      rule(['delete', 'get', 'update', 'watch'], 'configmaps', own),
    ]
    expect(ids([grant(everywhere), grant(inKubeSystem, 'kube-system')])).toEqual([
      ...['steal-pods', 'change-nodes', 'divert-services', 'pod-status', 'read-configuration', 'read-pods'],
    ])
  })

  test("a volume's resizer opens nothing by the volumes that it patches", () => {
    // kubernetes-csi/external-resizer, deploy/kubernetes/rbac.yaml
    const rules = [
      rule(['get', 'list', 'watch', 'patch'], 'persistentvolumes'),
      ...[rule(['get', 'list', 'watch'], 'persistentvolumeclaims'), rule(['patch'], 'persistentvolumeclaims:status')],
      rule(['get', 'list', 'watch'], 'pods'),
      rule(['list', 'watch', 'create', 'update', 'patch'], 'events'),
    ]
    expect(ids([grant(rules)])).toEqual(['read-pods'])
  })

  test('held in several ways a path counts once a place, and is told with all that gives it', () => {
    const create = rule(['create'], 'batch/jobs')
    const patch = rule(['patch'], 'apps/deployments')
    const workloads = (...grants: Grant[]) => escalationsOf(grants).find(({ path }) => path.id === 'create-workloads')
    expect(workloads(grant([create], 'shop'), grant([patch], 'shop', 'other'))).toMatchObject({
      weight: expect.closeTo(0.3),
      namespaces: ['shop'],
      grants: ['RoleBinding shop/b -> ClusterRole r', 'RoleBinding shop/other -> ClusterRole r'],
    })
    expect(workloads(grant([create], 'shop'), grant([patch], 'blue'))).toMatchObject({
      weight: expect.closeTo(0.51),
      wholly: ['shop', 'blue'],
      namespaces: ['blue', 'shop'],
    })
    const named = workloads(grant([create], 'shop'), grant([{ ...patch, resourceNames: ['cart'] }], 'shop'))
    expect(named).toMatchObject({ weight: expect.closeTo(0.3), wholly: ['shop'] })
    expect(named).not.toHaveProperty('names')
    expect(workloads(grant([create]), grant([patch], 'shop'))).toMatchObject({ weight: 0.9, everywhere: true })
  })

  test('what a way needs is needed at one place', () => {
    const [create, remove] = [rule(['create'], 'configmaps'), rule(['delete'], 'configmaps')]
    expect(ids([grant([create], 'kube-system'), grant([remove], 'shop')])).not.toContain('kube-system-configuration')
    expect(ids([grant([create]), grant([remove], 'kube-system')])).toContain('kube-system-configuration')
    const [make, read] = [rule(['create'], 'secrets'), rule(['get'], 'secrets')]
    expect(ids([grant([make], 'shop'), grant([read], 'blue')])).toEqual(['read-secrets'])
    expect(ids([grant([make], 'shop'), grant([read], 'shop')])).toEqual(['read-secrets', 'issue-token-secrets'])
  })
})

describe.skipIf(!areRecorded)("Kubernetes' own roles", () => {
  const rbac = () => {
    const made = createRbac()
    made.replace('ClusterRole', recordedList<V1ClusterRole>('clusterroles'))
    return made
  }
  const grantsBy = (role: string, namespace?: string) => {
    const made = rbac()
    const binding: V1RoleBinding = {
      metadata: { name: 'b', ...(namespace && { namespace }) },
      subjects: [{ kind: 'ServiceAccount', ...account }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    }
    if (namespace) made.put('RoleBinding', binding)
    else made.put('ClusterRoleBinding', binding)
    return made.grantsOf(account)
  }
  const bound = (role: string, namespace?: string) => levelOf(scoreOf(grantsBy(role, namespace)))
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

  test.each([
    ['system:controller:job-controller', 'create-workloads', false],
    ['system:controller:cronjob-controller', 'create-workloads', true],
    ['system:controller:expand-controller', 'create-persistent-volumes', false],
    ['system:controller:pv-protection-controller', 'create-persistent-volumes', false],
    ['system:volume-scheduler', 'create-persistent-volumes', false],
    ['system:controller:persistent-volume-binder', 'create-persistent-volumes', true],
  ])('%s, %s: %s', (role, id, opens) => {
    expect(ids(grantsBy(role)).includes(id)).toBe(opens)
  })
})

describe('the score', () => {
  const anyRule = fc
    .constantFrom(...escalationPaths.flatMap((path) => waysOf(path).flat()))
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
      fc.array(anyRule, { minLength: 1, maxLength: 4 }),
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

  /** The table read as plainly as can be: is some set of needs allowed at the place, each by one request or another? */
  const isOpen = (path: EscalationPath, place: string | undefined, grants: readonly Grant[]) =>
    (place === undefined || (path.inNamespace !== undefined && (path.within ?? place) === place)) &&
    waysOf(path).some((needs) => needs.every((need) => requestsOf(need).some((one) => isAllowed(one, place, grants))))
  const requestsOf = ({ verbs, on, names = [] }: Need) =>
    verbs.flatMap((verb) =>
      on.flatMap((one) => {
        const { apiGroups, resources } = least({ verbs, on: [one] })
        const request = { verb, group: apiGroups?.[0] ?? '', resource: resources?.[0] ?? '' }
        const isNamed = verb !== 'deletecollection' && (verb !== 'create' || one.includes(':'))
        return [request, ...(isNamed ? names.map((name) => ({ ...request, name })) : [])]
      }),
    )
  const isAllowed = (
    request: ReturnType<typeof requestsOf>[number],
    place: string | undefined,
    all: readonly Grant[],
  ) =>
    all.some(
      ({ namespace, role }) =>
        (namespace === undefined || namespace === place) && role.rules.some((one) => ruleAllows(one, request)),
    )

  test('counts a path in full where a plain reading of the table opens it, and nowhere else', () => {
    fc.assert(
      fc.property(fc.array(anyGrant, { maxLength: 6 }), (grants) => {
        const found = new Map(escalationsOf(grants).map((one) => [one.path.id, one]))
        for (const path of escalationPaths) {
          const { everywhere = false, names, wholly = [] } = found.get(path.id) ?? {}
          const isEverywhere = isOpen(path, undefined, grants)
          expect(everywhere && !names, path.id).toBe(isEverywhere)
          const places = ['blue', 'kube-system', 'shop'].filter((place) => isOpen(path, place, grants))
          if (!isEverywhere) expect([...wholly].sort(), path.id).toEqual(places)
        }
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
