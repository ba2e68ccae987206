/**
 * GET and watch against the API server, with the credentials of a KubeConfig or of this pod.
 *
 * Not the library's own Watch and informer: Watch hands on neither Retry-After nor the moment when the stream stands,
 * and drops lines that it can't parse as well as what its callback throws; the informer stops at the first error.
 * Everything that has to do with credentials, TLS and proxies stays the library's.
 */
import type { Dispatcher, Response } from 'undici'
import { undici } from '../sensor/undici.ts'
import { type ClusterAccess, credentialsOf } from './cluster-access.ts'
import { createPulse, defaultSilence, type Pulse, type Silence } from './pulse.ts'

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
   * Streams lines until the server ends it (undefined), it breaks, nothing came for `quietMs`, or the server, asked
   * because nothing is heard of it at all, does not answer: a half-open connection says nothing. `onLine` may end it
   * with a reason of its own. Never throws: what a callback throws ends it.
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

/**
 * What is asked when nothing is heard. Every account may (ClusterRole system:public-info-viewer), priority and fairness
 * never makes it wait (FlowSchema probes), and without etcd it costs the server nothing. Whatever it answers, it is there;
 * but of these (RFC 9110 15.6.3 to 15.6.5, and 503 of a load balancer) a proxy in between says that it is not.
 */
const lifePath = '/livez?exclude=etcd'
const defaultLifeTimeoutMs = 5_000
const ofProxies = [502, 503, 504]
// A peer that vanished: Node has the kernel ask ten times more, a second apart (libuv, uv__tcp_keepalive).
const keepAlive = { keepAlive: true, keepAliveInitialDelay: 10_000 }

/** One pool of connections: over HTTP/2, as the API server speaks it, one connection for all. */
type Line = { dispatcher: Dispatcher; pulse: Pulse; open: number }

/** One request: `signal` ends it; `late` says why. */
type Call = { late: AbortController; signal: AbortSignal; line?: Line; hangUp?: () => void }

export function openApiServer(
  access: ClusterAccess,
  options: { silence?: Silence; lifeTimeoutMs?: number } = {},
): ApiServer {
  const { silence = defaultSilence, lifeTimeoutMs = defaultLifeTimeoutMs } = options
  const { Agent, fetch } = undici()
  const stopped = new AbortController()
  const lines = new Set<Line>()
  let current: Line | undefined

  // The library makes a new connection pool for every request; one is enough, until it fails.
  function lineOf(fresh: Dispatcher | undefined): Line {
    if (current) return current
    const dispatcher = fresh ?? new Agent({ connect: keepAlive })
    const pulse = createPulse({ silence, ask: () => askForLife(dispatcher) })
    current = { dispatcher, pulse, open: 0 }
    lines.add(current)
    return current
  }

  function pickUp(call: Call, line: Line): void {
    const stopWaiting = line.pulse.wait((reason) => {
      call.late.abort(reason)
      // Its connections may be dead without knowing it: whatever waits on them would wait for long.
      discard(line)
    })
    line.open += 1
    call.line = line
    call.hangUp = () => {
      stopWaiting()
      line.open -= 1
      if (line !== current && line.open === 0) discard(line)
    }
  }

  function discard(line: Line): void {
    retire(line)
    lines.delete(line)
    line.dispatcher.destroy().catch(() => {})
  }

  /** The next request gets new connections (and client certificates); streams on the old ones go on. */
  function retire(line: Line | undefined): void {
    if (line === current) current = undefined
  }

  async function askForLife(dispatcher: Dispatcher): Promise<string | undefined> {
    const late = AbortSignal.timeout(lifeTimeoutMs)
    try {
      const { url, headers } = await prepared(lifePath)
      const signal = AbortSignal.any([stopped.signal, late])
      const { status, body } = await fetch(url, {
        headers: { ...headers, 'user-agent': 'nightjar' },
        dispatcher,
        signal,
      })
      await body?.cancel()
      return ofProxies.includes(status) ? `no answer from the API server: HTTP ${status}` : undefined
    } catch (error) {
      return `no answer from the API server${late.aborted ? ` for ${lifeTimeoutMs} ms` : `: ${reason(error)}`}`
    }
  }

  /** With credentials; `dispatcher`: of new connections. */
  async function prepared(path: string) {
    const cluster = access.getCurrentCluster()
    if (!cluster) throw new Error('the kubeconfig has no current cluster')
    const { headers, dispatcher } = await credentialsOf(access)
    return { url: cluster.server + path, headers, dispatcher }
  }

  async function request(
    call: Call,
    path: string,
    query: Record<string, string>,
    accept: string,
  ): Promise<{ response: Response } | { refusal: Refusal }> {
    const { url, headers, dispatcher: fresh } = await prepared(`${path}?${new URLSearchParams(query)}`)
    const line = lineOf(fresh)
    pickUp(call, line)
    const { dispatcher } = line
    const response = await fetch(url, {
      ...{ headers: { ...headers, accept, 'user-agent': 'nightjar' }, dispatcher, signal: call.signal },
    })
    if (!ofProxies.includes(response.status)) line.pulse.heard()
    if (response.status === 200) return { response }
    if (response.status === 401) retire(line)
    const text = await response.text().catch(() => '')
    return {
      refusal: {
        status: response.status,
        ...retryAfter(response.headers.get('retry-after')),
        message: `HTTP ${response.status}: ${statusMessage(text)}`,
      },
    }
  }

  /** Runs `work` with a call that ends on close(), when the server falls silent, or `ms` after the last `alive`. */
  async function guarded<T>(ms: number, work: (call: Call, alive: (ms: number) => void) => Promise<T>) {
    if (stopped.signal.aborted) return { refusal: closed }
    const late = new AbortController()
    const call: Call = { late, signal: AbortSignal.any([stopped.signal, late.signal]) }
    const expire = (after: number) => setTimeout(() => late.abort(new Error(`no answer for ${after} ms`)), after)
    let timer = expire(ms)
    try {
      return await work(call, (after) => {
        call.line?.pulse.heard()
        clearTimeout(timer)
        timer = expire(after)
      })
    } catch (error) {
      if (stopped.signal.aborted) return { refusal: closed }
      retire(call.line)
      return { refusal: { message: reason(late.signal.aborted ? late.signal.reason : error) } }
    } finally {
      clearTimeout(timer)
      call.hangUp?.()
    }
  }

  return {
    get(path, query, timeoutMs, accept = json) {
      return guarded(timeoutMs, async (call) => {
        const answer = await request(call, path, query, accept)
        return 'refusal' in answer ? answer : { body: await answer.response.json() }
      })
    },
    async watch(path, query, { quietMs, accept = json, onOpen, onLine }) {
      const end = await guarded<{ refusal?: Refusal }>(Math.min(quietMs, openTimeoutMs), async (call, alive) => {
        const answer = await request(call, path, query, accept)
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
      for (const line of lines) discard(line)
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
