import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WebhookConfig } from '../../exporters/webhook.ts'
import product from '../../package.json' with { type: 'json' }
import { Alert, severities } from '../../sensor/alert.ts'
import { dispatched } from './dispatched.ts'
import { idsOf, type Receiver, receiver, statuses } from './receiver.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const ajv = new Ajv({ strict: false, useDefaults: true, allErrors: true })
addFormats.default(ajv)

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightjar-webhook-'))
})
afterAll(() => rm(folder, { recursive: true }))

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function file(name: string, contents: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, contents)
  return path
}

async function listen(options?: Parameters<typeof receiver>[0]): Promise<Receiver> {
  const server = await receiver(options)
  cleanups.push(() => server.close())
  return server
}

/** A TCP server that does with each connection what `serve` says. */
async function listenTcp(serve: Parameters<typeof createTcpServer>[1] & object): Promise<string> {
  const sockets = new Set<{ destroy(): unknown }>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

async function exporter(...given: Parameters<typeof dispatched>) {
  const running = await dispatched(...given)
  cleanups.push(running.remove)
  return running
}

const alerts = (count: number) => Array.from({ length: count }, () => bareAlert())

test('the alert itself is the body, as its published schema says, and the headers name it', async () => {
  const soc = await listen()
  const { webhook } = await exporter({ url: `${soc.url}?team=blue` }, { now: () => 1_772_366_096_789 })
  const sent = [sampleAlert(), bareAlert()]
  for (const alert of sent) webhook.send(alert)
  const deliveries = await soc.got(2)
  const valid = ajv.compile(Alert)
  for (const [index, { method, path, headers, body }] of deliveries.entries()) {
    const alert = JSON.parse(body)
    expect(valid(alert), ajv.errorsText(valid.errors)).toBe(true)
    expect(alert).toEqual(sent[index])
    expect([method, path]).toEqual(['POST', '/hooks/nightjar?team=blue'])
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'user-agent': `nightjar/${product.version}`,
      'webhook-id': alert.id,
      'webhook-timestamp': '1772366096',
    })
    expect(headers).not.toHaveProperty('webhook-signature')
  }
})

test('a receiver that is down gets every alert when it is up again, in order, over one connection', async () => {
  const gone = await receiver()
  await gone.close()
  const { webhook, journal, failures, queued, delivered } = await exporter({ url: gone.url })
  const sent = alerts(20)
  for (const alert of sent) webhook.send(alert)
  await journal.line('delivery failed')
  expect(await queued()).toBe(20)
  const soc = await listen({ port: gone.port })
  expect(idsOf(await soc.got(20))).toEqual(sent.map(({ id }) => id))
  await journal.line('delivery succeeds again')
  expect(await webhook.close(5000)).toBe(0)
  expect(soc.connections).toBe(1)
  expect(await failures('connection')).toBeGreaterThan(0)
  expect([await delivered(), await queued()]).toEqual([20, 0])
})

test('an alert that is tried again has the same id and body, and the time and the signature of the attempt', async () => {
  const soc = await listen({ answer: statuses([503]) })
  let time = 1_772_366_000_000
  const now = () => {
    time += 60_000
    return time
  }
  const { webhook } = await exporter({ url: soc.url, secretFile: await file('again.key', 'secret') }, { now })
  webhook.send(sampleAlert())
  const [first, second] = await soc.got(2)
  expect(second?.body).toBe(first?.body)
  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
  expect(Number(second?.headers['webhook-timestamp'])).toBeGreaterThan(Number(first?.headers['webhook-timestamp']))
  expect(second?.headers['webhook-signature']).not.toBe(first?.headers['webhook-signature'])
})

