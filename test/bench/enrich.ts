/**
 * What it costs to know how far identities reach, at the size of a large cluster: `npm run bench:enrich`,
 * `--quick`, `--json FILE`.
 *
 * 5,000 service accounts in 250 namespaces, 20,000 bindings of 1,000 roles, 500 Services of which one in five is a data
 * store, 250 NetworkPolicies; a node with 110 pods. In one process on one core; what is told is the median of rounds, and
 * the event's cost beside that of the same event without any of it. What says "of a core" is free of what else the
 * machine did; the rest is by the clock.
 */
import type { V1ClusterRole, V1NetworkPolicy, V1Pod, V1RoleBinding, V1Service } from '@kubernetes/client-node'
import { createEnricher } from '../../enrich/enricher.ts'
import type { Identities } from '../../enrich/identities.ts'
import { createPodTable, type Pod } from '../../enrich/pod-table.ts'
import { createReach, networkKinds, type ReachKind, type ReachObjects, rbacKinds } from '../../enrich/reach.ts'
import type { Event } from '../../sensor/event.ts'
import { type Figure, options, tell } from './figures.ts'

const sizes = { accounts: 5_000, namespaces: 250, bindings: 20_000, roles: 1_000, services: 500, pods: 110 }
const { quick, json } = options()
const rounds = quick ? 2 : 5
const events = quick ? 20_000 : 100_000

const range = (length: number) => Array.from({ length }, (_, n) => n)
const at = <T>(values: readonly T[], n: number): T => values[n % values.length] as T
const namespaceOf = (n: number) => `team-${n % sizes.namespaces}`
const accountOf = (n: number) => ({
  namespace: namespaceOf(n),
  name: `app-${Math.floor((n % sizes.accounts) / sizes.namespaces)}`,
})
const rbac = 'rbac.authorization.k8s.io'

/** Rules as charts and operators have them; a few with teeth. */
const rules = [
  { apiGroups: [''], resources: ['configmaps', 'services', 'endpoints'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] },
  { apiGroups: ['apps'], resources: ['deployments', 'deployments/scale'], verbs: ['get', 'list', 'watch', 'patch'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['get'], resourceNames: ['config'] },
  { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['pods/exec'], verbs: ['create'] },
]
const rulesOf = (n: number) => range(3 + (n % 4)).map((k) => at(rules, n * 7 + k * 3))

const objects: { [K in ReachKind]: ReachObjects[K][] } = {
  ClusterRole: range(sizes.roles / 2).map(
    (n): V1ClusterRole => ({ metadata: { name: `role-${n}` }, rules: rulesOf(n) }),
  ),
  Role: range(sizes.roles / 2).map((n) => ({
    metadata: { namespace: namespaceOf(n), name: 'role' },
    rules: rulesOf(n),
  })),
  RoleBinding: range(sizes.bindings - 1_000).map((n): V1RoleBinding => {
    const subject = n % 20 === 0 ? group(n) : { kind: 'ServiceAccount', ...accountOf(n) }
    const roleRef = n % 3 === 0 ? { kind: 'Role', name: 'role' } : { kind: 'ClusterRole', name: `role-${n % 500}` }
    return {
      metadata: { namespace: namespaceOf(n + (n % 5)), name: `binding-${n}` },
      subjects: [subject],
      roleRef: { apiGroup: rbac, ...roleRef },
    }
  }),
  ClusterRoleBinding: range(1_000).map((n) => ({
    metadata: { name: `binding-${n}` },
    subjects: [{ kind: 'ServiceAccount', ...accountOf(n * 5) }],
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: `role-${n % 500}` },
  })),
  Service: range(sizes.services).map(
    (n): V1Service => ({
      metadata: { namespace: namespaceOf(n), name: `service-${n}` },
      spec: { selector: { app: `app-${n % 20}` }, ports: [{ port: n % 5 === 0 ? 5432 : 8080 }] },
    }),
  ),
  EndpointSlice: [],
  NetworkPolicy: range(sizes.namespaces).map(
    (n): V1NetworkPolicy => ({
      metadata: { namespace: namespaceOf(n), name: 'default' },
      spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] } as object] },
    }),
  ),
}

function group(n: number) {
  return { kind: 'Group', apiGroup: rbac, name: `system:serviceaccounts:${namespaceOf(n)}` }
}

const containerId = (n: number) => n.toString(16).padStart(64, '0')
const uid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const pod = (n: number): V1Pod => ({
  metadata: { uid: uid(n), namespace: namespaceOf(n), name: `pod-${n}`, labels: { app: `app-${n % 20}` } },
  spec: { nodeName: 'node', serviceAccountName: accountOf(n * 41).name, containers: [{ name: 'app', image: 'app:1' }] },
  status: {
    podIPs: [{ ip: `10.0.0.${n}` }],
    containerStatuses: [
      {
        name: 'app',
        image: 'app:1',
        imageID: '',
        ready: true,
        restartCount: 0,
        containerID: `containerd://${containerId(n)}`,
      },
    ],
  },
})

/** By the clock: for what is short. */
const milliseconds = (work: () => void): number => {
  const since = performance.now()
  work()
  return performance.now() - since
}
/** Of one core: what else the machine does is not in it. It counts in steps of some milliseconds. */
const coreMilliseconds = (work: () => void): number => {
  const since = process.threadCpuUsage()
  work()
  const { user, system } = process.threadCpuUsage(since)
  return (user + system) / 1_000
}
const sorted = (values: readonly number[]) => [...values].sort((one, other) => one - other)
const quantile = (values: readonly number[], share: number) =>
  sorted(values)[Math.floor((values.length - 1) * share)] ?? 0
