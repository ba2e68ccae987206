import type { V1ClusterRoleBinding, V1NetworkPolicy, V1RoleBinding } from '@kubernetes/client-node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiServer as Api, openApiServer } from '../../enrich/api-server.ts'
import { watchIdentities } from '../../enrich/identities.ts'
import type { Pod } from '../../enrich/pod-table.ts'
import { type WatchedReach, watchReach, withReach } from '../../enrich/reach-watch.ts'
import { type ApiServer, recordedObject, startApiServer } from './api-server.ts'
import { changes, memoryLog } from './changes.ts'
import { knownPod, staticPod } from './known-pod.ts'

const rbac = '/apis/rbac.authorization.k8s.io/v1'
const policies = '/apis/networking.k8s.io/v1/networkpolicies'

const payments = knownPod('payments-api-67c6d9cb87-sp7ds')
const oldApp = knownPod('old-app-668dcc8459-nxddh')
const report = knownPod('monthly-report-kctmx')
const frontend = knownPod('frontend-5fdb8667d8-jlnd6')
const redis = knownPod('redis-0')
const runner = knownPod('runner-79b66465bb-fzr2g')

let server: ApiServer
let api: Api
let reach: WatchedReach | undefined
let now = 1_000
let { changed, until } = changes()
let log = memoryLog()

beforeEach(async () => {
  now = 1_000
  ;({ changed, until } = changes())
  log = memoryLog(changed)
  server = await startApiServer()
  api = openApiServer(server.kubeConfig)
})
afterEach(async () => {
  reach?.close()
  api.close()
  await server.stop()
})

const timing = { spread: 0, firstPause: 2, longestPause: 10 }
function watch(more: object = {}): WatchedReach {
  reach = watchReach({
    api,
    namespaceLabels: () => ({}),
    log,
    onChange: changed,
    clock: () => now,
    timing: { ...timing, ...more },
  })
  return reach
}
async function settled(more?: object): Promise<WatchedReach> {
  const watched = watch(more)
  await until(watched.settled)
  return watched
}
const everythingFor = (namespace: string, name: string): V1ClusterRoleBinding => ({
  metadata: { name: `everything-${namespace}` },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ kind: 'ServiceAccount', namespace, name }],
})
const names = (endpoints: { name?: string }[] = []) => endpoints.map(({ name }) => name)

test("a pod's account, node and network make its reach", async () => {
  const reach = await settled()
  expect(reach.missing()).toEqual([])
  expect(reach.reachOf(oldApp, true).blast_radius).toMatchObject({
    score: 100,
    level: 'critical',
    paths: [
      { id: 'cluster-admin', grants: ['ClusterRoleBinding legacy-admin -> ClusterRole cluster-admin'] },
      { id: 'data-stores' },
    ],
  })
  expect(reach.reachOf(payments, true)).toMatchObject({
    blast_radius: {
      level: 'low',
      paths: [
        { id: 'data-stores' },
        { id: 'read-secrets', why: expect.stringMatching(/^For db-credentials alone, in namespace payments/) },
      ],
    },
    reach: {
      data_stores: [
        { name: 'payments/postgres', policy: 'allowed' },
        { name: 'shop/redis', policy: 'none' },
      ],
    },
  })
  expect(reach.reachOf(runner, true).reach?.node?.map(({ id }) => id)).toEqual([
    'privileged',
    'host-pid',
    'runtime-socket',
    'seccomp-unconfined',
  ])
})

test('one watch for each kind, after a list from the cache of the server', async () => {
  await settled()
  const lists = server.asked.filter(({ kind }) => kind === 'list')
  expect(new Set(lists.map(({ path }) => path)).size).toBe(7)
  expect(lists.length).toBe(7)
  expect(lists.every(({ query }) => query.get('resourceVersion') === '0')).toBe(true)
  expect((await server.requests('watch', 7, '/')).length).toBe(7)
})

test('rights count for pods that hold a token', async () => {
  const reach = await settled()
  expect(reach.reachOf(oldApp, false).blast_radius).toEqual({
    score: 4,
    level: 'low',
    paths: [expect.objectContaining({ id: 'data-stores' })],
  })
})

