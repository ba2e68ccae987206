import type { V1PodSpec } from '@kubernetes/client-node'
import { expect, test } from 'vitest'
import { handedTo } from '../../enrich/container-mounts.ts'
import { credentialOf, type TokenSecret } from '../../enrich/credential.ts'
import type { ServiceAccount } from '../../enrich/service-account.ts'
import { recordedPod } from './api-server.ts'

const now = Date.UTC(2026, 10, 24, 22, 32, 12)

function credential(
  spec: V1PodSpec,
  options: { container?: string; account?: ServiceAccount; secrets?: Record<string, TokenSecret> } = {},
) {
  const pod = { spec, serviceAccount: 'app' }
  return credentialOf(handedTo(pod, options.container), pod, options.account, (name) => options.secrets?.[name], now)
}
const specOf = (name: string): V1PodSpec => recordedPod(name).spec ?? { containers: [] }

test('an automounted token: projected, for the API server, as nobody decided otherwise', () => {
  expect(credential(specOf('redis-0'), { container: 'redis', account: {} })).toEqual({
    kind: 'projected',
    expiration_seconds: 3607,
    api_server: true,
    automounted: true,
    automount: 'default',
  })
})

test('a pod of an account that says no has none', () => {
  const spec = specOf('frontend-5fdb8667d8-jlnd6')
  expect(credential(spec, { container: 'nginx', account: { automount: false } })).toEqual({
    kind: 'none',
    api_server: false,
    automounted: false,
    automount: 'service_account',
  })
})

test("a token for a cloud beside the API server's: both audiences' lifetimes are kept apart", () => {
  expect(credential(specOf('payments-api-67c6d9cb87-sp7ds'), { container: 'api' })).toEqual({
    kind: 'projected',
    audiences: ['sts.amazonaws.com'],
    expiration_seconds: 3607,
    api_server: true,
    automounted: true,
  })
})

test('the word of the pod goes before that of its account', () => {
  const spec = { ...specOf('redis-0'), automountServiceAccountToken: true }
  expect(credential(spec, { account: { automount: false } }).automount).toBe('pod')
})

test('a container that mounts no token holds none, though its pod has one', () => {
  const spec = specOf('redis-0')
  const bare = { ...spec, containers: [...spec.containers, { name: 'bare' }] }
  expect(credential(bare, { container: 'bare' }).kind).toBe('none')
  expect(credential(bare, { container: 'redis' }).kind).toBe('projected')
  expect(credential(bare).kind).toBe('projected')
})

test('a Secret with a token that never expires, its account and its age', () => {
  const created = '2026-11-21T22:32:12Z'
  const secrets = { 'old-app-token': { serviceAccount: 'old-app', created } }
  expect(credential(specOf('old-app-668dcc8459-nxddh'), { container: 'app', secrets })).toMatchObject({
    kind: 'legacy_secret',
    secret: { name: 'old-app-token', service_account: 'old-app', created, age_days: 3 },
  })
})

test('where Secrets may not be read, one that the account lists is known for a token; any other is not guessed', () => {
  const spec = specOf('old-app-668dcc8459-nxddh')
  expect(credential(spec, { account: { secrets: ['old-app-token'] } }).secret).toEqual({
    name: 'old-app-token',
    service_account: 'app',
  })
  expect(credential(spec, { account: {} })).toMatchObject({ kind: 'projected' })
})

test('Secrets that reach a container: mounted, projected, in the environment, and for pulling its image', () => {
  const spec: V1PodSpec = {
    imagePullSecrets: [{ name: 'registry' }],
    containers: [
      {
        name: 'app',
        env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'db', key: 'p' } } }],
        envFrom: [{ secretRef: { name: 'all' } }, { configMapRef: { name: 'settings' } }],
        volumeMounts: [
          { name: 'certs', mountPath: '/certs' },
          { name: 'mixed', mountPath: '/mixed' },
          { name: 'mixed', mountPath: '/again' },
        ],
      },
      { name: 'other', env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'elsewhere', key: 'x' } } }] },
    ],
    volumes: [
      { name: 'certs', secret: { secretName: 'tls' } },
      { name: 'mixed', projected: { sources: [{ secret: { name: 'projected' } }, { configMap: { name: 'c' } }] } },
      { name: 'unmounted', secret: { secretName: 'nobody' } },
    ],
  }
  expect(handedTo({ spec }, 'app').secrets).toEqual([
    { name: 'tls', via: 'volume' },
    { name: 'projected', via: 'volume' },
    { name: 'db', via: 'env' },
    { name: 'all', via: 'env' },
    { name: 'registry', via: 'image_pull' },
  ])
})
