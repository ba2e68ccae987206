import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type ApiServer as Client, openApiServer } from '../../enrich/api-server.ts'
import { type Pods, watchPods } from '../../enrich/pods.ts'
import { type ApiServer, recordedPod, recordedWatch, startApiServer } from './api-server.ts'
import { changes, memoryLog } from './changes.ts'

const frontend = recordedPod('frontend-5fdb8667d8-jlnd6')
const redis = recordedPod('redis-0')
const uid = (pod: typeof frontend) => pod.metadata?.uid ?? ''
const nginxId = '2b4bb781a7e866728ca2b8d1758f79ecbcda529fa4e6a4ddeb00ba85b0596170'
const migrateId = 'ab9fd17f579f265158463d8aafddb81158de470a6ffd60b53e279e4631fb0ea2'
const quick = { firstPause: 2, longestPause: 10 }

let api: ApiServer
let client: Client | undefined
let pods: Pods | undefined
let now = 1_000
let { changed, until } = changes()
let log = memoryLog()

beforeEach(async () => {
  now = 1_000
  ;({ changed, until } = changes())
  log = memoryLog(changed)
  api = await startApiServer()
})
afterEach(async () => {
  pods?.close()
  pods = undefined
  client?.close()
  client = undefined
  await api.stop()
})

function watch(timing = {}): Pods {
  client = openApiServer(api.kubeConfig)
  pods = watchPods({
    api: client,
    nodeName: 'node-a',
    log,
    onChange: changed,
    clock: () => now,
    timing: { ...quick, ...timing },
  })
  return pods
}

async function watching(timing = {}): Promise<Pods> {
  const opened = watch(timing)
  await opened.ready
  await api.requests('watch', 1)
  await until(() => (opened.podOf(uid(frontend))?.owners.length ?? 0) === 2)
  return opened
}

const withLabel = (pod: typeof frontend, value: string) => ({
  ...pod,
  metadata: { ...pod.metadata, labels: { ...pod.metadata?.labels, test: value } },
})
const labelOf = (pod: typeof frontend) => pods?.podOf(uid(pod))?.labels?.test
const settled = () => until(() => pods?.podOf(uid(redis))?.ownersSettled === true)

test('the pods of this node, and no others, are known when the first list is in', async () => {
  const pods = await watching()
  expect(pods.podOf(uid(frontend))).toMatchObject({
    namespace: 'shop',
    name: 'frontend-5fdb8667d8-jlnd6',
    serviceAccount: 'frontend',
    labels: { app: 'frontend', tier: 'web' },
    owners: [
      { kind: 'ReplicaSet', name: 'frontend-5fdb8667d8' },
      { kind: 'Deployment', name: 'frontend' },
    ],
    ownersSettled: true,
  })
  expect(pods.podOf(uid(recordedPod('cart-58dc5c54b5-r255d')))).toBeUndefined()
  expect(pods.state()).toBe('live')
})

test('containers and init containers are found by id, with the image asked for and the digest that runs', async () => {
  const pods = await watching()
  expect(pods.containerOf(nginxId)?.container).toEqual({
    name: 'nginx',
    image: 'registry.example/library/nginx:1.27.3',
    imageId: 'registry.example/library/nginx@sha256:136dc993678d134423468512cb11c185aacd1a1eb44446233eee04ab36633735',
    runtime: 'containerd',
    kind: 'app',
    startTime: Date.UTC(2026, 10, 21, 22, 32, 47),
    restartCount: 0,
  })
  expect(pods.containerOf(migrateId)?.container).toMatchObject({ name: 'migrate', kind: 'init' })
  expect(pods.containerOf(migrateId)?.pod.name).toBe('frontend-5fdb8667d8-jlnd6')
})

