import type { V1Namespace, V1Node, V1ServiceAccount } from '@kubernetes/client-node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ApiServer as Api, openApiServer } from '../../enrich/api-server.ts'
import { type Identities, watchIdentities } from '../../enrich/identities.ts'
import type { Pod } from '../../enrich/pod-table.ts'
import { type ApiServer, recordedObject, startApiServer } from './api-server.ts'
import { changes, memoryLog } from './changes.ts'
import { knownPod, staticPod } from './known-pod.ts'

const accounts = '/api/v1/serviceaccounts'
const namespaces = '/api/v1/namespaces'
const nodes = '/api/v1/nodes'
const secrets = '/api/v1/secrets'
const registrations = '/apis/spire.spiffe.io/v1alpha1/clusterspiffeids'
const account = (name: string, namespace: string) =>
  recordedObject<V1ServiceAccount>('serviceaccounts.json', name, namespace)

const payments = knownPod('payments-api-67c6d9cb87-sp7ds')
const postgres = knownPod('postgres-0')
const oldApp = knownPod('old-app-668dcc8459-nxddh')
const redis = knownPod('redis-0')

let server: ApiServer
let api: Api
let identities: Identities | undefined
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
  identities?.close()
  identities = undefined
  api.close()
  await server.stop()
})

function watch(options: { tokenSecrets?: boolean; timing?: object } = {}): Identities {
  identities = watchIdentities({
    api,
    nodeName: 'node-a',
    spiffe: { trustDomain: 'example.org' },
    ...(options.tokenSecrets && { tokenSecrets: true }),
    log,
    onChange: changed,
    clock: () => now,
    now: () => Date.UTC(2026, 10, 24, 22, 32, 12),
    timing: { spread: 0, firstPause: 2, longestPause: 10, ...options.timing },
  })
  return identities
}
async function watching(options = {}): Promise<Identities> {
  const opened = watch(options)
  await until(() => opened.settled(payments))
  return opened
}

test('the recorded pod: its credential, its role in AWS, its SPIFFE ID, its secrets', async () => {
  const identities = await watching()
  expect(identities.detailOf(payments, 'api')).toEqual({
    credential: {
      kind: 'projected',
      audiences: ['sts.amazonaws.com'],
      expiration_seconds: 3607,
      api_server: true,
      automounted: true,
      automount: 'default',
    },
    cloud: [
      {
        provider: 'aws',
        source: 'eks_irsa',
        principal: 'arn:aws:iam::111122223333:role/payments-api',
        held: true,
        audience: 'sts.amazonaws.com',
      },
    ],
    spiffe_id: 'spiffe://example.org/ns/payments/sa/payments-api',
    spiffe_source: 'ClusterSPIFFEID/payments',
    secrets: [{ name: 'db-credentials', via: 'env' }],
  })
  expect(identities.state()).toBe('live')
})

test('one watch for each kind; of namespaces the metadata alone; of nodes our own; of Secrets none', async () => {
  await watching()
  await server.requests('watch', 1, namespaces)
  const asked = (path: string) => server.asked.filter((one) => one.path === path)
  for (const path of [accounts, namespaces, nodes, registrations]) {
    const [list] = await server.requests('list', 1, path)
    expect(list?.query.get('resourceVersion'), path).toBe('0')
    await server.requests('watch', 1, path)
    expect(asked(path), path).toHaveLength(2)
  }
  expect(
    asked(namespaces).map(({ accept }) => /PartialObjectMetadata(List)?;g=meta\.k8s\.io;v=v1/.test(accept)),
  ).toEqual([true, true])
  expect(asked(nodes)[0]?.query.get('fieldSelector')).toBe('metadata.name=node-a')
  expect(asked(secrets)).toEqual([])
})

test('token Secrets, where that is allowed: no others, their metadata alone', async () => {
  const identities = await watching({ tokenSecrets: true })
  const [list] = await server.requests('list', 1, secrets)
  expect(list?.accept).toContain('PartialObjectMetadataList')
  expect(list?.query.get('fieldSelector')).toBe('type=kubernetes.io/service-account-token')
  expect(identities.detailOf(oldApp, 'app').credential).toMatchObject({
    kind: 'legacy_secret',
    secret: { name: 'old-app-token', service_account: 'old-app', age_days: 3 },
  })
})

