/**
 * A small API server of the tests' own: pods and other kinds with list and watch, ReplicaSets and Jobs to read, and the
 * faults that a real one won't show on demand. Its objects are the recorded ones.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { KubeConfig, type KubernetesObject, type V1Job, type V1Pod, type V1ReplicaSet } from '@kubernetes/client-node'

export type Asked = {
  kind: 'list' | 'watch' | 'read' | 'life'
  path: string
  query: URLSearchParams
  accept: string
  authorization: string
  at: number
}
type WatchLine = { type: string; version: number; path: string; object: unknown }
type Refusing = { kind: Asked['kind']; path: string; times: number; status: number; headers: Record<string, string> }
type Watcher = { response: ServerResponse; path: string; node: string | null; since: number }

const podsPath = '/api/v1/pods'
/** Whole collections: path to the file of what was recorded of them. */
const collections: Record<string, string> = {
  '/api/v1/serviceaccounts': 'serviceaccounts.json',
  '/api/v1/namespaces': 'namespaces.json',
  '/api/v1/nodes': 'nodes.json',
  '/api/v1/secrets': 'secrets.json',
  '/apis/spire.spiffe.io/v1alpha1/clusterspiffeids': 'clusterspiffeids.json',
  '/apis/rbac.authorization.k8s.io/v1/roles': 'roles.json',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles': 'clusterroles.json',
  '/apis/rbac.authorization.k8s.io/v1/rolebindings': 'rolebindings.json',
  '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings': 'clusterrolebindings.json',
  '/api/v1/services': 'services.json',
  '/apis/discovery.k8s.io/v1/endpointslices': 'endpointslices.json',
  '/apis/networking.k8s.io/v1/networkpolicies': 'networkpolicies.json',
}

const fixtures = join(import.meta.dirname, '../../../shared/fixtures/k8s')
const recorded = <T>(file: string): T[] => JSON.parse(readFileSync(join(fixtures, file), 'utf8')).items

/** The recorded pod of this name. */
export const recordedPod = (name: string): V1Pod => recordedObject('pods.json', name)

/** The first recorded object of this name in a file of them. */
export function recordedObject<T extends KubernetesObject>(file: string, name: string, namespace?: string): T {
  const found = recorded<T>(file).find(
    ({ metadata }) => metadata?.name === name && (namespace === undefined || metadata.namespace === namespace),
  )
  if (!found) throw new Error(`no ${name} in ${fixtures}/${file}`)
  return found
}

/** The recorded watch, line by line. */
export const recordedWatch = () => readFileSync(join(fixtures, 'watch-pods.jsonl'), 'utf8').trimEnd().split('\n')