test.each([
  [408, 'server_error'],
  [425, 'server_error'],
  [429, 'throttled'],
  [500, 'server_error'],
  [503, 'server_error'],
  [599, 'server_error'],
] as const)('after status %i the alert is tried again, before the next one', async (status, reason) => {
  const soc = await listen({ answer: statuses([status, status]) })
  const { webhook, failures } = await exporter({ url: soc.url })
  const [first, second] = [bareAlert(), bareAlert()]
  webhook.send(first)
  webhook.send(second)
  expect(idsOf(await soc.got(4))).toEqual([first.id, first.id, first.id, second.id])
  expect(await webhook.close(5000)).toBe(0)
  expect([await failures(reason), await failures('rejected')]).toEqual([2, 0])
})

test.each([400, 401, 403, 404, 410, 413, 422])(
  'after status %i the alert goes to the dead letters, counted and logged, and the next one goes out',
  async (status) => {
    const soc = await listen({ answer: statuses([status]) })
    const { webhook, journal, directory, failures, delivered } = await exporter({ url: soc.url })
    const [first, second] = [sampleAlert(), bareAlert()]
    webhook.send(first)
    webhook.send(second)
    expect(idsOf(await soc.got(2))).toEqual([first.id, second.id])
    expect(await webhook.close(5000)).toBe(0)
    expect([await failures('rejected'), await delivered()]).toEqual([1, 1])
    const line = JSON.parse(await journal.line('refused'))
    expect(line).toMatchObject({ exporter: 'soc', detail: `status ${status}`, alert: first.id, rule: 'reverse-shell' })
    const [letter, ...others] = (await readFile(line.file, 'utf8')).trimEnd().split('\n')
    expect(JSON.parse(letter ?? '')).toMatchObject({ exporter: 'soc', detail: `status ${status}`, alert: first })
    expect([line.file, others]).toEqual([join(directory, 'dead-letters.soc.jsonl'), []])
  },
)

test('Retry-After is honoured, in seconds', async () => {
  const soc = await listen({ answer: statuses([[429, { 'retry-after': '1' }]]) })
  const retry = { initialDelay: '1ms', maxDelay: '30s' }
  const { webhook } = await exporter({ url: soc.url, retry }, { random: () => 0 })
  webhook.send(bareAlert())
  const [first, second] = await soc.got(2)
  // Without it there would be no wait at all: the random number is 0. Timers may be a little early.
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950)
})

test('Retry-After cannot put the alerts off for longer than maxDelay', async () => {
  const soc = await listen({ answer: statuses([[503, { 'retry-after': '86400' }]]) })
  const { webhook } = await exporter({ url: soc.url })
  webhook.send(bareAlert())
  await soc.got(2)
})

test('a receiver that hangs is given up after the timeout and tried again', async () => {
  const soc = await listen({ answer: (response, _, index) => index >= 2 && response.writeHead(200).end() })
  const { webhook, failures } = await exporter({ url: soc.url, timeout: '50ms' })
  const alert = bareAlert()
  webhook.send(alert)
  expect(idsOf(await soc.got(3))).toEqual([alert.id, alert.id, alert.id])
  expect(await webhook.close(5000)).toBe(0)
  expect(await failures('timeout')).toBeGreaterThanOrEqual(2)
})

test('a receiver that takes the connection and never answers the handshake is given up after the timeout', async () => {
  const url = (await listenTcp(() => {})).replace('http:', 'https:')
  const { webhook, journal } = await exporter({ url, timeout: '50ms' })
  webhook.send(bareAlert())
  expect(JSON.parse(await journal.line('delivery failed')).reason).toBe('timeout')
})

test.each([301, 302, 303, 307, 308])(
  'a redirect (%i) is not followed: no other host gets the alert or the headers',
  async (status) => {
    const other = await listen()
    const soc = await listen({ answer: statuses([[status, { location: other.url }]]) })
    const { webhook, journal, failures } = await exporter({ url: soc.url, headers: { authorization: 'Bearer s3cret' } })
    webhook.send(bareAlert())
    const next = bareAlert()
    webhook.send(next)
    expect(idsOf(await soc.got(2))[1]).toBe(next.id)
    expect(await webhook.close(5000)).toBe(0)
    expect([other.connections, await failures('rejected')]).toEqual([0, 1])
    expect(await journal.line('refused')).toContain('redirects are not followed')
  },
)