test('what the account lists is guessed at by its name only while token Secrets are not known', async () => {
  const name = 'old-app-token-x7k2q'
  const spec = {
    containers: [{ name: 'app', volumeMounts: [{ name: 'one', mountPath: '/one' }] }],
    volumes: [{ name: 'one', secret: { secretName: name } }],
  }
  const pod = { ...oldApp, spec }
  const listing: V1ServiceAccount = { ...account('old-app', oldApp.namespace), secrets: [{ name }] }
  server.putObject(accounts, listing)
  server.refuse('list', 1, 403, {}, secrets)
  const identities = await watching({ tokenSecrets: true, timing: { afterRefusal: 5 } })
  expect(identities.detailOf(pod, 'app').credential?.kind).toBe('legacy_secret')
  await until(() => identities.detailOf(pod, 'app').missing === undefined)
  expect(identities.detailOf(pod, 'app').credential).toMatchObject({ kind: 'none', api_server: false })
})

test('a change of the account shows, and says that there is another answer', async () => {
  const identities = await watching()
  const before = identities.revision()
  const ledger = account('ledger', 'payments')
  expect(identities.detailOf(postgres, 'postgres').cloud?.map(({ source }) => source)).toEqual([
    'azure_workload_identity',
  ])
  server.putObject(accounts, { ...ledger, metadata: { ...ledger.metadata, annotations: {} } })
  await until(() => identities.revision() > before)
  expect(identities.detailOf(postgres, 'postgres')).not.toHaveProperty('cloud')
})

test('a change of an object that nothing is kept of is none', async () => {
  const identities = await watching()
  await server.requests('watch', 1, accounts)
  const before = identities.revision()
  const ledger = account('ledger', 'payments')
  server.putObject(accounts, { ...ledger, metadata: { ...ledger.metadata, labels: { touched: 'yes' } } })
  server.putObject(accounts, { metadata: { name: 'last', namespace: 'payments' } })
  await until(() => identities.revision() > before)
  expect(identities.revision()).toBe(before + 1)
})

test('the namespace and the registration decide on the SPIFFE ID as they are now', async () => {
  const identities = await watching()
  const namespace = recordedObject<V1Namespace>('namespaces.json', 'payments')
  server.putObject(namespaces, { ...namespace, metadata: { ...namespace.metadata, labels: {} } })
  await until(() => identities.detailOf(payments, 'api').spiffe_id === undefined)
  server.putObject(namespaces, namespace)
  await until(() => identities.detailOf(payments, 'api').spiffe_id !== undefined)
  server.removeObject(registrations, recordedObject('clusterspiffeids.json', 'payments'))
  await until(() => identities.detailOf(payments, 'api').spiffe_id === undefined)
})

test("the node's own role, by its provider ID", async () => {
  const identities = await watching()
  const node = recordedObject<V1Node>('nodes.json', 'node-a')
  server.putObject(nodes, { ...node, spec: { ...node.spec, providerID: 'aws:///eu-1a/i-1' } } as V1Node)
  await until(() => identities.detailOf(redis, 'redis').cloud !== undefined)
  expect(identities.detailOf(redis, 'redis').cloud).toEqual([{ provider: 'aws', source: 'node_role' }])
})

test('other workloads of this node with the same account; the pods of one workload are one', async () => {
  const identities = await watching()
  const settled = (pod: Pod, uid: string, kind: string, name: string): Pod => ({
    ...pod,
    uid,
    owners: [{ kind, name }],
    ownersSettled: true,
  })
  const own = settled(redis, '1', 'StatefulSet', 'redis')
  const before = identities.revision()
  identities.podsChanged([own, settled(redis, '2', 'StatefulSet', 'redis'), settled(redis, '3', 'Deployment', 'cart')])
  expect(identities.revision()).toBe(before + 1)
  expect(identities.detailOf(own, 'redis').shared_with).toEqual(['Deployment/cart'])
  identities.podsChanged([settled(redis, '4', 'Deployment', 'cart'), own])
  expect(identities.revision()).toBe(before + 1)
  identities.podsChanged([own])
  expect(identities.detailOf(own, 'redis')).not.toHaveProperty('shared_with')
})

