import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { afterEach, expect, test } from 'vitest'
import { type KubernetesEventsConfig, kubernetesEvents } from '../../exporters/kubernetes-events.ts'
import type { Receiver } from '../../exporters/receiver.ts'
import type { Alert } from '../../sensor/alert.ts'
import { apiServerPost } from '../../sensor/api-server-post.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

interface Posted {
  path: string
  headers: IncomingHttpHeaders
  body: Record<string, unknown>
}

async function apiServer(status = 201, answer = '{}', headers: Record<string, string> = {}) {
  const posted: Posted[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    posted.push({ path: request.url ?? '', headers: request.headers, body: JSON.parse(body) })
    response.writeHead(status, headers).end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push({
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, posted }
}

async function receiver(server: string, config: KubernetesEventsConfig = {}): Promise<Receiver> {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser({ name: 'test', server, skipTLSVerify: true }, { name: 'sensor', token: 'secret' })
  const one = await kubernetesEvents({ enabled: true, ...config }, async () => apiServerPost(kubeConfig))
  if (one === undefined) throw new Error('no receiver')
  open.push(one)
  return one
}
const send = (to: Receiver, alert: Alert) => to.attempt([alert], AbortSignal.timeout(5000))

test('an alert becomes an Event on its pod', async () => {
  const { url, posted } = await apiServer()
  const alert = sampleAlert()
  expect(await send(await receiver(url), alert)).toEqual({ verdict: 'delivered' })
  expect(posted).toMatchObject([
    {
      path: '/apis/events.k8s.io/v1/namespaces/payments/events',
      headers: { authorization: 'Bearer secret' },
      body: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: `nightjar-${alert.id.toLowerCase()}`, namespace: 'payments' },
        eventTime: '2026-03-01T12:34:56.789000Z',
        type: 'Warning',
        reason: 'ReverseShell',
        action: 'Detected',
        reportingController: 'nightjar.dev/sensor',
        reportingInstance: 'node-1',
        regarding: {
          kind: 'Pod',
          name: 'checkout-7d9f-x2x',
          namespace: 'payments',
          uid: '0d6e7f5c-8f0e-4d55-8d5c-1f0b7a1d0c11',
          fieldPath: 'spec.containers{app}',
        },
        note: `Reverse shell (3 times): severity critical, priority 95, rule execution/reverse-shell, alert ${alert.id}`,
      },
    },
  ])
})

test('it tells nothing that the process chose: others may read the Events of a namespace', async () => {
  const { url, posted } = await apiServer()
  await send(await receiver(url), sampleAlert())
  expect(JSON.stringify(posted[0]?.body)).not.toMatch(/203\.0\.113\.9|dev\/tcp|bash/)
})

test('a note and names stay within what the API server takes', async () => {
  const { url, posted } = await apiServer()
  const { rule, sensor, ...rest } = sampleAlert()
  const long = '界'.repeat(1000)
  await send(await receiver(url), {
    ...rest,
    rule: { ...rule, id: 'a'.repeat(300), name: long },
    sensor: { ...sensor, node: long },
  })
  const { note, reason, reportingInstance } = (posted[0]?.body ?? {}) as Record<string, string>
  expect(Buffer.byteLength(note ?? '')).toBeLessThanOrEqual(1024)
  expect(Buffer.byteLength(reason ?? '')).toBe(128)
  expect(Buffer.byteLength(reportingInstance ?? '')).toBeLessThanOrEqual(128)
})

test.each([
  [409, { verdict: 'delivered' }],
  [429, { verdict: 'failed', reason: 'throttled', retryAfter: 2000 }],
  [401, { verdict: 'failed', reason: 'server_error' }],
  [503, { verdict: 'failed', reason: 'server_error' }],
  [403, { verdict: 'refused', detail: 'status 403: events is forbidden' }],
  [404, { verdict: 'refused' }],
])('status %d: %j', async (status, outcome) => {
  const { url } = await apiServer(status, '{"message":"events is forbidden"}', { 'retry-after': '2' })
  expect(await send(await receiver(url), sampleAlert())).toMatchObject(outcome)
})

test('an API server that is away is a failure to try again', async () => {
  expect(await send(await receiver('http://127.0.0.1:1'), sampleAlert())).toMatchObject({ verdict: 'failed' })
})

test('only alerts about pods are wanted, of medium severity and above, and 30 a minute', async () => {
  const to = await receiver('http://127.0.0.1:1')
  expect([to.wants?.(sampleAlert()), to.wants?.(bareAlert())]).toEqual([true, false])
  expect([to.minSeverity, to.rateLimit]).toEqual(['medium', { alerts: 30, per: 60_000 }])
  const filtered = await receiver('http://127.0.0.1:1', { namespaces: ['other'] })
  expect(filtered.wants?.(sampleAlert())).toBe(false)
})

test('it is off unless it is asked for', async () => {
  const never = () => Promise.reject(new Error('asked'))
  expect(await kubernetesEvents({}, never)).toBeUndefined()
  expect(await kubernetesEvents({ enabled: false }, never)).toBeUndefined()
})