test('a receiver that closes the connection, or speaks garbage, is tried again', async () => {
  const answers = ['', 'garbage\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Le']
  const alert = bareAlert()
  let connections = 0
  let arrived = (_: string) => {}
  const body = new Promise<string>((resolve) => {
    arrived = resolve
  })
  const url = await listenTcp((socket) => {
    const answer = answers[connections++]
    let request = ''
    socket.on('data', (chunk) => {
      request += chunk
      if (!request.includes(alert.id)) return
      if (answer !== undefined) return socket.end(answer)
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      arrived(request.slice(request.indexOf('\r\n\r\n') + 4))
    })
  })
  const { webhook, failures } = await exporter({ url })
  webhook.send(alert)
  expect(JSON.parse(await body)).toEqual(alert)
  expect(await webhook.close(5000)).toBe(0)
  expect([await failures('connection'), await failures('protocol')]).toEqual([2, 1])
})

test.each([
  ['10 MB long', (response: { end(body: Buffer): unknown }) => response.end(Buffer.alloc(10_000_000, 'x'))],
  ['without an end', (response: { write(text: string): unknown }) => response.write('and so on')],
  [
    'cut short',
    (response: { write(text: string): unknown; destroy(): unknown }) => {
      response.write('and so')
      setImmediate(() => response.destroy())
    },
  ],
])('an answer whose body is %s counts by its status, and holds nobody up', async (_, respond) => {
  const soc = await listen({
    answer: (response) => {
      response.writeHead(200)
      response.flushHeaders()
      respond(response)
    },
  })
  const { webhook, delivered } = await exporter({ url: soc.url })
  const sent = alerts(3)
  for (const alert of sent) webhook.send(alert)
  expect(idsOf(await soc.got(3))).toEqual(sent.map(({ id }) => id))
  expect(await webhook.close(5000)).toBe(0)
  expect([soc.deliveries.length, await delivered()]).toEqual([3, 3])
})

test('close delivers what waits', async () => {
  const soc = await listen({ answer: (response) => setImmediate(() => response.writeHead(200).end()) })
  const { webhook } = await exporter({ url: soc.url })
  const sent = alerts(50)
  for (const alert of sent) webhook.send(alert)
  expect(await webhook.close(30_000)).toBe(0)
  expect(idsOf(soc.deliveries)).toEqual(sent.map(({ id }) => id))
})

test('close does not sit a long wait out: it tries at once', async () => {
  const soc = await listen({ answer: statuses([[503, { 'retry-after': '3600' }]]) })
  const { webhook, journal } = await exporter({ url: soc.url, retry: { initialDelay: '1h', maxDelay: '1d' } })
  webhook.send(bareAlert())
  await journal.line('delivery failed')
  expect(await webhook.close(30_000)).toBe(0)
  expect(soc.deliveries.length).toBe(2)
})

test('in a shutdown the waits do not grow: the receiver may be back before the deadline', async () => {
  const soc = await listen({ answer: statuses(Array.from({ length: 14 }, () => 503)) })
  const retry = { initialDelay: '1ms', maxDelay: '1d' }
  const { webhook } = await exporter({ url: soc.url, retry }, { random: () => 0.999 })
  webhook.send(bareAlert())
  expect(await webhook.close(5000)).toBe(0)
  expect(soc.deliveries.length).toBe(15)
})

test.each([
  ['is down', async () => await listenTcp((socket) => socket.destroy()), 30],
  ['hangs', async () => (await listen({ answer: () => {} })).url, 30],
])(
  'close ends at its deadline when the receiver %s: what is not delivered waits in the spool',
  async (_, start, deadline) => {
    const { webhook, journal, failures, queued } = await exporter({ url: await start() })
    for (const alert of alerts(5)) webhook.send(alert)
    const closing = webhook.close(deadline)
    expect(webhook.close(60_000)).toStrictEqual(closing)
    expect(await closing).toBe(0)
    expect(await queued()).toBe(5)
    expect(JSON.parse(await journal.line('wait in the spool'))).toMatchObject({ exporter: 'soc', alerts: 5 })
    webhook.send(bareAlert())
    expect(await failures('shutdown')).toBe(1)
  },
)

