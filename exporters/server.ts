/** The sensor's own HTTP port: /metrics for Prometheus, /healthz and /readyz for the kubelet. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { prometheusContentType, type Registry } from 'prom-client'
import { openMetricsType, prefersOpenMetrics, toOpenMetrics } from './openmetrics.ts'

/** Whether all is well, and if not, what is wrong: one line for a person. */
export interface Condition {
  ok: boolean
  reason?: string
}

interface Answer {
  status: number
  contentType: string
  body: string
}

export interface MetricsServer {
  /** The port it listens on; the one the system chose, if 0 was asked for. */
  readonly port: number
  /** Ends the open connections too. */
  close(): Promise<void>
}

// An import would ask node:http for all of its names, some of which load Node's own copy of undici.
const { createServer } = process.getBuiltinModule('node:http')

const plainText = 'text/plain; charset=utf-8'

/** What to do about an address that can't be listened on, by the system's error code. */
const remedies: Record<string, string> = {
  EADDRINUSE: 'another program listens there; stop it or choose another port',
  EADDRNOTAVAIL: 'this machine has no such address; use one of its own, 127.0.0.1 or 0.0.0.0',
  EACCES: 'ports below 1024 need a privilege; choose a higher one',
  ENOTFOUND: 'the host name does not resolve; give an IP address',
}

/**
 * Serves the metrics of `registry` and the answers of `healthy` and `ready` (200 "ok", or 503 and the reason).
 * Rejects with an error for a person if the address can't be listened on.
 */
export async function serveMetrics(options: {
  host: string
  /** 0 lets the system choose. */
  port: number
  registry: Registry
  healthy(): Condition
  ready(): Condition
}): Promise<MetricsServer> {
  const { host, port, registry, healthy, ready } = options
  const pages: Record<string, (accept: string | undefined) => Promise<Answer> | Answer> = {
    '/metrics': async (accept) => {
      const text = await registry.metrics()
      return prefersOpenMetrics(accept)
        ? { status: 200, contentType: openMetricsType, body: toOpenMetrics(text) }
        : { status: 200, contentType: prometheusContentType, body: text }
    },
    '/healthz': () => answerOf(healthy()),
    '/readyz': () => answerOf(ready()),
  }

  async function answer(request: IncomingMessage, response: ServerResponse) {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      return write(response, { status: 405, contentType: plainText, body: 'GET and HEAD only\n' })
    }
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    // Every path of a request that node:http lets through begins with a slash, so none is a name of Object.prototype.
    const page = pages[path]
    if (page === undefined) {
      const body = `not found; there are: ${Object.keys(pages).join(' ')}\n`
      return write(response, { status: 404, contentType: plainText, body })
    }
    try {
      write(response, await page(request.headers.accept))
    } catch (error) {
      write(response, {
        status: 500,
        contentType: plainText,
        body: `${error instanceof Error ? error.message : error}\n`,
      })
    }
  }

  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, answer)
  boundConnections(server)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code ?? error.message
      reject(
        new Error(`metrics address ${host}:${port}: ${code}: ${remedies[code] ?? 'expected an address to listen on'}`),
      )
    })
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A scraper and a kubelet need two. The rest is room, and a bound on what strangers can hold open. */
const mostConnections = 64

/**
 * Ends a connection for each one too many: the oldest of the address that has the most. So who comes is always let in,
 * and one address ends none but its own. server.maxConnections refuses who comes last: a stranger who holds them all
 * would shut out the kubelet, which kills a container that it can't probe.
 */
function boundConnections(server: Server) {
  /** The oldest first, each with the address at its other end: none if that is gone already. */
  const open = new Map<Socket, string | undefined>()
  server.on('connection', (socket) => {
    open.set(socket, socket.remoteAddress)
    socket.once('close', () => open.delete(socket))
    if (open.size <= mostConnections) return
    const byAddress = [...Map.groupBy(open.keys(), (one) => open.get(one)).values()]
    const [oldest] = byAddress.reduce((most, sockets) => (sockets.length > most.length ? sockets : most))
    if (oldest === undefined) return
    open.delete(oldest)
    oldest.destroy()
  })
}

function answerOf(condition: Condition): Answer {
  const body = condition.ok ? 'ok' : (condition.reason ?? 'not ok')
  return { status: condition.ok ? 200 : 503, contentType: plainText, body }
}

/** node:http itself leaves the body out of an answer to HEAD. */
function write(response: ServerResponse, { status, contentType, body }: Answer) {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
}
