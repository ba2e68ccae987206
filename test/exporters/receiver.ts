/** A real HTTP(S) server on loopback that answers as its script says, and remembers what it was sent. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Alert } from '../../sensor/alert.ts'

export interface Delivery {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
  /** When it had come, milliseconds on the monotonic clock. */
  at: number
}

export type Answer = (response: ServerResponse, delivery: Delivery, index: number) => void

export interface Receiver {
  readonly url: string
  readonly port: number
  /** Connections that were opened. */
  readonly connections: number
  readonly deliveries: Delivery[]
  /** Resolves when so many requests have come. */
  got(count: number): Promise<Delivery[]>
  close(): Promise<void>
}

export const ok: Answer = (response) => response.writeHead(204).end()

/** Answers with these statuses in turn, then with 204. */
export function statuses(list: (number | [status: number, headers: Record<string, string>])[]): Answer {
  return (response, delivery, index) => {
    const next = list[index]
    if (next === undefined) return ok(response, delivery, index)
    const [status, headers] = typeof next === 'number' ? [next, {}] : next
    response.writeHead(status, headers).end('as you wish')
  }
}

export async function receiver(
  options: { answer?: Answer; port?: number; tls?: ServerOptions } = {},
): Promise<Receiver> {
  const { answer = ok, port = 0, tls } = options
  const deliveries: Delivery[] = []
  let connections = 0
  let notice = () => {}

  async function take(request: IncomingMessage, response: ServerResponse) {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url = '', headers } = request
    const delivery = { method, path: url, headers, body: Buffer.concat(chunks).toString('utf8'), at: performance.now() }
    const index = deliveries.push(delivery) - 1
    answer(response, delivery, index)
    notice()
  }
  const taken = (request: IncomingMessage, response: ServerResponse) => {
    take(request, response).catch(() => response.destroy())
  }
  const server: Server = tls === undefined ? createHttpServer(taken) : createHttpsServer(tls, taken)
  server.on(tls === undefined ? 'connection' : 'secureConnection', () => connections++)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const chosen = (server.address() as AddressInfo).port

  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${chosen}/hooks/nightjar`,
    port: chosen,
    get connections() {
      return connections
    },
    deliveries,
    got: (count) =>
      new Promise((resolve) => {
        notice = () => {
          if (deliveries.length >= count) resolve(deliveries)
        }
        notice()
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export function idsOf(deliveries: Delivery[]): string[] {
  return deliveries.map(({ body }) => (JSON.parse(body) as Alert).id)
}