test('a binding that comes and goes changes the reach of its account, and of no other', async () => {
  const reach = await settled()
  const before = { frontend: reach.reachOf(frontend, true), payments: reach.reachOf(payments, true) }
  const revision = reach.revision()
  const binding: V1RoleBinding = {
    ...recordedObject<V1RoleBinding>('rolebindings.json', 'runner'),
    metadata: { namespace: 'ci', name: 'frontend' },
    subjects: [{ kind: 'ServiceAccount', namespace: 'shop', name: 'frontend' }],
  }
  server.putObject(`${rbac}/rolebindings`, binding)
  await until(() => reach.revision() !== revision)
  expect(reach.reachOf(frontend, true).blast_radius?.paths?.map(({ id }) => id)).toContain('read-secrets')
  expect(reach.reachOf(payments, true)).toBe(before.payments)
  const later = reach.revision()
  server.removeObject(`${rbac}/rolebindings`, binding)
  await until(() => reach.revision() !== later)
  expect(reach.reachOf(frontend, true)).toEqual(before.frontend)
})

test('what concerns no pod of this node disturbs nobody', async () => {
  const reach = await settled()
  reach.reachOf(frontend, true)
  const revision = reach.revision()
  const recorded = recordedObject<V1RoleBinding>('rolebindings.json', 'runner')
  const bindingOf = (name: string, namespace: string, account: string): V1RoleBinding => ({
    ...recorded,
    metadata: { namespace: 'ci', name },
    subjects: [{ kind: 'ServiceAccount', namespace, name: account }],
  })
  server.putObject(`${rbac}/rolebindings`, bindingOf('first', 'ci', 'other'))
  server.putObject(`${rbac}/rolebindings`, bindingOf('last', 'shop', 'frontend'))
  // The last one concerns frontend: when it is in, the first one is, too.
  await until(() => reach.revision() !== revision)
  expect(reach.revision()).toBe(revision + 1)
})

test('a NetworkPolicy that closes the way takes a data store out of reach', async () => {
  const reach = await settled()
  expect(names(reach.reachOf(frontend, true).reach?.data_stores)).toEqual(['shop/redis'])
  const revision = reach.revision()
  const policy: V1NetworkPolicy = {
    metadata: { namespace: 'shop', name: 'redis-is-for-cart' },
    spec: { podSelector: { matchLabels: { app: 'redis' } }, policyTypes: ['Ingress'] },
  }
  server.putObject(policies, policy)
  await until(() => reach.revision() !== revision)
  expect(names(reach.reachOf(frontend, true).reach?.data_stores)).toEqual([])
})

test('nothing may connect out of batch, but to its own node', async () => {
  const { reach: reached } = (await settled()).reachOf(report, true)
  expect(names(reached?.data_stores)).toEqual([])
  expect(names(reached?.control_plane)).toEqual(['node-a'])
})

test('without the right to read bindings the blast radius is absent, the rest is there, and it is said once', async () => {
  server.refuse('list', Number.POSITIVE_INFINITY, 403, {}, `${rbac}/clusterrolebindings`)
  const reach = await settled({ afterRefusal: 5 })
  expect(reach.missing()).toEqual(['rbac'])
  expect(reach.reachOf(runner, true).blast_radius).toBeUndefined()
  expect(reach.reachOf(runner, true).reach?.node?.length).toBe(4)
  expect(names(reach.reachOf(runner, true).reach?.data_stores)).toEqual(['shop/redis'])
  // It holds no token: its rights don't matter.
  expect(reach.reachOf(runner, false).blast_radius?.level).toBe('critical')
  await server.requests('list', 3, `${rbac}/clusterrolebindings`)
  expect(log.warnings().map(({ message }) => message)).toEqual([
    "clusterrolebindings can't be read: identity.blast_radius is absent for pods that hold a token",
  ])
})

