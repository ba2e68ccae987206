/** A server that is there for TCP and says nothing: the watches stand, and nobody would know. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type ApiServer as Client, openApiServer } from '../../enrich/api-server.ts'
import { type Pods, watchPods } from '../../enrich/pods.ts'
import { type ApiServer, recordedPod, startApiServer } from './api-server.ts'
import { changes, memoryLog } from './changes.ts'

const frontend = recordedPod('frontend-5fdb8667d8-jlnd6')
const uid = frontend.metadata?.uid ?? ''
const silence = { least: 20, spread: 10 }

/** What is between sensor and server: it can stop to carry anything, without a word to either. */
async function openWay(to: number) {
  const sockets = new Set<Socket>()
  let frozen = false
  const carry = (from: Socket, into: Socket) => {
    sockets.add(from)
    from.on('data', (data) => frozen || into.write(data))
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      if (!frozen) into.destroy()
    })
  }
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    carry(near, far)
    carry(far, near)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    freeze() {
      frozen = true
    },
    /** What was under way stays lost, as for a host that was started anew. */
    thaw() {
      frozen = false
    },
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((done) => server.close(done))
    },
  }
}

const directory = mkdtempSync(join(tmpdir(), 'nightjar-silence-'))
const file = (name: string) => join(directory, name)
beforeAll(() => {
  const certificate = ['-newkey', 'rsa:2048', '-nodes', '-keyout', file('key'), '-out', file('cert'), '-days', '1']
  const names = ['-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', ['req', '-x509', ...certificate, ...names], { stdio: 'pipe' })
})
afterAll(() => rmSync(directory, { recursive: true }))

describe.each(['HTTP/2 over TLS', 'HTTP/1.1'])('over %s', (protocol) => {
  let api: ApiServer
  let way: Awaited<ReturnType<typeof openWay>>
  let client: Client
  let pods: Pods
  let now = 1_000
  let { changed, until } = changes()
  let log = memoryLog()

  beforeEach(async () => {
    now = 1_000
    ;({ changed, until } = changes())
    log = memoryLog(changed)
    const isSecure = protocol !== 'HTTP/1.1'
    const tls = { key: readFileSync(file('key'), 'utf8'), cert: readFileSync(file('cert'), 'utf8') }
    api = await startApiServer(isSecure ? { tls } : {})
    const server = new URL(api.kubeConfig.getCurrentCluster()?.server ?? '')
    way = await openWay(Number(server.port))
    const kubeConfig = new KubeConfig()
    const authority = isSecure ? { caFile: file('cert') } : { skipTLSVerify: true }
    kubeConfig.loadFromClusterAndUser(
      { name: 'test', server: `${server.protocol}//127.0.0.1:${way.port}`, skipTLSVerify: false, ...authority },
      { name: 'test', token: 'test-token' },
    )
    client = openApiServer(kubeConfig, { silence, lifeTimeoutMs: 1_000 })
    const timing = { firstPause: 2, longestPause: 10 }
    pods = watchPods({ api: client, nodeName: 'node-a', log, onChange: changed, clock: () => now, timing })
    await pods.ready
    await api.requests('watch', 1)
    // Its owners are asked for beside the watch: here the server is to be asked by nobody else.
    await until(() => pods.podOf(uid)?.ownersSettled === true)
  })
  afterEach(async () => {
    pods.close()
    client.close()
    await way.close()
    await api.stop()
  })

  const label = (value: string) =>
    api.put({ ...frontend, metadata: { ...frontend.metadata, labels: { ...frontend.metadata?.labels, test: value } } })
  const labelled = (value: string) => until(() => pods.podOf(uid)?.labels?.test === value)
  const watches = () => api.asked.filter(({ kind }) => kind === 'watch').length
  const broken = () => until(() => log.warnings().length > 0)

  test('a quiet server that answers when it is asked keeps its watch', async () => {
    await api.requests('life', 3, '/')
    label('later')
    await labelled('later')
    expect(watches()).toBe(1)
    expect(log.warnings()).toEqual([])
    expect(pods.state()).toBe('live')
  })

  test('a list that takes long is waited for, as long as the server answers', async () => {
    const release = api.hold('list')
    api.compact()
    api.breakWatches()
    await api.requests('list', 2)
    const before = api.asked.filter(({ kind }) => kind === 'life').length
    await api.requests('life', before + 3, '/')
    label('slowly')
    release()
    await labelled('slowly')
    expect(api.asked.filter(({ kind }) => kind === 'list')).toHaveLength(2)
  })

  test.each([401, 403, 404, 429, 500])('a server that refuses to say how it is (%i) is there', async (status) => {
    api.refuse('life', Number.POSITIVE_INFINITY, status)
    await api.requests('life', 3, '/')
    expect(watches()).toBe(1)
    expect(log.warnings()).toEqual([])
  })

  test.each([502, 503, 504])('a proxy that says the server is not there (%i) is believed', async (status) => {
    api.refuse('life', 1, status)
    await broken()
    expect(log.warnings()[0]?.fields).toMatchObject({ reason: `no answer from the API server: HTTP ${status}` })
    await api.requests('watch', 2)
  })

  test('half-open: stale, though no connection says so; live and up to date when the way is open again', async () => {
    way.freeze()
    label('unheard')
    await broken()
    expect(log.warnings()[0]).toMatchObject({
      message: 'the watch of pods is broken',
      fields: { reason: expect.stringContaining('no answer from the API server') },
    })
    now += 10_001
    expect(pods.state()).toBe('stale')
    way.thaw()
    await labelled('unheard')
    await until(() => pods.state() === 'live')
  })

  test('a server that takes no new connections and leaves its watches open is on its way out', async () => {
    api.drain()
    await broken()
    now += 10_001
    expect(pods.state()).toBe('stale')
    await api.stop()
    await api.startAgain()
    label('back')
    await labelled('back')
    await until(() => pods.state() === 'live')
  })
})