test('without a spool on disk close says how many alerts are lost', async () => {
  const url = await listenTcp((socket) => socket.destroy())
  const { webhook, journal, failures } = await exporter({ url }, { directory: '/proc/nightjar' })
  expect(await journal.line("can't be written")).toContain('exporters.spool.directory')
  for (const alert of alerts(5)) webhook.send(alert)
  expect(await webhook.close(30)).toBe(5)
  expect(await failures('shutdown')).toBe(5)
})

test('alerts below minSeverity are not sent', async () => {
  const soc = await listen()
  const { webhook } = await exporter({ url: soc.url, minSeverity: 'high' })
  for (const severity of severities) webhook.send(bareAlert({ severity }))
  expect(await webhook.close(5000)).toBe(0)
  expect(soc.deliveries.map(({ body }) => JSON.parse(body).severity)).toEqual(['critical', 'high'])
})

test('by default everything but info is sent', async () => {
  const soc = await listen()
  const { webhook } = await exporter({ url: soc.url })
  for (const severity of severities) webhook.send(bareAlert({ severity }))
  await webhook.close(5000)
  expect(soc.deliveries.map(({ body }) => JSON.parse(body).severity)).toEqual(['critical', 'high', 'medium', 'low'])
})

test('headers come from the configuration and from a file, which wins; the password of the URL becomes Authorization', async () => {
  const soc = await listen()
  const headersFile = await file('headers', '# of the SOC\nX-Token: from file\r\n\nX-Colon: a: b\n')
  const url = soc.url.replace('http://', 'http://us%20er:p%40ss@')
  const { webhook } = await exporter({ url, headers: { 'x-token': 'from config', 'X-Team': 'blue' }, headersFile })
  webhook.send(bareAlert())
  const [delivery] = await soc.got(1)
  expect(delivery?.headers).toMatchObject({
    'x-token': 'from file',
    'x-team': 'blue',
    'x-colon': 'a: b',
    authorization: `Basic ${Buffer.from('us er:p@ss').toString('base64')}`,
  })
})

test('no header, secret, password, path or query is ever logged', async () => {
  const soc = await listen({ answer: statuses([400, 500, 301]) })
  const secretFile = await file('secret.key', 'SECRET-key')
  const headersFile = await file('secret-headers', 'x-api: SECRET-file')
  const url = `${soc.url.replace('http://', 'http://u:SECRET-pass@')}/SECRET-path?token=SECRET-query`
  const { webhook, journal } = await exporter({
    url,
    headers: { authorization: 'SECRET-header' },
    secretFile,
    headersFile,
  })
  for (const alert of alerts(3)) webhook.send(alert)
  await soc.got(4)
  await soc.close()
  webhook.send(bareAlert())
  await journal.line('"reason":"connection"')
  await webhook.close(30)
  expect(journal.lines.length).toBeGreaterThan(4)
  expect(journal.lines.join('')).not.toContain('SECRET')
  expect(journal.lines.join('')).toContain(`http://127.0.0.1:${soc.port}`)
})

test('a receiver that is away for long is logged once, and again when it fails in another way', async () => {
  const soc = await listen({ answer: statuses([500, 502, 503, 429, 429, 500]) })
  const { webhook, journal } = await exporter({ url: soc.url })
  webhook.send(bareAlert())
  await soc.got(7)
  await webhook.close(5000)
  const told = journal.lines.map((line) => JSON.parse(line)).map(({ reason, failures }) => reason ?? failures)
  expect(told).toEqual(['server_error', 'throttled', 'server_error', 6])
})