test('a static pod is waited for no account, and shares none', async () => {
  const identities = await watching()
  const etcd = { ...staticPod(), ownersSettled: true }
  const dns = { ...redis, uid: 'dns', name: 'dns', namespace: 'kube-system', serviceAccount: 'default', owners: [] }
  const scheduler = { ...etcd, uid: 'scheduler', name: 'scheduler', owners: [] }
  identities.podsChanged([etcd, scheduler, { ...dns, ownersSettled: true }])
  for (const pod of [dns, etcd]) expect(identities.detailOf(pod, undefined)).not.toHaveProperty('shared_with')
  expect(identities.settled(etcd)).toBe(true)
  expect(identities.detailOf(etcd, 'etcd').credential).toEqual({ kind: 'none', api_server: false, automounted: false })
})

test('a right that is missing costs what follows from it, is named in each identity, and in the log once', async () => {
  server.refuse('list', 9, 403, {}, accounts)
  const identities = await watching()
  const detail = identities.detailOf(payments, 'api')
  expect(detail.missing).toEqual(['service_accounts'])
  expect(detail.spiffe_id).toBeDefined()
  expect(detail.credential).not.toHaveProperty('automount')
  expect(detail.cloud).toMatchObject([{ principal: 'arn:aws:iam::111122223333:role/payments-api' }])
  expect(identities.detailOf(postgres, 'postgres')).not.toHaveProperty('cloud')
  expect(log.warnings()).toMatchObject([
    {
      message: "serviceaccounts can't be read: identities are without what their accounts say (cloud roles, automount)",
      fields: { remedy: expect.stringContaining('get, list and watch on serviceaccounts') },
    },
  ])
})

test('where SPIRE is not installed there is no such kind: nothing is missing, nothing is said', async () => {
  server.refuse('list', 9, 404, {}, registrations)
  const identities = await watching()
  expect(identities.detailOf(payments, 'api')).not.toHaveProperty('missing')
  expect(identities.detailOf(payments, 'api')).not.toHaveProperty('spiffe_id')
  expect(log.warnings()).toEqual([])
})

test('a right that is given later is found, though nothing was restarted', async () => {
  server.refuse('list', 1, 403, {}, accounts)
  const identities = await watching({ timing: { afterRefusal: 5 } })
  await until(() => identities.detailOf(payments, 'api').missing === undefined)
  expect(identities.detailOf(payments, 'api').credential?.automount).toBe('default')
})

test('before the lists are in, nothing is settled, and what is not known is named', async () => {
  server.ignore('list')
  const identities = watch()
  await server.requests('list', 1, accounts)
  expect(identities.settled(payments)).toBe(false)
  expect(identities.detailOf(payments, 'api').missing).toEqual(['service_accounts', 'spiffe', 'node'])
  expect(identities.detailOf(payments, 'api')).not.toHaveProperty('spiffe_id')
})

test('an account that its watch has not brought yet is waited for', async () => {
  const identities = await watching()
  const late = { ...redis, serviceAccount: 'late' }
  expect(identities.settled(late)).toBe(false)
  server.putObject(accounts, { metadata: { name: 'late', namespace: 'shop' } })
  await until(() => identities.settled(late))
})

test('the API server is away for 10 s: what is known stays, and is stale; back: live', async () => {
  const identities = await watching()
  await server.requests('watch', 1, accounts)
  await server.stop()
  await until(() => log.warnings().length > 0)
  await until(() => {
    now += 10_001
    return identities.state() === 'stale'
  })
  expect(identities.detailOf(payments, 'api').spiffe_id).toBeDefined()
  await server.startAgain()
  await until(() => identities.state() === 'live')
})
