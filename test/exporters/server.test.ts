import { once } from 'node:events'
import { createServer, get as httpGet, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { type Condition, type MetricsServer, serveMetrics } from '../../exporters/server.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function serve(conditions: { healthy?: () => Condition; ready?: () => Condition } = {}) {
  const metrics = createMetrics()
  const well = () => ({ ok: true })
  const options = { host: '127.0.0.1', port: 0, registry: metrics.registry, healthy: well, ready: well, ...conditions }
  const server: MetricsServer = await serveMetrics(options)
  open.push(server)
  return { metrics, server, url: `http://127.0.0.1:${server.port}` }
}

test('/metrics is Prometheus text', async () => {
  const { metrics, url } = await serve()
  metrics.events.inc({ type: 'exec' }, 3)
  const response = await fetch(`${url}/metrics`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await response.text()).toContain('nightjar_events_total{type="exec"} 3\n')
})

test('/metrics is OpenMetrics for a scraper that asks for it, and plain text stays right for the next', async () => {
  const { metrics, url } = await serve()
  metrics.events.inc({ type: 'exec' })
  const response = await fetch(`${url}/metrics`, { headers: { accept: 'application/openmetrics-text;version=1.0.0' } })
  expect(response.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
  const text = await response.text()
  expect(text).toContain('# TYPE nightjar_events counter\nnightjar_events_total{type="exec"} 1\n')
  expect(text).toMatch(/\n# EOF\n$/)
  expect(await (await fetch(`${url}/metrics`)).text()).toContain(
    '# TYPE nightjar_events_total counter\nnightjar_events_total{type="exec"} 1\n',
  )
})

test('/healthz and /readyz say ok, or 503 and why not, as it is at that moment', async () => {
  let ready: Condition = { ok: false, reason: 'no rules are loaded' }
  const { url } = await serve({ ready: () => ready })
  const read = async (path: string) => {
    const response = await fetch(url + path)
    return [response.status, await response.text()]
  }
  expect(await read('/healthz')).toEqual([200, 'ok'])
  expect(await read('/readyz')).toEqual([503, 'no rules are loaded'])
  ready = { ok: true }
  expect(await read('/readyz?verbose=1')).toEqual([200, 'ok'])
})

test('HEAD has the headers of GET and no body', async () => {
  const { url } = await serve()
  const response = await fetch(`${url}/healthz`, { method: 'HEAD' })
  expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([200, '2', ''])
})

test.each(['/', '/metrics/', '/metricsx', '/constructor', '/%zz', '//metrics'])('there is no %s', async (path) => {
  const { server } = await serve()
  // Raw: fetch would tidy the path up.
  const request = httpGet({ host: '127.0.0.1', port: server.port, path, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  expect(response.statusCode).toBe(404)
})

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is not allowed', async (method) => {
  const { url } = await serve()
  const response = await fetch(`${url}/metrics`, { method })
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
})

test('a failing answer is a 500, not the end of the sensor', async () => {
  const { url } = await serve({
    healthy() {
      throw new Error('broken')
    },
  })
  expect((await fetch(`${url}/healthz`)).status).toBe(500)
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
})

test('an address in use is refused with the address and the remedy', async () => {
  const other = createServer()
  open.push(other)
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  const well = () => ({ ok: true })
  const options = { host: '127.0.0.1', port, registry: createMetrics().registry, healthy: well, ready: well }
  await expect(serveMetrics(options)).rejects.toThrow(
    `metrics address 127.0.0.1:${port}: EADDRINUSE: another program listens there; stop it or choose another port`,
  )
})

test('closing ends connections that are held open', async () => {
  const { server } = await serve()
  const socket = connect(server.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET /metrics HT')
  const ended = new Promise<void>((resolve) => socket.on('error', () => {}).on('close', () => resolve()))
  await server.close()
  await ended
})

/** A connection from one of this machine's addresses that has been answered once and is kept. */
async function held(port: number, localAddress: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  open.push({ close: () => socket.destroy() })
  // One that the server ends may be ended by a reset.
  socket.on('error', () => {})
  expect(await asked(socket, '/healthz')).toContain('200 OK')
  return socket
}

/** What comes for a request; nothing if the connection ends instead. */
async function asked(socket: Socket, path: string): Promise<string> {
  socket.write(`GET ${path} HTTP/1.1\r\nhost: nightjar\r\n\r\n`)
  const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
  return String(answer)
}

async function hold(port: number, from: readonly string[]): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (const address of from) sockets.push(await held(port, address))
  return sockets
}

const ended = async (socket: Socket) => socket.closed || once(socket, 'close')
const strangers = (count: number) => Array.from({ length: count }, (_, at) => `127.0.1.${at + 1}`)
const fromOne = (count: number) => Array.from({ length: count }, () => '127.0.0.2')

test('a probe is answered while a stranger holds all the connections there are, of which the oldest ends', async () => {
  const { server } = await serve()
  const [oldest, ...others] = await hold(server.port, fromOne(64))
  await held(server.port, '127.0.0.1')
  await ended(oldest as Socket)
  expect(others.filter((socket) => socket.closed)).toEqual([])
})

test('a stranger who opens more and more ends none but their own', async () => {
  const { server } = await serve()
  const scraper = await held(server.port, '127.0.0.1')
  const own = await hold(server.port, fromOne(100))
  await Promise.all(own.slice(0, 37).map(ended))
  expect([scraper, ...own.slice(37)].filter((socket) => socket.closed)).toEqual([])
  expect(await asked(scraper, '/readyz')).toContain('200 OK')
})

test('a probe is answered while as many strangers hold a connection each', async () => {
  const { server } = await serve()
  const [oldest] = await hold(server.port, strangers(64))
  await held(server.port, '127.0.0.1')
  await ended(oldest as Socket)
})

test('connections that have ended count no longer', async () => {
  const { server } = await serve()
  const scraper = await held(server.port, '127.0.0.1')
  for (const address of strangers(100)) {
    const socket = await held(server.port, address)
    socket.destroy()
    await ended(socket)
  }
  expect(await asked(scraper, '/readyz')).toContain('200 OK')
})
