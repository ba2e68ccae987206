/** From the spool to a receiver: batches, limits, filters, and what is done with alerts that will not go. */
import { readFile } from 'node:fs/promises'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { webhook as webhookReceiver } from '../../exporters/webhook.ts'
import type { Alert } from '../../sensor/alert.ts'
import { dispatched } from './dispatched.ts'
import { type Answer, type Delivery, ok, type Receiver, receiver } from './receiver.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listen(answer: Answer = ok): Promise<Receiver> {
  const server = await receiver({ answer })
  cleanups.push(() => server.close())
  return server
}

async function exporter(...given: Parameters<typeof dispatched>) {
  const running = await dispatched(...given)
  cleanups.push(running.remove)
  return running
}

const alerts = (count: number) => Array.from({ length: count }, () => bareAlert())
const idsOf = (alerts: readonly { id?: string }[]) => alerts.map(({ id }) => id)
const batchesOf = (deliveries: readonly Delivery[]): Alert[][] => deliveries.map(({ body }) => JSON.parse(body).alerts)
/** Of single alerts, in the order in which they were answered with 2xx. */
const idOf = ({ body }: Delivery): string => JSON.parse(body).id

test('a batch is as many alerts as wait, up to its size, as { "alerts": [...] }', async () => {
  const soc = await listen()
  const { webhook } = await exporter({ url: soc.url, batch: { size: 4, wait: '1h' } })
  const sent = alerts(10)
  for (const alert of sent) webhook.send(alert)
  await soc.got(2)
  expect(await webhook.close(5000)).toBe(0)
  expect(batchesOf(soc.deliveries).map(({ length }) => length)).toEqual([4, 4, 2])
  expect(idsOf(batchesOf(soc.deliveries).flat())).toEqual(idsOf(sent))
})

test('an alert waits no longer than the batch says for others', async () => {
  const soc = await listen()
  const { webhook } = await exporter({ url: soc.url, batch: { size: 100, wait: '20ms' } })
  const [alert] = alerts(1)
  if (alert) webhook.send(alert)
  expect(idsOf(batchesOf(await soc.got(1)).flat())).toEqual([alert?.id])
})

test('a batch that is sent again has the same id, another batch another one', async () => {
  const soc = await listen((response, _, index) => response.writeHead(index === 0 ? 503 : 200).end())
  const { webhook } = await exporter({ url: soc.url, batch: { size: 2, wait: '1h' } })
  for (const alert of alerts(4)) webhook.send(alert)
  const ids = (await soc.got(3)).map(({ headers }) => headers['webhook-id'])
  expect(ids[0]).toBe(ids[1])
  expect(ids[2]).not.toBe(ids[1])
  for (const id of ids) expect(id).toMatch(/^batch_[0-9a-f]{32}$/)
})

test('of a batch that is refused only the alert that is refused goes to the dead letters', async () => {
  const poison = bareAlert({ message: 'poison' })
  const soc = await listen((response, { body }) => response.writeHead(body.includes('poison') ? 422 : 200).end())
  const { webhook, journal, failures, delivered } = await exporter({ url: soc.url, batch: { size: 16, wait: '1h' } })
  const sent = alerts(16).with(9, poison)
  for (const alert of sent) webhook.send(alert)
  const { file, ...line } = JSON.parse(await journal.line('refused'))
  expect(line).toMatchObject({ exporter: 'soc', detail: 'status 422', alerts: 1, alert: poison.id })
  expect(await webhook.close(5000)).toBe(0)
  expect([await failures('rejected'), await delivered()]).toEqual([1, 15])
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ exporter: 'soc', alert: poison })
  const taken = batchesOf(soc.deliveries.filter(({ body }) => !body.includes('poison'))).flat()
  expect(idsOf(taken)).toEqual(idsOf(sent.filter((alert) => alert !== poison)))
})

test('alerts on which the receiver breaks, and only they, are given up; the others arrive meanwhile', async () => {
  const soc = await listen((response, { body }) => response.writeHead(body.includes('poison') ? 500 : 200).end())
  const { webhook, journal, failures } = await exporter({
    url: soc.url,
    retry: { initialDelay: '1ms', maxDelay: '2ms' },
  })
  const sent = [bareAlert({ message: 'poison 1' }), bareAlert({ message: 'poison 2' }), ...alerts(60)]
  for (const alert of sent) webhook.send(alert)
  const lines = [await journal.line(sent[0]?.id ?? ''), await journal.line(sent[1]?.id ?? '')].map((line) =>
    JSON.parse(line),
  )
  for (const line of lines) expect(line.detail).toMatch(/^failed \d\d times while others were delivered: status 500$/)
  expect(await webhook.close(5000)).toBe(0)
  expect(await failures('given_up')).toBe(2)
  const taken = soc.deliveries.filter(({ body }) => !body.includes('poison')).map(idOf)
  expect(taken.toSorted()).toEqual(idsOf(sent.slice(2)).toSorted())
})