test.each<[string, Partial<WebhookConfig>, string]>([
  ['a URL that is none', { url: 'http://' }, 'url: found something else than an http or https URL'],
  ['another scheme', { url: 'file:///etc/passwd' }, 'url: found something else'],
  ['a stray % in the password', { url: 'http://u:SECRET%zz@127.0.0.1/' }, 'url: found a % in the user or password'],
  ['a timeout that is none', { timeout: '5 sec' }, 'timeout: found "5 sec", expected a duration such as 500ms'],
  ['a delay of nothing', { retry: { initialDelay: '0s' } }, 'retry.initialDelay: found "0s", expected a duration'],
  ['a delay no timer takes', { retry: { maxDelay: '30d' } }, 'retry.maxDelay: found "30d", expected a duration'],
  ['a secret file that is not there', { secretFile: '/nonexistent/key' }, "secretFile: can't read the file (ENOENT"],
  [
    'a header of its own',
    { headers: { 'Content-Length': '1' } },
    'headers: found content-length, which Nightjar sets itself',
  ],
  ['a header name that is none', { headers: { 'a b': 'SECRET' } }, 'headers: Header name must be a valid HTTP token'],
  [
    'a header with a line break',
    { headers: { 'x-a': 'SECRET\r\nx-b: 1' } },
    'headers: Invalid character in header content',
  ],
  ['a certificate without a key', { tls: { certFile: '/dev/null' } }, 'tls: found certFile without keyFile'],
  ['a key without a certificate', { tls: { keyFile: '/dev/null' } }, 'tls: found keyFile without certFile'],
])('%s is refused with what to do, and without secrets', async (_, config, message) => {
  const made = exporter({ url: 'http://127.0.0.1:1/', ...config })
  await expect(made).rejects.toThrow(`exporters.webhooks, "soc": ${message}`)
  await expect(made).rejects.not.toThrow('SECRET')
})

test('files with the wrong contents are refused by name and line', async () => {
  const url = 'https://127.0.0.1:1/'
  const empty = await file('empty', '\n')
  await expect(exporter({ url, secretFile: empty })).rejects.toThrow(`"soc": secretFile: ${empty}: found an empty file`)
  const headersFile = await file('no-headers', '# fine\nSECRET\n')
  await expect(exporter({ url, headersFile })).rejects.toThrow(
    `headersFile: ${headersFile}, line 2: found no "Name: value"`,
  )
  const text = await file('text', 'no certificate')
  await expect(exporter({ url, tls: { certFile: text, keyFile: text } })).rejects.toThrow(
    `"soc": tls: can't use ${text}`,
  )
  await expect(exporter({ url, tls: { caFile: text } })).rejects.toThrow(`"soc": tls: can't use ${text}`)
})

test('the configuration of the contract is valid, and the defaults are filled in', () => {
  const config = {
    name: 'soc',
    url: 'https://soc.example/hooks/nightjar',
    format: 'native',
    secretFile: '/etc/nightjar/soc.key',
    headers: {},
    headersFile: null,
    tls: { caFile: null, certFile: null, keyFile: null },
    minSeverity: 'low',
    retry: { initialDelay: '500ms', maxDelay: '1m' },
    batch: null,
  }
  const valid = ajv.compile(WebhookConfig)
  expect(valid(config), ajv.errorsText(valid.errors)).toBe(true)
  const least = { name: 'soc', url: 'http://127.0.0.1/', retry: {} }
  expect(valid(least)).toBe(true)
  expect(least).toMatchObject({ format: 'native', minSeverity: 'low', timeout: '10s', retry: { maxDelay: '1m' } })
})

test.each([
  { url: 'https://soc.example/' },
  { name: 'soc' },
  { name: 'so c', url: 'https://soc.example/' },
  { name: 'soc', url: 'ftp://soc.example/' },
  { name: 'soc', url: 'https://soc.example/', timeout: '10' },
  { name: 'soc', url: 'https://soc.example/', format: 'pigeon' },
  { name: 'soc', url: 'https://soc.example/', secret: 'x' },
  { name: 'soc', url: 'https://soc.example/', tls: { verify: false } },
])('the configuration %j is not valid', (config) => {
  expect(ajv.validate(WebhookConfig, config)).toBe(false)
})
