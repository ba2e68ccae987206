import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import type { Receiver } from '../../exporters/receiver.ts'
import { type SyslogConfig, syslog } from '../../exporters/syslog.ts'
import { syslogFrame } from '../../exporters/syslog-message.ts'
import type { Alert } from '../../sensor/alert.ts'
import { anyAlert } from './any-alert.ts'
import { authority, signed } from './certificates.ts'
import { hostile } from './hostile.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

/** RFC 5424 6: the whole of a message. */
const rfc5424 =
  /^<(?<priority>\d{1,3})>1 (?<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) (?<host>[\x21-\x7e]{1,255}) (?<app>[\x21-\x7e]{1,48}) (?<process>[\x21-\x7e]{1,128}) (?<id>[\x21-\x7e]{1,32}) - (?<text>.*)$/su

/** Messages from their frames, by octet counting; what is left over is thrown at the test. */
function unframed(stream: Buffer): { messages: string[]; rest: Buffer } {
  const messages: string[] = []
  let rest = stream
  for (;;) {
    const [whole, length] = /^([1-9]\d*) /.exec(rest.subarray(0, 12).toString('latin1')) ?? []
    if (whole === undefined || rest.length < whole.length + Number(length)) return { messages, rest }
    messages.push(rest.subarray(whole.length, whole.length + Number(length)).toString('utf8'))
    rest = rest.subarray(whole.length + Number(length))
  }
}

interface SyslogServer {
  port: number
  server: Server
  sockets: Socket[]
  /** Resolves to the messages when there are so many. */
  got(count: number): Promise<string[]>
  close(): Promise<void>
}

async function listening(tls?: TlsOptions): Promise<SyslogServer> {
  let stream = Buffer.alloc(0)
  let notice = () => {}
  const sockets: Socket[] = []
  const take = (socket: Socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      stream = Buffer.concat([stream, chunk])
      notice()
    })
  }
  const server = tls ? createTlsServer(tls, take) : createServer(take)
  if (tls) server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const one = {
    port: (server.address() as AddressInfo).port,
    server,
    sockets,
    got: (count: number) =>
      new Promise<string[]>((resolve) => {
        notice = () => {
          const { messages } = unframed(stream)
          if (messages.length >= count) resolve(messages)
        }
        notice()
      }),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
  open.push(one)
  return one
}

async function receiver(config: SyslogConfig): Promise<Receiver> {
  const one = await syslog(config)
  if (one === undefined) throw new Error('no receiver')
  open.push(one)
  return one
}
const send = (to: Receiver, ...alerts: Alert[]) => to.attempt(alerts, AbortSignal.timeout(5000))
const parsed = (message: string | undefined) => rfc5424.exec(message ?? '')?.groups ?? {}

test('an alert is a message of RFC 5424, its text the alert as JSON', async () => {
  const { port, got } = await listening()
  const alert = sampleAlert()
  expect(await send(await receiver({ address: `tcp://127.0.0.1:${port}` }), alert)).toEqual({ verdict: 'delivered' })
  const [message] = await got(1)
  const { priority, time, host, app, process: processId, id, text } = parsed(message)
  // local0 (16) and critical (2)
  expect([priority, time, host, app, processId, id]).toEqual([
    String(16 * 8 + 2),
    alert.time,
    'node-1',
    'nightjar',
    String(process.pid),
    'reverse-shell',
  ])
  expect(JSON.parse(text ?? '')).toEqual(alert)
})

test('several alerts go over one connection, in their order', async () => {
  const { port, got, sockets } = await listening()
  const to = await receiver({ address: `tcp://127.0.0.1:${port}`, facility: 'authpriv' })
  const alerts = Array.from({ length: 30 }, () => bareAlert())
  for (let at = 0; at < 30; at += 10) await send(to, ...alerts.slice(at, at + 10))
  const ids = (await got(30)).map((message) => JSON.parse(parsed(message).text ?? '').id)
  expect(ids).toEqual(alerts.map(({ id }) => id))
  expect(sockets.length).toBe(1)
  expect(parsed((await got(30))[0]).priority).toBe(String(10 * 8 + 4))
})

test('whatever an alert says, it is one message, with its header as it must be', () => {
  const options = { facility: 'local0', maxBytes: 8192, processId: 1, one: JSON.stringify } as const
  const check = (alert: Alert) => {
    const { messages, rest } = unframed(syslogFrame(alert, options))
    expect([messages.length, rest.length]).toEqual([1, 0])
    expect(Buffer.byteLength(messages[0] ?? '')).toBeLessThanOrEqual(8192)
    const { text } = parsed(messages[0])
    expect(text).toMatch(/^[\P{C}]*$/u)
    expect(JSON.parse(text ?? '')).toMatchObject({ id: alert.id })
  }
  fc.assert(fc.property(anyAlert, check), { numRuns: 100 })
  fc.assert(
    fc.property(hostile, (text) => {
      const { sensor, rule, ...rest } = sampleAlert({ message: text })
      check({ ...rest, sensor: { ...sensor, node: text }, rule: { ...rule, id: text } })
    }),
  )
})

