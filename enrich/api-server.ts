/**
 * GET and watch against the API server, with the credentials of a KubeConfig.
 *
 * Not the library's own Watch and informer: Watch hands on neither Retry-After nor the moment when the stream stands,
 * and drops lines that it can't parse as well as what its callback throws; the informer stops at the first error.
 * Everything that has to do with credentials, TLS and proxies stays the library's.
 */
import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node'
import { Agent, type Dispatcher, fetch, type Response } from 'undici'

/** Why the API server gave no (more) answer. `status` is absent when it could not be reached. */
export type Refusal = { status?: number; retryAfterMs?: number; message: string }

export type ApiServer = {
  /** A JSON document. `timeoutMs` is for the whole of it; `accept`: application/json. Never throws. */
  get(
    path: string,
    query: Record<string, string>,
    timeoutMs: number,
    accept?: string,
  ): Promise<{ body: unknown } | { refusal: Refusal }>
  /**
   * Streams lines until the server ends it (undefined), it breaks, or nothing came for `quietMs`: a half-open
   * connection says nothing. `onLine` may end it with a reason of its own. Never throws: what a callback throws ends it.
   */
  watch(
    path: string,
    query: Record<string, string>,
    on: { quietMs: number; accept?: string; onOpen(): void; onLine(line: string): Refusal | undefined },
  ): Promise<Refusal | undefined>
  /** Ends everything under way. */
  close(): void
}

// etcd takes objects up to 1.5 MiB; as JSON they can be somewhat longer.
const longestLine = 8 * 1024 * 1024
const openTimeoutMs = 30_000
const json = 'application/json'
const closed: Refusal = { message: 'closed' }

export function openApiServer(kubeConfig: KubeConfig): ApiServer {
  const stopped = new AbortController()
  const dispatchers = new Set<Dispatcher>()
  let current: Dispatcher | undefined

  // The library makes a new connection pool for every request; one is enough, until it fails.
  function pool(fresh: Dispatcher | undefined): Dispatcher {
    current ??= fresh ?? new Agent({ connect: { keepAlive: true, keepAliveInitialDelay: 30_000 } })
    dispatchers.add(current)
    return current
  }

  /** The next request gets new connections (and client certificates); streams on the old ones go on. */
  function retire(): void {
    const old = current
    current = undefined
    old?.close().then(
      () => dispatchers.delete(old),
      () => dispatchers.delete(old),
    )
  }

  async function request(
    path: string,
    query: Record<string, string>,
    accept: string,
    signal: AbortSignal,
  ): Promise<{ response: Response } | { refusal: Refusal }> {
    const cluster = kubeConfig.getCurrentCluster()
    if (!cluster) throw new Error('the kubeconfig has no current cluster')
    const url = new URL(cluster.server + path)
    url.search = new URLSearchParams(query).toString()
    const context = new RequestContext(url.toString(), HttpMethod.GET)
    await kubeConfig.applySecurityAuthentication(context)
    const dispatcher = pool(context.getDispatcher() as Dispatcher | undefined)
    const headers = { ...context.getHeaders(), accept, 'user-agent': 'nightjar' }
    const response = await fetch(url, { headers, dispatcher, signal })
    if (response.status === 200) return { response }
    if (response.status === 401) retire()
    const text = await response.text().catch(() => '')
    return {
      refusal: {
        status: response.status,
        ...retryAfter(response.headers.get('retry-after')),
        message: `HTTP ${response.status}: ${statusMessage(text)}`,
      },
    }
  }

  /** Runs `work` with a signal that fires on close() or `ms` after the last call of `alive`. */
  async function guarded<T>(ms: number, work: (signal: AbortSignal, alive: (ms: number) => void) => Promise<T>) {
    if (stopped.signal.aborted) return { refusal: closed }
    const late = new AbortController()
    const expire = (after: number) => setTimeout(() => late.abort(new Error(`no answer for ${after} ms`)), after)
    let timer = expire(ms)
    try {
      return await work(AbortSignal.any([stopped.signal, late.signal]), (after) => {
        clearTimeout(timer)
        timer = expire(after)
      })
    } catch (error) {
      if (stopped.signal.aborted) return { refusal: closed }
      retire()
      return { refusal: { message: reason(late.signal.aborted ? late.signal.reason : error) } }
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    get(path, query, timeoutMs, accept = json) {
      return guarded(timeoutMs, async (signal) => {
        const answer = await request(path, query, accept, signal)
        return 'refusal' in answer ? answer : { body: await answer.response.json() }
      })
    },
    async watch(path, query, { quietMs, accept = json, onOpen, onLine }) {
      const end = await guarded<{ refusal?: Refusal }>(Math.min(quietMs, openTimeoutMs), async (signal, alive) => {
        const answer = await request(path, query, accept, signal)
        if ('refusal' in answer) return answer
        alive(quietMs)
        onOpen()
        const decoder = new TextDecoder()
        let rest = ''
        for await (const chunk of answer.response.body ?? []) {
          alive(quietMs)
          const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
          rest = lines.pop() ?? ''
          if (rest.length > longestLine) return { refusal: { message: `a line longer than ${longestLine} bytes` } }
          for (const line of lines) {
            const refusal = line === '' ? undefined : onLine(line)
            if (refusal) return { refusal }
          }
        }
        return {}
      })
      return end.refusal
    },
    close() {
      stopped.abort(new Error('closed'))
      for (const dispatcher of dispatchers) dispatcher.destroy().catch(() => {})
    },
  }
}

/** RFC 9110 10.2.3: seconds, or a date. The API server's priority and fairness sends seconds. */
function retryAfter(header: string | null): { retryAfterMs?: number } {
  if (header === null) return {}
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return ms > 0 ? { retryAfterMs: ms } : {}
}

/** The API server explains itself in a Status object; a proxy in between sends anything. */
function statusMessage(text: string): string {
  try {
    const { message } = JSON.parse(text)
    if (typeof message === 'string') return message
  } catch {
    // Not a Status.
  }
  return text.slice(0, 200).replaceAll(/\s+/g, ' ')
}

/** fetch() says "fetch failed" and keeps the reason (ECONNREFUSED ...) in `cause`. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? error.cause : undefined
  return cause ? `${error.message}: ${cause.message || cause.name}` : error.message
}
