import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import type { WebhookConfig } from '../../exporters/webhook.ts'
import { authority, type Files, signed } from './certificates.ts'
import { dispatched } from './dispatched.ts'
import { receiver } from './receiver.ts'
import { sampleAlert } from './sample.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightjar-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const ourAuthority = authority(folder, 'our-ca')
const otherAuthority = authority(folder, 'other-ca')
const soc = signed(folder, 'soc', 'IP:127.0.0.1', ourAuthority)
const elsewhere = signed(folder, 'elsewhere', 'DNS:elsewhere.example', ourAuthority)
const sensor = signed(folder, 'sensor', 'DNS:sensor', ourAuthority)
const stranger = signed(folder, 'stranger', 'DNS:sensor', otherAuthority)

async function listen({ certFile, keyFile }: Files, options: ServerOptions = {}) {
  const server = await receiver({ tls: { cert: readFileSync(certFile), key: readFileSync(keyFile), ...options } })
  cleanups.push(() => server.close())
  return server
}

async function exporter(...given: Parameters<typeof dispatched>) {
  const running = await dispatched(...given)
  cleanups.push(running.remove)
  return running
}

test('a receiver whose certificate our own authority signed gets the alert', async () => {
  const server = await listen(soc)
  const { webhook } = await exporter({ url: server.url, tls: { caFile: ourAuthority.certFile } })
  webhook.send(sampleAlert())
  expect(await webhook.close(5000)).toBe(0)
  expect(server.deliveries.length).toBe(1)
})

test.each<[string, Files, WebhookConfig['tls'], string]>([
  ['is signed by nobody we know', soc, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['is signed by another authority', soc, { caFile: otherAuthority.certFile }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['is for another host', elsewhere, { caFile: ourAuthority.certFile }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['is its own signer', otherAuthority, { caFile: ourAuthority.certFile }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
])('a receiver whose certificate %s gets nothing, and the log says why', async (_, files, tls, code) => {
  const server = await listen(files)
  const { webhook, journal } = await exporter({ url: server.url, ...(tls && { tls }) })
  webhook.send(sampleAlert())
  const line = JSON.parse(await journal.line('delivery failed'))
  expect(line.reason).toBe('tls')
  expect(line.detail).toContain(code)
  await webhook.close(30)
  expect(server.deliveries.length).toBe(0)
})

test('the environment can not switch the check of certificates off', async () => {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  cleanups.push(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
  })
  const server = await listen(soc)
  const { webhook, journal } = await exporter({ url: server.url })
  webhook.send(sampleAlert())
  expect(JSON.parse(await journal.line('delivery failed')).reason).toBe('tls')
  expect(server.deliveries.length).toBe(0)
})

test('a receiver that wants a client certificate gets the alert from the sensor that has one', async () => {
  const server = await listen(soc, {
    ca: readFileSync(ourAuthority.certFile),
    requestCert: true,
    rejectUnauthorized: true,
  })
  const { webhook } = await exporter({ url: server.url, tls: { caFile: ourAuthority.certFile, ...sensor } })
  webhook.send(sampleAlert())
  expect(await webhook.close(5000)).toBe(0)
  expect(server.deliveries.length).toBe(1)
})

test.each<[string, Partial<Files>]>([
  ['none', {}],
  ['one of another authority', stranger],
])('a receiver that wants a client certificate gets nothing from a sensor with %s', async (_, files) => {
  const server = await listen(soc, {
    ca: readFileSync(ourAuthority.certFile),
    requestCert: true,
    rejectUnauthorized: true,
  })
  const { webhook, journal } = await exporter({ url: server.url, tls: { caFile: ourAuthority.certFile, ...files } })
  webhook.send(sampleAlert())
  await journal.line('delivery failed')
  await webhook.close(30)
  expect(server.deliveries.length).toBe(0)
})

test("a key that is not the certificate's is refused at the start", async () => {
  const tls = { certFile: sensor.certFile, keyFile: stranger.keyFile }
  await expect(exporter({ url: 'https://127.0.0.1:1/', tls })).rejects.toThrow(
    /^exporters.webhooks, "soc": tls: can't use /,
  )
})

test('the receiver can verify what it got with the secret, by openssl alone', async () => {
  const server = await listen(soc)
  const secretFile = join(folder, 'webhook.key')
  const secret = Buffer.from('0123456789abcdef0123456789abcdef')
  writeFileSync(secretFile, `whsec_${secret.toString('base64')}\n`)
  const { webhook } = await exporter({ url: server.url, secretFile, tls: { caFile: ourAuthority.certFile } })
  webhook.send(sampleAlert({ message: 'grün 🦜 \ud800' }))
  const [delivery] = await server.got(1)
  const input = `${delivery?.headers['webhook-id']}.${delivery?.headers['webhook-timestamp']}.${delivery?.body}`
  const key = `hexkey:${secret.toString('hex')}`
  const mac = execFileSync('openssl', ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', key, '-binary'], { input })
  expect(delivery?.headers['webhook-signature']).toBe(`v1,${mac.toString('base64')}`)
})