test('an alert that is too large for the server comes in short, and says so', () => {
  const options = { facility: 'local0', maxBytes: 2048, processId: 1, one: JSON.stringify } as const
  for (const character of ['x', '"', '\u001b', '界']) {
    const long = character.repeat(100_000)
    const alert = sampleAlert({
      message: long,
      process: { pid: 7, name: long, command_line: long, command_args: [long] },
      rule: { id: long, name: long, pack: long, tags: { mitre: [long] } },
      identity: { subject: long },
    })
    const [message] = unframed(syslogFrame(alert, options)).messages
    expect(Buffer.byteLength(message ?? '')).toBeLessThanOrEqual(2048)
    expect(JSON.parse(parsed(message).text ?? '')).toMatchObject({ id: alert.id, truncated: true, process: { pid: 7 } })
  }
})

test('a server that restarts gets what comes after, over a new connection', async () => {
  const { port, got, sockets } = await listening()
  const to = await receiver({ address: `tcp://127.0.0.1:${port}` })
  const [first, second] = [bareAlert(), bareAlert()]
  await send(to, first)
  await got(1)
  const closed = new Promise((resolve) => sockets[0]?.once('close', resolve))
  sockets[0]?.end()
  await closed
  expect(await send(to, second)).toEqual({ verdict: 'delivered' })
  expect(JSON.parse(parsed((await got(2))[1]).text ?? '').id).toBe(second.id)
  expect(sockets.length).toBe(2)
})

test('a server that is not there is a failure to try again', async () => {
  const { port, close } = await listening()
  await close()
  open.length = 0
  expect(await send(await receiver({ address: `tcp://127.0.0.1:${port}` }), bareAlert())).toMatchObject({
    verdict: 'failed',
    reason: 'connection',
  })
})

test('a server that reads nothing holds an attempt no longer than its time', async () => {
  const { port, server } = await listening()
  server.on('connection', (socket) => socket.pause())
  const to = await receiver({ address: `tcp://127.0.0.1:${port}`, maxBytes: '1GiB' })
  const large = Array.from({ length: 200 }, () => sampleAlert({ message: 'x'.repeat(100_000) }))
  const outcome = await to.attempt(large, AbortSignal.timeout(300))
  expect(outcome).toMatchObject({ verdict: 'failed', reason: 'timeout' })
})

test('TLS, with a certificate that is checked, and one of its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nightjar-syslog-'))
  open.push({ close: () => rmSync(folder, { recursive: true }) })
  const ca = authority(folder, 'authority')
  const own = signed(folder, 'server', 'IP:127.0.0.1', ca)
  const client = signed(folder, 'client', 'DNS:sensor', ca)
  const { port, got } = await listening({
    cert: readFileSync(own.certFile),
    key: readFileSync(own.keyFile),
    ca: [readFileSync(ca.certFile)],
    requestCert: true,
    rejectUnauthorized: true,
  })
  const tls = { caFile: ca.certFile, ...client }
  const to = await receiver({ address: `tls://127.0.0.1:${port}`, tls })
  const alert = bareAlert()
  expect(await send(to, alert)).toEqual({ verdict: 'delivered' })
  expect(JSON.parse(parsed((await got(1))[0]).text ?? '').id).toBe(alert.id)
  const distrusting = await receiver({ address: `tls://127.0.0.1:${port}` })
  expect(await send(distrusting, alert)).toMatchObject({ verdict: 'failed', reason: 'tls' })
})

test('the ports are those of the RFCs where none is given', async () => {
  expect((await receiver({ address: 'tls://syslog.example' })).address).toBe('tls://syslog.example:6514')
  expect((await receiver({ address: 'tcp://[::1]' })).address).toBe('tcp://[::1]:601')
})

test('no address, no syslog; one that makes no sense is refused in words', async () => {
  expect(await syslog({})).toBeUndefined()
  expect(await syslog({ address: null })).toBeUndefined()
  await expect(syslog({ address: 'udp://x' })).rejects.toThrow(
    'exporters.syslog: address: found "udp://x", expected one',
  )
  await expect(syslog({ address: 'tcp://x', tls: {} })).rejects.toThrow('exporters.syslog: tls: found settings for TLS')
})
