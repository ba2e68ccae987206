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
  const { container, account, secrets } = options
  const pod = { spec, serviceAccount: 'app' }
  return credentialOf(handedTo(pod, container), pod, account, secrets && ((name) => secrets[name]), now)
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

/** A pod whose only volume is this Secret, mounted at `mountPath`. */
const withSecret = (secretName: string, mountPath = '/etc/git'): V1PodSpec => ({
  containers: [{ name: 'app', volumeMounts: [{ name: 'one', mountPath }] }],
  volumes: [{ name: 'one', secret: { secretName } }],
})
const tokenPlace = '/var/run/secrets/kubernetes.io/serviceaccount'

test('a password that the account lists, as Tekton has it done, is no token', () => {
  const found = credential(withSecret('basic-user-pass'), { account: { secrets: ['basic-user-pass'] } })
  expect(found).toEqual({ kind: 'none', api_server: false, automounted: false, automount: 'default' })
})

test.each([
  ["at the token's place", 'anything', tokenPlace, ['anything']],
  ['by the name that the control plane gave', 'app-token-x7k2q', '/etc/git', ['app-token-x7k2q']],
])(
  'where token Secrets are not known, one that the account lists is taken for a token %s',
  (_, name, path, secrets) => {
    expect(credential(withSecret(name, path), { account: { secrets } })).toMatchObject({
      kind: 'legacy_secret',
      api_server: true,
      secret: { name, service_account: 'app' },
    })
  },
)

test.each([
  ['that the account does not list', 'app-token-x7k2q', tokenPlace, []],
  ['with characters that the control plane never gave', 'app-token-oauth', '/etc/git', ['app-token-oauth']],
  ['named for another account', 'db-token-x7k2q', '/etc/git', ['db-token-x7k2q']],
  ['of a name that goes on', 'app-token-x7k2q-old', '/etc/git', ['app-token-x7k2q-old']],
])('one %s is not', (_, name, path, secrets) => {
  expect(credential(withSecret(name, path), { account: { secrets } }).kind).toBe('none')
})

test('a Secret that one container mounts in the place of the token is one for all', () => {
  const spec = withSecret('anything', tokenPlace)
  const env = [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'anything', key: 'token' } } }]
  const both = { ...spec, containers: [...spec.containers, { name: 'other', env }] }
  expect(credential(both, { container: 'other', account: { secrets: ['anything'] } }).kind).toBe('legacy_secret')
})

test('the control plane cut long names before it added its characters', () => {
  const long = 'a'.repeat(60)
  const name = `${long.slice(0, 58)}x7k2q`
  const pod = { spec: withSecret(name), serviceAccount: long }
  expect(credentialOf(handedTo(pod, 'app'), pod, { secrets: [name] }, undefined, now).kind).toBe('legacy_secret')
})

test('where token Secrets are known, what is not among them is no token, whatever its name and place', () => {
  const found = credential(withSecret('app-token-x7k2q', tokenPlace), {
    account: { secrets: ['app-token-x7k2q'] },
    secrets: {},
  })
  expect(found).toMatchObject({ kind: 'none', api_server: false })
})

test.each<[string, boolean | undefined]>([
  ['https://kubernetes.default.svc.cluster.local', true],
  ['https://kubernetes.default.svc', true],
  ['kubernetes.default.svc', true],
  ['sts.amazonaws.com', false],
  ['sts.amazonaws.com.cn', false],
  ['amazonaws.com', false],
  ['pods.eks.amazonaws.com', false],
  ['api://AzureADTokenExchange', false],
  ['//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k', false],
  ['shop.svc.id.goog', false],
  ['api', undefined],
  ['istio-ca', undefined],
  ['spire-server', undefined],
  ['vault', undefined],
  ['kubernetes.svc.default', undefined],
  ['https://container.googleapis.com/v1/projects/shop/locations/eu/clusters/one', undefined],
])('a token for %s: is it good at the API server? %s', (audience, good) => {
  const found = credential(withToken({ audience }))
  expect(found).toMatchObject({ kind: 'projected', audiences: [audience], automounted: false })
  expect(found.api_server).toBe(good)
  expect('api_server' in found).toBe(good !== undefined)
})

test('one token that is good at the API server is enough, whatever the others are', () => {
  const found = credential(withToken({ audience: 'vault' }, { audience: 'ours' }, {}))
  expect(found).toMatchObject({ audiences: ['vault', 'ours'], api_server: true })
})

test("the lifetime is that of the API server's token, also where that names its audience", () => {
  const own = { audience: 'https://kubernetes.default.svc', expirationSeconds: 600 }
  expect(credential(withToken(own, { audience: 'vault', expirationSeconds: 7200 })).expiration_seconds).toBe(600)
})

/** A pod with a volume of projected tokens. */
function withToken(...tokens: { audience?: string; expirationSeconds?: number }[]): V1PodSpec {
  const sources = tokens.map((token, at) => ({ serviceAccountToken: { path: `${at}`, ...token } }))
  return {
    automountServiceAccountToken: false,
    containers: [{ name: 'app', volumeMounts: [{ name: 'tokens', mountPath: '/tokens' }] }],
    volumes: [{ name: 'tokens', projected: { sources } }],
  }
}

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