test('a receiver that is down for long is not mistaken for alerts that break it: none is given up', async () => {
  const soc = await listen((response, _, index) => response.writeHead(index < 200 ? 503 : 200).end())
  const { webhook, failures } = await exporter({ url: soc.url, retry: { initialDelay: '1ms', maxDelay: '1ms' } })
  const sent = alerts(20)
  for (const alert of sent) webhook.send(alert)
  await soc.got(220)
  expect(await webhook.close(5000)).toBe(0)
  expect([await failures('given_up'), await failures('rejected')]).toEqual([0, 0])
  expect(new Set(soc.deliveries.slice(200).map(idOf))).toEqual(new Set(idsOf(sent)))
})

test('a receiver that nobody can connect to is no reason to try others in between: the order stays', async () => {
  const away = await receiver()
  await away.close()
  const { webhook, failures } = await exporter({ url: away.url, retry: { initialDelay: '1ms', maxDelay: '1ms' } })
  const sent = alerts(5)
  for (const alert of sent) webhook.send(alert)
  await expect.poll(() => failures('connection'), { timeout: 20_000 }).toBeGreaterThan(50)
  const soc = await receiver({ port: away.port })
  cleanups.push(() => soc.close())
  expect((await soc.got(5)).map(idOf)).toEqual(idsOf(sent))
  expect(await webhook.close(5000)).toBe(0)
})

test('with a concurrency of 4 there are 4 attempts at a time, over as many connections', async () => {
  let open = 0
  let most = 0
  const answers: (() => void)[] = []
  const soc = await listen((response) => {
    most = Math.max(most, ++open)
    answers.push(() => {
      open--
      response.writeHead(200).end()
    })
    // All are answered when the fourth has come.
    if (answers.length % 4 === 0) for (const answer of answers.splice(0)) answer()
  })
  const { webhook } = await exporter({ url: soc.url, concurrency: 4 })
  const sent = alerts(40)
  for (const alert of sent) webhook.send(alert)
  const deliveries = await soc.got(40)
  expect(await webhook.close(5000)).toBe(0)
  expect([most, soc.connections]).toEqual([4, 4])
  expect(deliveries.map(idOf).toSorted()).toEqual(idsOf(sent).toSorted())
})

test('beyond the rate limit alerts are withheld, counted, and told of in one summary; critical ones are sent', async () => {
  const soc = await listen()
  const { webhook, sample } = await exporter({ url: soc.url, rateLimit: { alerts: 3, per: '300ms' } })
  const sent = Array.from({ length: 20 }, (_, index) =>
    sampleAlert({
      severity: index === 10 ? 'critical' : 'medium',
      rule: { id: `rule-${index % 2}`, name: '', pack: 'a', tags: {} },
    }),
  )
  for (const alert of sent) webhook.send(alert)
  const told = (await soc.got(5)).map(({ body }): Alert => JSON.parse(body))
  expect(idsOf(told.slice(0, 4))).toEqual(idsOf([...sent.slice(0, 3), ...sent.slice(10, 11)]))
  expect(told[4]).toMatchObject({
    rule: { id: 'rate-limit' },
    severity: 'medium',
    count: 16,
    message: '16 more alerts in 0.3 s than the receiver is to get: 9 rule-1, 7 rule-0',
  })
  expect(await sample('nightjar_alerts_suppressed_total{rule="rule-1",reason="rate_limited"}')).toBe(9)
  // And then as before.
  const next = sampleAlert({ severity: 'low' })
  webhook.send(next)
  expect(idOf((await soc.got(6))[5] ?? (soc.deliveries[0] as Delivery))).toBe(next.id)
  expect(await webhook.close(5000)).toBe(0)
})

test('a summary of what is withheld is sent before the sensor ends', async () => {
  const soc = await listen()
  const { webhook, queued } = await exporter({ url: soc.url, rateLimit: { alerts: 1, per: '1h' } })
  for (const alert of alerts(5)) webhook.send(alert)
  await soc.got(1)
  expect(await webhook.close(5000)).toBe(0)
  expect(soc.deliveries.map(({ body }) => JSON.parse(body).count)).toEqual([1, 4])
  expect(await queued()).toBe(0)
})