test('a static pod has the reach of its own settings, and no rights', async () => {
  const identities = withReach(
    watchIdentities({ api, nodeName: 'node-a', log, onChange: changed, clock: () => now, timing }),
    watch(),
  )
  try {
    await until(() => identities.settled(payments))
    server.putObject(`${rbac}/clusterrolebindings`, everythingFor('kube-system', 'default'))
    server.putObject(`${rbac}/clusterrolebindings`, everythingFor('shop', 'default'))
    await until(() => identities.detailOf(redis, 'redis').blast_radius?.score === 100)
    const { blast_radius, reach } = identities.detailOf(staticPod(), 'etcd')
    expect(reach?.node?.map(({ id }) => id)).toEqual(['host-path', 'host-network'])
    expect(blast_radius?.level).toBe('critical')
    expect(blast_radius?.paths?.map(({ id }) => id)).not.toContain('cluster-admin')
  } finally {
    identities.close()
  }
})

test("a token whose audience may be the API server's counts as one; one for a cloud does not", async () => {
  const identities = withReach(
    watchIdentities({ api, nodeName: 'node-a', log, onChange: changed, clock: () => now, timing }),
    watch(),
  )
  const holding = (uid: string, audience: string): Pod => ({
    ...{ ...oldApp, uid },
    spec: {
      automountServiceAccountToken: false,
      containers: [{ name: 'app', volumeMounts: [{ name: 'tokens', mountPath: '/tokens' }] }],
      volumes: [{ name: 'tokens', projected: { sources: [{ serviceAccountToken: { path: 'token', audience } }] } }],
    },
  })
  try {
    await until(() => identities.settled(oldApp))
    const scores = ['https://kubernetes.default.svc.cluster.local', 'ours', 'sts.amazonaws.com'].map(
      (audience) => identities.detailOf(holding(audience, audience), 'app').blast_radius?.score,
    )
    // It reaches a data store, whatever it holds.
    expect(scores).toEqual([100, 100, 4])
  } finally {
    identities.close()
  }
})

test('without the right to read NetworkPolicies no data stores are told', async () => {
  server.refuse('list', Number.POSITIVE_INFINITY, 403, {}, policies)
  const reach = await settled()
  expect(reach.missing()).toEqual(['network'])
  expect(reach.reachOf(frontend, true)).toEqual({ blast_radius: { score: 0, level: 'none' } })
})

test('rights that are granted to the sensor later are taken up', async () => {
  server.refuse('list', 1, 403, {}, `${rbac}/roles`)
  const reach = await settled({ afterRefusal: 2 })
  await until(() => reach.missing().length === 0)
  expect(reach.reachOf(oldApp, true).blast_radius?.score).toBe(100)
})

test('with the identities it makes one answer: revision, freshness and what is missing are of both', async () => {
  server.refuse('list', Number.POSITIVE_INFINITY, 403, {}, policies)
  const named = watchIdentities({ api, nodeName: 'node-a', log, onChange: changed, clock: () => now, timing })
  const identities = withReach(named, watch())
  try {
    await until(() => identities.settled(payments))
    expect(identities.detailOf(payments, 'api')).toMatchObject({
      credential: { api_server: true },
      blast_radius: { level: 'low' },
      missing: ['network'],
    })
    // It mounts no token, and a Secret of nobody knows what.
    expect(identities.detailOf(frontend, undefined).blast_radius).toEqual({ score: 0, level: 'none' })
    const revision = identities.revision()
    const binding = recordedObject<V1RoleBinding>('rolebindings.json', 'payments-api-read-db')
    const withoutSubjects: V1RoleBinding = { ...binding, subjects: [] }
    server.putObject(`${rbac}/rolebindings`, withoutSubjects)
    await until(() => identities.revision() !== revision)
    expect(identities.detailOf(payments, 'api').blast_radius?.score).toBe(0)
    await server.stop()
    await until(() => {
      now += 10_001
      return identities.state() === 'stale'
    })
    expect(identities.detailOf(oldApp, undefined).blast_radius?.score).toBe(100)
  } finally {
    identities.close()
  }
})