test('the list spares etcd, the watch goes on from it, and both name the node', async () => {
  await watching()
  const [list, watched] = api.asked.filter((one) => one.kind !== 'read')
  expect(Object.fromEntries(list?.query ?? [])).toEqual({ fieldSelector: 'spec.nodeName=node-a', resourceVersion: '0' })
  expect(Object.fromEntries(watched?.query ?? [])).toMatchObject({
    fieldSelector: 'spec.nodeName=node-a',
    resourceVersion: '500',
    allowWatchBookmarks: 'true',
  })
  expect(Number(watched?.query.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300)
})

test('the recorded watch, cut into pieces in the middle of lines and characters, gives the same pods', async () => {
  await api.stop()
  api = await startApiServer({ pods: [] })
  api.cutInto(997)
  const pods = watch()
  await api.requests('watch', 1)
  for (const line of recordedWatch()) api.line(line)
  api.cutInto(1)
  const last = { ...redis, metadata: { ...redis.metadata, uid: 'last', labels: { test: 'größe→✓' } } }
  api.put(last)
  await until(() => pods.podOf('last') !== undefined)
  expect(pods.podOf('last')?.labels).toEqual({ test: 'größe→✓' })
  expect(pods.containerOf(nginxId)?.container.name).toBe('nginx')
  // Deleted in the recording, and so kept for its last events.
  expect(pods.podOf('dab24903-57cd-45a9-8250-a3b0022d903b')?.name).toBe('cart-58dc5c54b5-kcs65')
  expect(log.warnings().map((one) => one.message)).toEqual([
    'the API server has no pod on a node of this name: is kubernetes.nodeName right?',
  ])
})

test('a change arrives without another list', async () => {
  await watching()
  api.put(withLabel(frontend, 'changed'))
  await until(() => labelOf(frontend) === 'changed')
  expect(api.asked.filter((one) => one.kind === 'list')).toHaveLength(1)
})

test('when the server ends the watch it goes on from the last version, bookmarks included', async () => {
  await watching()
  api.put(withLabel(frontend, 'changed'))
  api.bookmark()
  api.put(withLabel(redis, 'last'))
  api.bookmark()
  await until(() => labelOf(redis) === 'last')
  api.endWatches()
  const [, again] = await api.requests('watch', 2)
  expect(again?.query.get('resourceVersion')).toBe('504')
  expect(api.asked.filter((one) => one.kind === 'list')).toHaveLength(1)
})

test('when the connection breaks, nothing that happened meanwhile is missed', async () => {
  await watching()
  api.put(withLabel(frontend, 'before'))
  await until(() => labelOf(frontend) === 'before')
  api.breakWatches()
  api.put(withLabel(frontend, 'meanwhile'))
  await until(() => labelOf(frontend) === 'meanwhile')
  const [, again] = await api.requests('watch', 2)
  expect(again?.query.get('resourceVersion')).toBe('501')
  expect(api.asked.filter((one) => one.kind === 'list')).toHaveLength(1)
})

test('410 Gone: the pods are listed again, from the newest state, and those that vanished meanwhile are gone', async () => {
  const pods = await watching()
  api.refuse('watch', 1, 503)
  api.breakWatches()
  await api.requests('watch', 2)
  api.remove(redis)
  api.put(withLabel(frontend, 'listed'))
  api.compact()
  await until(() => labelOf(frontend) === 'listed')
  const [, second] = await api.requests('list', 2)
  expect(second?.query.has('resourceVersion')).toBe(false)
  expect(pods.podOf(uid(redis))?.name).toBe('redis-0')
  now += 60_000
  expect(pods.podOf(uid(redis))).toBeUndefined()
})

test('410 as the answer itself means the same', async () => {
  await watching()
  api.refuse('watch', 1, 410)
  api.endWatches()
  api.put(withLabel(frontend, 'listed'))
  await until(() => labelOf(frontend) === 'listed')
  await api.requests('list', 2)
})

test('a line that is not JSON: what it said is lost, so the pods are listed again', async () => {
  await watching()
  api.put(withLabel(frontend, 'listed'))
  api.line('{"type":"MODIFIED","object":{')
  await api.requests('list', 2)
  await until(() => labelOf(frontend) === 'listed')
})

test.each(['list', 'watch'] as const)(
  '429 on %s: the next request comes after what Retry-After asks for',
  async (kind) => {
    api.refuse(kind, 1, 429, { 'retry-after': '1' })
    watch()
    const [first, second] = await api.requests(kind, 2)
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(999)
  },
)

test('a watch on which nothing comes, not even a bookmark, is taken for broken and opened again', async () => {
  await watching({ quiet: 30 })
  const watches = await api.requests('watch', 3)
  expect(watches.map((one) => one.query.get('resourceVersion'))).toEqual(['500', '500', '500'])
  expect(log.warnings()[0]?.fields).toMatchObject({ reason: 'no answer for 30 ms' })
})

test('a server that takes requests and never answers is asked again', async () => {
  api.ignore('list')
  const pods = watch({ list: 30 })
  await api.requests('list', 2)
  api.ignore(undefined)
  await pods.ready
  expect(pods.podOf(uid(redis))?.name).toBe('redis-0')
})

test('a watch that the server ends at once, again and again, is opened with pauses', async () => {
  await watching({ firstPause: 40, longestPause: 40 })
  api.endWatches()
  const [, second] = await api.requests('watch', 2)
  api.endWatches()
  const [, , third] = await api.requests('watch', 3)
  expect((third?.at ?? 0) - (second?.at ?? 0)).toBeGreaterThanOrEqual(19)
})

test('the API server is away: what is known stays, marked stale, and the log says it once; back: live, and up to date', async () => {
  const pods = await watching()
  await api.stop()
  await until(() => log.warnings().length > 0)
  expect(pods.state()).toBe('live')
  now += 10_001
  expect(pods.state()).toBe('stale')
  expect(pods.podOf(uid(frontend))?.serviceAccount).toBe('frontend')
  api.put(withLabel(frontend, 'back'))
  await api.startAgain()
  await until(() => labelOf(frontend) === 'back')
  expect(pods.state()).toBe('live')
  await until(() => log.said.at(-1)?.message === 'the watch of pods is back')
  expect(log.warnings()).toHaveLength(1)
})

test('the API server is back from a backup, with other pods and versions that count anew: it is listed again', async () => {
  const pods = await watching()
  await api.stop()
  await until(() => log.warnings().length > 0)
  now += 3_600_000
  expect(pods.state()).toBe('stale')
  api.restore([withLabel(redis, 'restored')])
  await api.startAgain()
  await until(() => labelOf(redis) === 'restored')
  expect(pods.state()).toBe('live')
  await api.requests('watch', 2)
  api.put(withLabel(frontend, 'new'))
  await until(() => labelOf(frontend) === 'new')
})

test('a token that was rotated is read anew when the old one is no longer taken', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-token-'))
  const file = join(directory, 'token')
  writeFileSync(file, 'first')
  const [cluster] = api.kubeConfig.clusters
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser(
    { name: 'test', server: cluster?.server ?? '', skipTLSVerify: true },
    { name: 'test', authProvider: { name: 'tokenFile', config: { tokenFile: file } } },
  )
  client = openApiServer(kubeConfig)
  pods = watchPods({ api: client, nodeName: 'node-a', log, onChange: changed, timing: quick })
  await api.requests('watch', 1)
  writeFileSync(file, 'second')
  api.accept('Bearer second')
  api.breakWatches()
  vi.setSystemTime(Date.now() + 61_000)
  await until(() => log.said.at(-1)?.message === 'the watch of pods is back')
  vi.useRealTimers()
  rmSync(directory, { recursive: true })
})