test.each<[string, object, number[]]>([
  ['rules: [reverse-shell]', { rules: ['reverse-shell'] }, [0, 1]],
  ['rules: [execution/reverse-shell]', { rules: ['execution/reverse-shell'] }, [0]],
  ['rules: [sensor/*]', { rules: ['sensor/*'] }, [2]],
  ['namespaces: [payments]', { namespaces: ['payments'] }, [0]],
  ['both', { rules: ['sensor/*'], namespaces: ['payments'] }, []],
])('a filter lets through what it names, and the rest is no backlog: %s', async (_, filter, expected) => {
  const soc = await listen()
  const { webhook, queued } = await exporter({ url: soc.url, ...filter })
  const elsewhere = { id: 'reverse-shell', name: '', pack: 'team', tags: {} }
  const sent = [sampleAlert(), sampleAlert({ rule: elsewhere, k8s: { namespace: { name: 'shop' } } }), bareAlert()]
  for (const alert of sent) webhook.send(alert)
  expect(await webhook.close(5000)).toBe(0)
  expect(soc.deliveries.map(idOf)).toEqual(expected.map((index) => sent[index]?.id))
  expect(await queued()).toBe(0)
})

test('a receiver that hangs holds up no other', async () => {
  const hanging = createTcpServer((socket) => socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve))
  const soc = await listen()
  const { webhook, journal } = await exporter({ url: soc.url })
  const { port } = hanging.address() as AddressInfo
  const other = await webhookReceiver({ name: 'hangs', url: `http://127.0.0.1:${port}/`, timeout: '1h' })
  const fine = await webhookReceiver({ name: 'soc', url: soc.url })
  await webhook.use([other, fine], 100)
  const sent = alerts(50)
  for (const alert of sent) webhook.send(alert)
  expect((await soc.got(50)).map(idOf)).toEqual(idsOf(sent))
  await webhook.close(50)
  expect(JSON.parse(await journal.line('wait in the spool'))).toMatchObject({ exporter: 'hangs', alerts: 50 })
  await new Promise((resolve) => hanging.close(resolve))
})

test('receivers are exchanged without a loss: one of the same name goes on where the one before had come to', async () => {
  const before = await listen((response) => response.writeHead(503).end())
  const { webhook } = await exporter({ url: before.url })
  const sent = alerts(10)
  for (const alert of sent.slice(0, 5)) webhook.send(alert)
  await before.got(2)
  const soc = await listen()
  const using = webhook.use([await webhookReceiver({ name: 'soc', url: soc.url })], 20)
  for (const alert of sent.slice(5)) webhook.send(alert)
  await using
  expect((await soc.got(10)).map(idOf)).toEqual(idsOf(sent))
})

test('what one sensor could not deliver the next one delivers, under the same ids', async () => {
  const gone = await receiver()
  await gone.close()
  const first = await exporter({ url: gone.url })
  const sent = alerts(10)
  for (const alert of sent) first.webhook.send(alert)
  await first.journal.line('delivery failed')
  expect(await first.webhook.close(10)).toBe(0)
  const soc = await listen()
  const second = await exporter({ url: soc.url }, { directory: first.directory })
  expect((await soc.got(10)).map(idOf)).toEqual(idsOf(sent))
  expect(await second.webhook.close(5000)).toBe(0)
})

test('a name that resolves to nothing is logged once, by name, and holds nothing up', async () => {
  const { webhook, journal, failures } = await exporter({ url: 'http://nightjar.invalid/' })
  for (const alert of alerts(3)) webhook.send(alert)
  const line = JSON.parse(await journal.line('delivery failed'))
  expect(line).toMatchObject({ receiver: 'http://nightjar.invalid', reason: 'connection' })
  expect(line.detail).toMatch(/ENOTFOUND|EAI_AGAIN/)
  await webhook.close(10)
  expect(await failures('connection')).toBeGreaterThan(0)
})

test('a receiver that fails in another way each time does not flood the log', async () => {
  const soc = await listen((response, _, index) => response.writeHead(index % 2 === 0 ? 500 : 429).end())
  const { webhook, journal } = await exporter({ url: soc.url, retry: { initialDelay: '1ms', maxDelay: '1ms' } })
  webhook.send(bareAlert())
  await soc.got(200)
  await webhook.close(0)
  expect(journal.lines.filter((line) => line.includes('delivery failed')).length).toBeLessThanOrEqual(30)
})