/** `tls`: it speaks HTTP/2 and nothing else, as a real one does with those who can; else HTTP/1.1 without TLS. */
export async function startApiServer(options: { pods?: V1Pod[]; tls?: { key: string; cert: string } } = {}) {
  const readable = new Map<string, V1ReplicaSet | V1Job>()
  for (const one of recorded<V1ReplicaSet>('replicasets.json')) readable.set(pathOf('apps/v1', 'replicasets', one), one)
  for (const one of recorded<V1Job>('jobs.json')) readable.set(pathOf('batch/v1', 'jobs', one), one)

  const pods = new Map<string, V1Pod>()
  const history: WatchLine[] = []
  const others = new Map<string, Map<string, KubernetesObject>>()
  const watchers = new Set<Watcher>()
  const asked: Asked[] = []
  const refusing: Refusing[] = []
  const listeners = new Set<() => void>()
  let version = 500
  let oldest = 0
  let pieceLength = Number.POSITIVE_INFINITY
  let silent: Asked['kind'] | undefined
  let held: { kind: Asked['kind']; answers: (() => void)[] } | undefined
  let credentials: string | undefined

  for (const pod of options.pods ?? recorded<V1Pod>('pods.json')) pods.set(pod.metadata?.uid ?? '', pod)
  for (const [path, file] of Object.entries(collections)) {
    others.set(path, new Map(recorded<KubernetesObject>(file).map((object) => [keyOf(object), object])))
  }

  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const entry = understood(request)
    asked.push(entry)
    answer(entry, response)
    for (const listener of listeners) listener()
  }
  // node:http2 gives requests and responses of its own that can do what is needed of node:http's.
  const server = options.tls
    ? (createSecureServer(options.tls, handle as never) as unknown as Server)
    : createServer(handle)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })

  function answer({ kind, path, query, authorization }: Omit<Asked, 'accept' | 'at'>, response: ServerResponse): void {
    if (silent === kind) return
    if (held?.kind === kind) {
      held.answers.push(() => answer({ kind, path, query, authorization }, response))
      return
    }
    const refusal = refusing.find((one) => one.kind === kind && one.times > 0 && path.startsWith(one.path))
    if (credentials !== undefined && authorization !== credentials) {
      refuse(response, 401, {})
    } else if (refusal) {
      refusal.times -= 1
      refuse(response, refusal.status, refusal.headers)
    } else if (kind === 'list') {
      const items =
        path === podsPath
          ? [...pods.values()].filter((pod) => isOn(pod, nodeOf(query)))
          : [...(others.get(path)?.values() ?? [])]
      send(response, 200, { kind: 'List', metadata: { resourceVersion: String(version) }, items })
    } else if (kind === 'watch') {
      openWatch(path, query, response)
    } else if (kind === 'life') {
      send(response, 200, 'ok')
    } else {
      const object = readable.get(path)
      if (object) send(response, 200, object)
      else refuse(response, 404, {})
    }
  }

  function openWatch(path: string, query: URLSearchParams, response: ServerResponse): void {
    const since = Number(query.get('resourceVersion'))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const watcher = { response, path, node: nodeOf(query), since }
    if (since < oldest) {
      write(watcher, 'ERROR', {
        kind: 'Status',
        code: 410,
        reason: 'Expired',
        message: `too old resource version: ${since}`,
      })
      response.end()
      return
    }
    for (const line of history) if (line.path === path) write(watcher, line.type, line.object, line.version)
    watchers.add(watcher)
    response.on('close', () => watchers.delete(watcher))
  }

  /** Only what is newer than the version that the watch is from, also where that is ahead of this server. */
  function write(
    { response, path, node, since }: Watcher,
    type: string,
    object: unknown,
    at = Number.POSITIVE_INFINITY,
  ) {
    if (at <= since) return
    if (path === podsPath && type !== 'BOOKMARK' && type !== 'ERROR' && !isOn(object as V1Pod, node)) return
    raw(response, `${JSON.stringify({ type, object })}\n`)
  }

  // Bytes, not characters: a piece may end in the middle of a character too.
  function raw(response: ServerResponse, line: string): void {
    const bytes = Buffer.from(line)
    for (let at = 0; at < bytes.length; at += pieceLength) response.write(bytes.subarray(at, at + pieceLength))
  }

  function tell(type: string, object: unknown, path = podsPath): void {
    history.push({ type, version, path, object })
    for (const watcher of watchers) if (watcher.path === path) write(watcher, type, object, version)
  }

  function stamped<T extends KubernetesObject>(object: T): T {
    version += 1
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } }
  }

  const listen = (port: number) => new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  await listen(0)
  const { port } = server.address() as AddressInfo

  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser(
    { name: 'test', server: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: 'test', token: 'test-token' },
  )

  function stop(): Promise<void> {
    for (const socket of sockets) socket.destroy()
    return new Promise((done) => server.close(() => done()))
  }

  return {
    kubeConfig,
    asked,
    /** Resolves when `count` requests of this kind (reads: of any object) have come since the start. */
    requests(kind: Asked['kind'], count: number, path = kind === 'read' ? '' : podsPath): Promise<Asked[]> {
      const { promise, resolve } = Promise.withResolvers<Asked[]>()
      const look = () => {
        const found = asked.filter((one) => one.kind === kind && one.path.startsWith(path))
        if (found.length < count) return
        listeners.delete(look)
        resolve(found)
      }
      listeners.add(look)
      look()
      return promise
    },
    put(pod: V1Pod): void {
      const uid = pod.metadata?.uid ?? ''
      const type = pods.has(uid) ? 'MODIFIED' : 'ADDED'
      pods.set(uid, stamped(pod))
      tell(type, pods.get(uid))
    },
    remove(pod: V1Pod): void {
      pods.delete(pod.metadata?.uid ?? '')
      tell('DELETED', stamped(pod))
    },
    /** An object of another kind, by the path of its collection. */
    putObject(path: string, object: KubernetesObject): void {
      const objects = others.get(path)
      const type = objects?.has(keyOf(object)) ? 'MODIFIED' : 'ADDED'
      const next = stamped(object)
      objects?.set(keyOf(object), next)
      tell(type, next, path)
    },
    removeObject(path: string, object: KubernetesObject): void {
      others.get(path)?.delete(keyOf(object))
      tell('DELETED', stamped(object), path)
    },
    bookmark(): void {
      version += 1
      tell('BOOKMARK', { kind: 'Pod', metadata: { resourceVersion: String(version) }, spec: { containers: null } })
    },
    /** Sends this line as it is to the open watches. */
    line(text: string): void {
      for (const { response } of watchers) raw(response, `${text}\n`)
    },
    /** Writes go out in pieces of so many bytes. */
    cutInto(bytes: number): void {
      pieceLength = bytes
    },
    /** What happened so far can't be watched any more, as after a compaction of etcd. */
    compact(): void {
      version += 1
      oldest = version
    },
    /** Other pods, and versions that count anew: as after a restore from a backup. */
    restore(objects: V1Pod[]): void {
      version = 1
      oldest = 0
      history.length = 0
      pods.clear()
      for (const object of objects) pods.set(object.metadata?.uid ?? '', stamped(object))
    },
    /** Ends the open watches as the server does at their timeout. */
    endWatches(): void {
      for (const { response } of watchers) response.end()
      watchers.clear()
    },
    /** Breaks the open watches' connections. */
    breakWatches(): void {
      for (const { response } of watchers) response.destroy()
      watchers.clear()
    },
    /** `path`: what the paths of the requests begin with. */
    refuse(kind: Asked['kind'], times: number, status: number, headers: Record<string, string> = {}, path = ''): void {
      refusing.push({ kind, path, times, status, headers })
    },
    /** Takes no new connections, and leaves its watches as they are: as after SIGTERM, for a minute. */
    drain(): void {
      server.close()
    },
    /** Takes such requests and never answers. */
    ignore(kind: Asked['kind'] | undefined): void {
      silent = kind
    },
    /** Takes its time with such requests, until what is returned is called. */
    hold(kind: Asked['kind']): () => void {
      const mine = { kind, answers: [] as (() => void)[] }
      held = mine
      return () => {
        held = undefined
        for (const answer of mine.answers) answer()
      }
    },
    /** From now on only requests with this Authorization are answered. */
    accept(authorization: string): void {
      credentials = authorization
    },
    give(path: string, object: V1ReplicaSet | V1Job): void {
      readable.set(path, object)
    },
    stop,
    startAgain: () => listen(port),
  }
}
export type ApiServer = Awaited<ReturnType<typeof startApiServer>>

function understood(request: IncomingMessage): Asked {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://test')
  const isCollection = pathname === podsPath || pathname in collections
  const isWatch = searchParams.get('watch') === 'true'
  const kind = pathname === '/livez' ? 'life' : !isCollection ? 'read' : isWatch ? 'watch' : 'list'
  const { accept = '', authorization = '' } = request.headers
  return { kind, path: pathname, query: searchParams, accept, authorization, at: performance.now() }
}

const keyOf = ({ metadata }: KubernetesObject) => `${metadata?.namespace ?? ''}/${metadata?.name}`

function pathOf(api: string, resource: string, { metadata }: V1ReplicaSet | V1Job): string {
  return `/apis/${api}/namespaces/${metadata?.namespace}/${resource}/${metadata?.name}`
}

const nodeOf = (query: URLSearchParams) => /^spec\.nodeName=(.*)$/.exec(query.get('fieldSelector') ?? '')?.[1] ?? null
const isOn = (pod: V1Pod, node: string | null) => node === null || pod.spec?.nodeName === node

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

const refuse = (response: ServerResponse, status: number, headers: Record<string, string>) =>
  send(
    response,
    status,
    { kind: 'Status', status: 'Failure', code: status, message: `refused with ${status}` },
    headers,
  )