test('the API server is away at the start: the sensor waits for it and never fails', async () => {
  await api.stop()
  const pods = watch()
  now += 10_001
  expect(pods.state()).toBe('stale')
  await api.startAgain()
  await pods.ready
  expect(pods.podOf(uid(redis))?.name).toBe('redis-0')
})

test('a missing right is named in the log, with the remedy', async () => {
  api.refuse('list', 1, 403)
  await watch().ready
  expect(log.warnings()[0]?.fields).toMatchObject({
    reason: 'HTTP 403: refused with 403',
    remedy: expect.stringContaining('get, list and watch on pods'),
  })
})

test('a deleted pod stays for 60 seconds; one of the same name that takes its place is another pod', async () => {
  const pods = await watching()
  await settled()
  const successor = {
    ...redis,
    metadata: { ...redis.metadata, uid: 'aaaaaaaa-0000-4000-8000-000000000001' },
    spec: redis.spec && { ...redis.spec, serviceAccountName: 'other' },
    status: {},
  }
  api.remove(redis)
  api.put(successor)
  await until(() => pods.podOf(uid(successor)) !== undefined)
  expect(pods.podOf(uid(redis))).toMatchObject({ name: 'redis-0', serviceAccount: 'default' })
  expect(pods.podOf(uid(successor))).toMatchObject({ name: 'redis-0', serviceAccount: 'other' })
  const container = redis.status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? ''
  now += 59_999
  expect(pods.containerOf(container)?.pod.uid).toBe(uid(redis))
  now += 1
  expect(pods.podOf(uid(redis))).toBeUndefined()
  expect(pods.containerOf(container)).toBeUndefined()
})

test('owners that could not be read are tried again with the next bookmark', async () => {
  api.refuse('read', 6, 500)
  const pods = watch()
  await until(() => pods.podOf(uid(frontend))?.ownersSettled === true)
  expect(pods.podOf(uid(frontend))?.owners).toEqual([{ kind: 'ReplicaSet', name: 'frontend-5fdb8667d8' }])
  await api.requests('watch', 1)
  await api.requests('read', 6)
  now += 10_000
  api.bookmark()
  await until(() => pods.podOf(uid(frontend))?.owners.at(-1)?.kind === 'Deployment')
})

test('a restarted container: the new id and the one before are known', async () => {
  const pods = await watching()
  const [status] = redis.status?.containerStatuses ?? []
  if (!status) throw new Error('redis-0 has no container status')
  const old = status.containerID ?? ''
  const id = 'c'.repeat(64)
  const restarted = {
    ...status,
    containerID: `containerd://${id}`,
    restartCount: 1,
    lastState: { terminated: { exitCode: 137, containerID: old } },
  }
  api.put({ ...redis, status: { ...redis.status, containerStatuses: [restarted] } })
  await until(() => pods.containerOf(id) !== undefined)
  expect(pods.containerOf(old.replace('containerd://', ''))?.container).toMatchObject({
    name: 'redis',
    image: 'registry.example/library/redis:7.4',
    restartCount: 0,
  })
  expect(pods.containerOf(id)?.container).toMatchObject({ name: 'redis', restartCount: 1 })
})

