/**
 * Alerts to a syslog server over TCP or TLS, by RFC 5424. https://www.rfc-editor.org/rfc/rfc5425
 *
 * Syslog has no acknowledgement: an alert counts as delivered when the kernel has taken all of it for a connection that
 * the server has not closed. What was under way when a connection breaks can be lost; where that must not be, use a
 * webhook or OTLP.
 */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { bytesPattern, parseBytes } from '../sensor/bytes.ts'
import { Type } from '../sensor/schema.ts'
import { type Complain, complaintAbout } from './complaint.ts'
import { type FormatName, formatNames, formats } from './formats.ts'
import { failureOf } from './http.ts'
import type { Outcome, Receiver } from './receiver.ts'
import { type ReceiverConfig, receiverProperties, receiverSettings } from './receiver-config.ts'
import { type Facility, facilities, syslogFrame } from './syslog-message.ts'
import { TlsConfig, type TlsOptions, tlsOptions } from './tls.ts'

const defaults = { facility: 'local0', maxBytes: '8KiB', batch: { size: 100, wait: '20ms' } } as const
const facilityNames = Object.keys(facilities) as Facility[]

export const SyslogConfig = Type.Object(
  {
    address: Type.Optional(
      Type.Unsafe<string | null>({
        title: 'an address such as tls://syslog.example:6514 or tcp://10.0.0.5:601',
        type: ['string', 'null'],
        pattern: '^(tcp|tls)://',
        default: null,
        description: 'tls://HOST[:6514] or tcp://HOST[:601]. null: none.',
      }),
    ),
    facility: Type.Optional(
      Type.Enum(facilityNames, { default: defaults.facility, description: 'What the messages are filed under.' }),
    ),
    format: Type.Optional(
      Type.Enum([...formatNames], {
        default: 'native',
        description: "How an alert is written, in the message's text.",
      }),
    ),
    maxBytes: Type.Optional(
      Type.String({
        title: 'a size such as 8KiB',
        pattern: bytesPattern,
        default: defaults.maxBytes,
        description: 'The largest message that the server takes; of a larger alert the most important is sent.',
      }),
    ),
    tls: Type.Optional(TlsConfig),
    ...receiverProperties,
  },
  { additionalProperties: false, description: 'A syslog server, RFC 5424 over TCP or TLS.' },
)

export interface SyslogConfig extends ReceiverConfig {
  address?: string | null
  facility?: Facility
  format?: FormatName
  maxBytes?: string
  tls?: TlsConfig
}

const complain: Complain = complaintAbout('exporters.syslog')
/** RFC 5424 6.1: what every receiver takes is 480; the shortened alert has room in this. */
const leastBytes = 2048
/** RFC 5425 4.1 and, for TCP with octet counting, what servers listen on by custom. */
const defaultPorts: Record<string, number> = { tls: 6514, tcp: 601 }

/** Undefined if no address is configured. Rejects with an error for a person if a value can't be used. */
export async function syslog(config: SyslogConfig = {}): Promise<Receiver | undefined> {
  if (config.address === undefined || config.address === null) return undefined
  const { scheme, host, port } = addressOf(config.address)
  const maxBytes = parseBytes(config.maxBytes ?? defaults.maxBytes) ?? 0
  if (maxBytes < leastBytes) throw complain('maxBytes', `found ${config.maxBytes}, expected 2KiB or more`)
  if (scheme === 'tcp' && config.tls !== undefined) {
    throw complain('tls', 'found settings for TLS with a tcp:// address, expected tls:// or no tls')
  }
  const { one } = formats[config.format ?? 'native']
  const options = { facility: config.facility ?? defaults.facility, maxBytes, processId: process.pid, one }
  // On one connection, one after the other: alerts arrive in order.
  const settings = receiverSettings({ batch: defaults.batch, ...config, concurrency: 1 }, complain)
  const tls = scheme === 'tls' ? await tlsOptions(config.tls, complain) : undefined
  let current: Socket | undefined

  function drop(socket: Socket) {
    socket.destroy()
    if (current === socket) current = undefined
  }

  async function attempt(frames: Buffer, signal: AbortSignal): Promise<Outcome> {
    let socket = current
    try {
      if (!socket || !isOpen(socket)) {
        socket?.destroy()
        socket = await opened({ host, port, tls }, signal)
        current = socket
      }
      await written(socket, frames, signal)
      return { verdict: 'delivered' }
    } catch (error) {
      if (socket) drop(socket)
      return { verdict: 'failed', ...failureOf(signal.aborted ? signal.reason : error) }
    }
  }

  return {
    name: 'syslog',
    address: `${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    ...settings,
    attempt: (alerts, signal) => attempt(Buffer.concat(alerts.map((alert) => syslogFrame(alert, options))), signal),
    async close() {
      const socket = current
      current = undefined
      if (!socket || socket.destroyed) return
      // RFC 5425 4.4: the end is told, and what was written goes before it.
      await new Promise<void>((resolve) => {
        const late = setTimeout(() => socket.destroy(), 1000)
        socket.once('close', () => {
          clearTimeout(late)
          resolve()
        })
        socket.end()
        socket.resume()
      })
    },
  }
}

/** The server has not said that it's closing. */
const isOpen = (socket: Socket) => !socket.destroyed && socket.writable && !socket.readableEnded

function addressOf(address: string): { scheme: 'tcp' | 'tls'; host: string; port: number } {
  const url = URL.parse(address)
  const scheme = url?.protocol.slice(0, -1)
  if (!url || (scheme !== 'tcp' && scheme !== 'tls') || url.hostname === '' || !/^\/?$/.test(url.pathname)) {
    const expected = 'expected one such as tls://syslog.example:6514 or tcp://10.0.0.5:601'
    throw complain('address', `found ${JSON.stringify(address)}, ${expected}`)
  }
  const port = url.port === '' ? (defaultPorts[scheme] ?? 0) : Number(url.port)
  return { scheme, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port }
}

/** Resolves when the connection stands, and its certificate is one that is trusted. */
function opened(
  { host, port, tls }: { host: string; port: number; tls: TlsOptions | undefined },
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tls
      ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...tls })
      : connect({ host, port })
    const abort = () => socket.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      signal.removeEventListener('abort', abort)
      socket.off('error', reject)
      // Without a listener an error between two attempts would end the sensor; the next attempt sees that it's closed.
      socket.on('error', () => {})
      // A server has nothing to say. What it says is thrown away, so that its end is noticed.
      socket.resume()
      socket.setKeepAlive(true, 30_000)
      resolve(socket)
    })
    socket.once('error', reject)
    if (signal.aborted) abort()
  })
}

function written(socket: Socket, frames: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      signal.removeEventListener('abort', abort)
      socket.off('close', closed)
    }
    const abort = () => {
      end()
      reject(signal.reason)
    }
    const closed = () => {
      end()
      reject(Object.assign(new Error('the server closed the connection'), { code: 'ECONNRESET' }))
    }
    signal.addEventListener('abort', abort, { once: true })
    socket.once('close', closed)
    socket.write(frames, (error) => {
      end()
      if (error) reject(error)
      else resolve()
    })
  })
}
