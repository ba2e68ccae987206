/**
 * A small API server of the tests' own: pods with list and watch, ReplicaSets and Jobs to read, and the faults that a
 * real one won't show on demand. Its objects are the recorded ones.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { KubeConfig, type V1Job, type V1Pod, type V1ReplicaSet } from '@kubernetes/client-node'

export type Asked = { kind: 'list' | 'watch' | 'read'; path: string; query: URLSearchParams; at: number }
type WatchLine = { type: string; version: number; object: unknown }
type Refusing = { kind: Asked['kind']; times: number; status: number; headers: Record<string, string> }

const fixtures = join(import.meta.dirname, '../../../shared/fixtures/k8s')
const recorded = <T>(file: string): T[] => JSON.parse(readFileSync(join(fixtures, file), 'utf8')).items

/** The recorded pod of this name. */
export function recordedPod(name: string): V1Pod {
  const pod = recorded<V1Pod>('pods.json').find((one) => one.metadata?.name === name)
  if (!pod) throw new Error(`no pod ${name} in ${fixtures}/pods.json`)
  return pod
}

/** The recorded watch, line by line. */
export const recordedWatch = () => readFileSync(join(fixtures, 'watch-pods.jsonl'), 'utf8').trimEnd().split('\n')

export async function startApiServer(options: { pods?: V1Pod[] } = {}) {
  const readable = new Map<string, V1ReplicaSet | V1Job>()
  for (const one of recorded<V1ReplicaSet>('replicasets.json')) readable.set(pathOf('apps/v1', 'replicasets', one), one)
  for (const one of recorded<V1Job>('jobs.json')) readable.set(pathOf('batch/v1', 'jobs', one), one)

  const pods = new Map<string, V1Pod>()
  const history: WatchLine[] = []
  const watchers = new Set<{ response: ServerResponse; node: string | null }>()
  const asked: Asked[] = []
  const refusing: Refusing[] = []
  const listeners = new Set<() => void>()
  let version = 500
  let oldest = 0
  let pieceLength = Number.POSITIVE_INFINITY
  let silent: Asked['kind'] | undefined

  for (const pod of options.pods ?? recorded<V1Pod>('pods.json')) pods.set(pod.metadata?.uid ?? '', pod)

  const server = createServer((request, response) => {
    const entry = understood(request)
    asked.push(entry)
    answer(entry, response)
    for (const listener of listeners) listener()
  })

  function answer({ kind, path, query }: Asked, response: ServerResponse): void {
    if (silent === kind) return
    const refusal = refusing.find((one) => one.kind === kind && one.times > 0)
    if (refusal) {
      refusal.times -= 1
      refuse(response, refusal.status, refusal.headers)
    } else if (kind === 'list') {
      const items = [...pods.values()].filter((pod) => isOn(pod, nodeOf(query)))
      send(response, 200, { kind: 'PodList', metadata: { resourceVersion: String(version) }, items })
    } else if (kind === 'watch') {
      openWatch(query, response)
    } else {
      const object = readable.get(path)
      if (object) send(response, 200, object)
      else refuse(response, 404, {})
    }
  }

  function openWatch(query: URLSearchParams, response: ServerResponse): void {
    const since = Number(query.get('resourceVersion'))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const watcher = { response, node: nodeOf(query) }
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
    for (const line of history) if (line.version > since) write(watcher, line.type, line.object)
    watchers.add(watcher)
    response.on('close', () => watchers.delete(watcher))
  }

  function write({ response, node }: { response: ServerResponse; node: string | null }, type: string, object: unknown) {
    if (type !== 'BOOKMARK' && type !== 'ERROR' && !isOn(object as V1Pod, node)) return
    raw(response, `${JSON.stringify({ type, object })}\n`)
  }

  // Bytes, not characters: a piece may end in the middle of a character too.
  function raw(response: ServerResponse, line: string): void {
    const bytes = Buffer.from(line)
    for (let at = 0; at < bytes.length; at += pieceLength) response.write(bytes.subarray(at, at + pieceLength))
  }

  function tell(type: string, object: unknown): void {
    history.push({ type, version, object })
    for (const watcher of watchers) write(watcher, type, object)
  }

  function stamped(pod: V1Pod): V1Pod {
    version += 1
    return { ...pod, metadata: { ...pod.metadata, resourceVersion: String(version) } }
  }

  const listen = (port: number) => new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  await listen(0)
  const { port } = server.address() as AddressInfo

  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser(
    { name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: 'test', token: 'test-token' },
  )

  function stop(): Promise<void> {
    server.closeAllConnections()
    return new Promise((done) => server.close(() => done()))
  }

  return {
    kubeConfig,
    asked,
    /** Resolves when `count` requests of this kind have come since the start. */
    requests(kind: Asked['kind'], count: number): Promise<Asked[]> {
      const { promise, resolve } = Promise.withResolvers<Asked[]>()
      const look = () => {
        const found = asked.filter((one) => one.kind === kind)
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
    refuse(kind: Asked['kind'], times: number, status: number, headers: Record<string, string> = {}): void {
      refusing.push({ kind, times, status, headers })
    },
    /** Takes such requests and never answers. */
    ignore(kind: Asked['kind'] | undefined): void {
      silent = kind
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
  const isPods = pathname === '/api/v1/pods'
  const kind = !isPods ? 'read' : searchParams.get('watch') === 'true' ? 'watch' : 'list'
  return { kind, path: pathname, query: searchParams, at: performance.now() }
}

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