test('an init container that is always restarted is a sidecar', async () => {
  const pods = await watching()
  const [container] = redis.spec?.containers ?? []
  const [status] = redis.status?.containerStatuses ?? []
  if (!container || !status) throw new Error('redis-0 has no container')
  const id = 'e'.repeat(64)
  api.put({
    ...redis,
    spec: redis.spec && { ...redis.spec, initContainers: [{ ...container, name: 'proxy', restartPolicy: 'Always' }] },
    status: {
      ...redis.status,
      initContainerStatuses: [{ ...status, name: 'proxy', containerID: `containerd://${id}` }],
    },
  })
  await until(() => pods.containerOf(id) !== undefined)
  expect(pods.containerOf(id)?.container).toMatchObject({ name: 'proxy', kind: 'sidecar' })
})

test('annotations are kept where they are short, but for what kubectl apply writes there for itself', async () => {
  const pods = await watching()
  const annotations = {
    'example.com/owner': 'team-a',
    'example.com/limit': 'x'.repeat(256),
    'example.com/document': 'x'.repeat(257),
    'example.com/umlauts': 'ä'.repeat(129),
    'kubectl.kubernetes.io/last-applied-configuration': '{}',
  }
  api.put(withLabel({ ...redis, metadata: { ...redis.metadata, annotations } }, 'annotated'))
  await until(() => labelOf(redis) === 'annotated')
  expect(Object.keys(pods.podOf(uid(redis))?.annotations ?? {})).toEqual(['example.com/owner', 'example.com/limit'])
})

test('an ephemeral container is found with the image it was started from', async () => {
  const pods = await watching()
  const id = 'd'.repeat(64)
  api.put({
    ...redis,
    spec: redis.spec && { ...redis.spec, ephemeralContainers: [{ name: 'debug', image: 'busybox:1.36' }] },
    status: {
      ...redis.status,
      ephemeralContainerStatuses: [
        { name: 'debug', image: '', imageID: '', ready: false, restartCount: 0, containerID: `cri-o://${id}` },
      ],
    },
  })
  await until(() => pods.containerOf(id) !== undefined)
  expect(pods.containerOf(id)?.container).toEqual({
    name: 'debug',
    kind: 'ephemeral',
    image: 'busybox:1.36',
    runtime: 'cri-o',
    restartCount: 0,
  })
})

test('a new image in the spec is not taken for that of the container that still runs', async () => {
  const pods = await watching()
  const spec = redis.spec && {
    ...redis.spec,
    containers: [{ name: 'redis', image: 'registry.example/library/redis:8' }],
  }
  api.put(withLabel({ ...redis, spec }, 'updated'))
  await until(() => labelOf(redis) === 'updated')
  const [container] = pods.podOf(uid(redis))?.containers.values() ?? []
  expect(container?.image).toBe('registry.example/library/redis:7.4')
})

test('a static pod is found by the hash that its cgroup carries; it has no service account', async () => {
  const pods = await watching()
  const hash = '8b1a9953c4611296a827abf8c47804d7'
  const mirror = {
    ...redis,
    metadata: {
      ...redis.metadata,
      name: 'kube-apiserver-node-a',
      uid: 'bbbbbbbb-0000-4000-8000-000000000001',
      annotations: { 'kubernetes.io/config.hash': hash, 'kubernetes.io/config.mirror': hash },
    },
    spec: { nodeName: 'node-a', containers: [{ name: 'kube-apiserver' }] },
  }
  api.put(mirror)
  await until(() => pods.podOf(hash) !== undefined)
  expect(pods.podOf(hash)).toMatchObject({ name: 'kube-apiserver-node-a', uid: uid(mirror) })
  expect(pods.podOf(hash)).not.toHaveProperty('serviceAccount')
})

test('an object without what every pod has is passed over, and the watch goes on', async () => {
  await watching()
  api.line('{"type":"ADDED","object":{"metadata":{"resourceVersion":"600"},"spec":null,"status":null}}')
  api.put(withLabel(frontend, 'after'))
  await until(() => labelOf(frontend) === 'after')
})

test('after close() nothing is asked any more, and ready does not hang', async () => {
  await api.stop()
  const pods = watch()
  pods.close()
  await pods.ready
  await api.startAgain()
  const before = api.asked.length
  await new Promise((done) => setImmediate(done))
  expect(api.asked).toHaveLength(before)
})