const figures: Figure[] = []
const measured = (what: string, figure: string, value: number, more: Pick<Figure, 'target' | 'baseline'> = {}) => {
  figures.push({ what, figure, value, ...more })
}

function filled() {
  const reach = createReach({ namespaceLabels: () => ({}) })
  for (const kind of [...rbacKinds, ...networkKinds]) reach.replace(kind, objects[kind] as never)
  return reach
}

// Memory: what remains of a copy of the objects, as they come from the API server.
globalThis.gc?.()
const before = process.memoryUsage().heapUsed
const text = Object.fromEntries([...rbacKinds, ...networkKinds].map((kind) => [kind, JSON.stringify(objects[kind])]))
const textSize = Object.values(text).reduce((sum, one) => sum + one.length, 0)
const kept = createReach({ namespaceLabels: () => ({}) })
for (const kind of [...rbacKinds, ...networkKinds]) kept.replace(kind, JSON.parse(text[kind] ?? '[]'))
for (const key of Object.keys(text)) delete text[key]
globalThis.gc?.()
const memory = process.memoryUsage().heapUsed - before
kept.revision()
if (globalThis.gc)
  measured(
    `keep ${sizes.bindings} bindings, ${sizes.roles} roles, ${sizes.services} Services`,
    'heap, MiB',
    memory / 2 ** 20,
    {
      baseline: { what: 'the objects as JSON', value: textSize / 2 ** 20 },
      target: '<= 64',
    },
  )

const fill = range(rounds).map(() => coreMilliseconds(filled))
measured(
  `take in ${sizes.bindings} bindings, ${sizes.roles} roles, ${sizes.services} Services`,
  'of a core, ms',
  quantile(fill, 0.5),
)

const score = range(rounds).map(() => {
  const reach = filled()
  return coreMilliseconds(() => {
    for (const n of range(sizes.accounts)) reach.escalationsOf(accountOf(n))
  })
})
measured(`score ${sizes.accounts} accounts from nothing`, 'of a core, ms', quantile(score, 0.5), { target: '<= 2,000' })

const reach = filled()
for (const n of range(sizes.accounts)) reach.escalationsOf(accountOf(n))
const one: number[] = []
const changes = 500
const ofCore = coreMilliseconds(() => {
  for (const n of range(changes)) {
    const binding = at(objects.RoleBinding, n * 20 + 1)
    const changed = { ...binding, roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: `role-${(n + 7) % 500}` } }
    const [subject] = binding.subjects ?? []
    const work = () => {
      reach.put('RoleBinding', changed)
      reach.escalationsOf({ namespace: subject?.namespace ?? '', name: subject?.name ?? '' })
    }
    one.push(milliseconds(work))
  }
})
measured('score an account anew after a changed binding', 'of a core, mean, ms', ofCore / changes, { target: '<= 10' })
measured('score an account anew after a changed binding', 'median, ms', quantile(one, 0.5))
measured('score an account anew after a changed binding', 'p99, ms', quantile(one, 0.99))

const table = createPodTable(() => 0)
const pods = range(sizes.pods).flatMap((n) => table.put(pod(n)) ?? [])
const reachOfPods = range(rounds).map(() => {
  const fresh = filled()
  return coreMilliseconds(() => {
    for (const pod of pods) fresh.reachOf(pod, true)
  })
})
measured(`reach of the ${sizes.pods} pods of a node, everything new`, 'of a core, ms', quantile(reachOfPods, 0.5))

/** Microseconds of each event of an enricher, in batches of a hundred: a clock tick is longer than an event. */
function perEvent(identities: Pick<Identities, 'revision' | 'state' | 'detailOf' | 'settled'> | undefined): number[] {
  const enricher = createEnricher({
    cgroups: {
      pathOf: ({ cgroupId = '0' }) =>
        `/kubepods/burstable/pod${uid(Number(cgroupId))}/${containerId(Number(cgroupId))}`,
      made() {},
      removed() {},
    },
    pods: { podOf: table.podOf, containerOf: table.containerOf, state: () => 'live' },
    ...(identities && { identities }),
    host: { name: 'node' },
    nodeName: 'node',
    emit() {},
  })
  const batches: number[] = []
  for (let n = 0; n < events / 100; n++) {
    const batch = range(100).map((k): Event => ({ type: 'exec', time: k, process: { pid: k } }))
    const ms = milliseconds(() => {
      for (const [k, event] of batch.entries()) enricher.push(event, { cgroupId: String((n + k) % sizes.pods) })
    })
    batches.push((ms * 1_000) / 100)
  }
  enricher.close()
  return batches
}

const withReach = {
  revision: reach.revision,
  state: () => 'live' as const,
  settled: () => true,
  detailOf: (pod: Pod) => reach.reachOf(pod, true),
}
perEvent(undefined)
perEvent(withReach)
const [bare, added] = [perEvent(undefined), perEvent(withReach)]
const without = { what: 'without reach' }
measured('enrich an event, with reach', 'median, us', quantile(added, 0.5), {
  baseline: { ...without, value: quantile(bare, 0.5) },
})
measured('enrich an event, with reach', 'p99, us', quantile(added, 0.99), {
  baseline: { ...without, value: quantile(bare, 0.99) },
})
tell(figures, json)
