import type {
  V1PodSpec,
  V1ServiceAccount,
  V1ServiceAccountTokenProjection,
  V1VolumeMount,
} from '@kubernetes/client-node'
import { expect, test } from 'vitest'
import { type CloudNode, cloudNodeFrom, cloudOf } from '../../enrich/cloud.ts'
import { handedTo } from '../../enrich/container-mounts.ts'
import { serviceAccountFrom } from '../../enrich/service-account.ts'
import { recordedObject, recordedPod } from './api-server.ts'

const account = (annotations: Record<string, string>) =>
  serviceAccountFrom({ metadata: { name: 'a', annotations: { other: 'x', ...annotations } } })
const recordedAccount = (name: string, namespace: string) =>
  serviceAccountFrom(recordedObject<V1ServiceAccount>('serviceaccounts.json', name, namespace))

/** A pod whose only container has these variables, and a projected token of each of these audiences. */
function pod(options: { env?: Record<string, string>; audiences?: string[]; hostNetwork?: boolean }): {
  spec: V1PodSpec
} {
  const { env = {}, audiences = [], hostNetwork } = options
  const volumes = audiences.map((audience, at) => ({
    name: `token-${at}`,
    projected: { sources: [{ serviceAccountToken: { audience, path: 'token' } }] },
  }))
  return {
    spec: {
      ...(hostNetwork && { hostNetwork }),
      containers: [
        {
          name: 'app',
          env: Object.entries(env).map(([name, value]) => ({ name, value })),
          volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/var/run/${name}` })),
        },
      ],
      volumes,
    },
  }
}

const on = (provider: string, gkeMetadataServer = false): CloudNode => ({ provider, gkeMetadataServer })
const found = (one: { spec: V1PodSpec }, annotations: Record<string, string> = {}, node?: CloudNode) =>
  cloudOf(one, handedTo(one, 'app'), account(annotations), node)
const recorded = (name: string, ...ofAccount: [string, string]) => {
  const { spec = { containers: [] } } = recordedPod(name)
  return cloudOf({ spec }, handedTo({ spec }, spec.containers[0]?.name), recordedAccount(...ofAccount), undefined)
}

const role = 'arn:aws:iam::111122223333:role/payments-api'

test('EKS: the role of the recorded account, and its token in the container', () => {
  expect(recorded('payments-api-67c6d9cb87-sp7ds', 'payments-api', 'payments')).toEqual([
    { provider: 'aws', source: 'eks_irsa', principal: role, held: true, audience: 'sts.amazonaws.com' },
  ])
})

test('EKS: the role that was injected counts, not what the account says since', () => {
  const env = { AWS_ROLE_ARN: 'arn:old', AWS_WEB_IDENTITY_TOKEN_FILE: '/token' }
  expect(found(pod({ env, audiences: ['sts.amazonaws.com'] }), { 'eks.amazonaws.com/role-arn': 'arn:new' })).toEqual([
    { provider: 'aws', source: 'eks_irsa', principal: 'arn:old', held: true, audience: 'sts.amazonaws.com' },
  ])
})

test('EKS: a role that the account names, but of which the container has no token, is told as not held', () => {
  expect(found(pod({}), { 'eks.amazonaws.com/role-arn': role })).toEqual([
    { provider: 'aws', source: 'eks_irsa', principal: role, held: false },
  ])
})

test('EKS: an audience of its own is found by the annotation', () => {
  const annotations = { 'eks.amazonaws.com/role-arn': role, 'eks.amazonaws.com/audience': 'ours' }
  expect(found(pod({ audiences: ['ours'] }), annotations)[0]).toMatchObject({ held: true, audience: 'ours' })
  expect(found(pod({ audiences: ['vault'] }), annotations)[0]).toMatchObject({ held: false })
})

/** Whether the role is held by a container with these variables, which mounts a volume of these tokens so. */
function heldBy(
  env: Record<string, string>,
  volumeMounts: Omit<V1VolumeMount, 'name'>[],
  tokens: V1ServiceAccountTokenProjection[] = [{ audience: 'amazonaws.com', path: 'token' }],
) {
  const one = pod({ env })
  const [app = { name: 'app' }] = one.spec.containers
  return found(
    {
      spec: {
        containers: [{ ...app, volumeMounts: volumeMounts.map((mount) => ({ name: 'own', ...mount })) }],
        volumes: [
          { name: 'own', projected: { sources: tokens.map((serviceAccountToken) => ({ serviceAccountToken })) } },
        ],
      },
    },
    { 'eks.amazonaws.com/role-arn': role, 'azure.workload.identity/client-id': 'client' },
    on('aws'),
  )
}

// https://github.com/kubernetes/kops/blob/master/pkg/model/iam/subject.go: its own add-ons' path ends in a slash.
test.each(['/var/run/secrets/eks.amazonaws.com/serviceaccount', '/var/run/secrets/amazonaws.com/'])(
  'kOps: a token for amazonaws.com, mounted at %s, where the variable says, is held',
  (mountPath) => {
    const file = `${mountPath.replace(/\/$/, '')}/token`
    expect(heldBy({ AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: file }, [{ mountPath }])).toEqual([
      { provider: 'aws', source: 'eks_irsa', principal: role, held: true, audience: 'amazonaws.com' },
      { provider: 'azure', source: 'azure_workload_identity', principal: 'client', held: false },
    ])
  },
)

test('a token that the variable names needs no audience, and comes before one that only its audience tells', () => {
  const env = { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: '/t/mine' }
  const [nameless] = heldBy(env, [{ mountPath: '/t' }], [{ path: 'mine' }])
  expect(nameless).toEqual({ provider: 'aws', source: 'eks_irsa', principal: role, held: true })
  const tokens = [
    { audience: 'sts.amazonaws.com', path: 'other' },
    { audience: 'ours', path: 'mine' },
  ]
  expect(heldBy(env, [{ mountPath: '/t' }], tokens)[0]).toMatchObject({ held: true, audience: 'ours' })
})

test('Azure: a token that AZURE_FEDERATED_TOKEN_FILE names is held, whatever its audience', () => {
  const env = {
    AZURE_CLIENT_ID: 'client',
    AZURE_FEDERATED_TOKEN_FILE: '/var/run/secrets/azure/wi/token/azure-identity-token',
  }
  const mounts = [{ mountPath: '/var/run/secrets/azure/wi' }]
  expect(heldBy(env, mounts, [{ audience: 'ours', path: 'token/azure-identity-token' }])).toContainEqual({
    provider: 'azure',
    source: 'azure_workload_identity',
    principal: 'client',
    held: true,
    audience: 'ours',
  })
})

test('a volume that is mounted twice is found at both places', () => {
  const mounts = [{ mountPath: '/aws' }, { mountPath: '/also' }]
  for (const file of ['/aws/token', '/also/token'])
    expect(heldBy({ AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: file }, mounts)[0]).toMatchObject({ held: true })
})

test.each([
  ['another file', '/aws/other', { mountPath: '/aws' }],
  ['a file below another folder', '/aws/token', { mountPath: '/aws2' }],
  ['a variable of which the value comes with the start', '$(DIR)/token', { mountPath: '/aws' }],
  ['a folder of the volume alone', '/aws/token', { mountPath: '/aws', subPath: 'other' }],
  ['a folder that a variable names', '/aws/token', { mountPath: '/aws', subPathExpr: '$(NAME)' }],
])('%s is not the token', (_, file, mount) => {
  const env = { AWS_ROLE_ARN: role, AWS_WEB_IDENTITY_TOKEN_FILE: file }
  expect(heldBy(env, [mount])[0]).toEqual({ provider: 'aws', source: 'eks_irsa', principal: role, held: false })
})

test.each([
  { audiences: ['pods.eks.amazonaws.com'] },
  { env: { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials' } },
  { env: { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://[fd00:ec2::23]/v1/credentials' } },
])('EKS Pod Identity %o: held, and no principal is made up', (how) => {
  const [only, ...others] = found(pod(how))
  expect(only).toMatchObject({ provider: 'aws', source: 'eks_pod_identity', held: true })
  expect(only).not.toHaveProperty('principal')
  expect(others).toEqual([])
})

test('a credentials address of another kind is not Pod Identity', () => {
  expect(found(pod({ env: { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.0.0.1:9911/v1' } }))).toEqual([])
})

test('GKE: the account of the recorded object; held where the node is known to give its token out', () => {
  const principal = 'cart@shop-prod.iam.gserviceaccount.com'
  expect(recorded('cart-58dc5c54b5-r255d', 'cart', 'shop')).toEqual([
    { provider: 'gcp', source: 'gke_workload_identity', principal },
  ])
  const annotations = { 'iam.gke.io/gcp-service-account': principal }
  expect(found(pod({}), annotations, on('gcp', true))).toMatchObject([{ held: true }])
  expect(found(pod({ hostNetwork: true }), annotations, on('gcp', true))).toMatchObject([
    { principal, held: false },
    { provider: 'gcp', source: 'node_role', held: true },
  ])
})

test('a token for a workload identity pool of Google Cloud', () => {
  const audience = '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x'
  expect(found(pod({ audiences: [audience] }))).toEqual([
    { provider: 'gcp', source: 'gcp_federation', held: true, audience },
  ])
})

test('Azure: the client of the recorded account; the recorded pod was made without the webhook', () => {
  const principal = '3b9f2d5e-1111-4222-8333-abcdef012345'
  expect(recorded('postgres-0', 'ledger', 'payments')).toEqual([
    { provider: 'azure', source: 'azure_workload_identity', principal, held: false },
  ])
  const audience = 'api://AzureADTokenExchange'
  expect(found(pod({ audiences: [audience] }), { 'azure.workload.identity/client-id': principal })).toEqual([
    { provider: 'azure', source: 'azure_workload_identity', principal, held: true, audience },
  ])
})

test("the node's role is told where the container holds nothing better, and as certain in the node's network alone", () => {
  expect(found(pod({}), {}, on('aws'))).toEqual([{ provider: 'aws', source: 'node_role' }])
  expect(found(pod({ hostNetwork: true }), {}, on('aws'))).toEqual([
    { provider: 'aws', source: 'node_role', held: true },
  ])
  expect(found(pod({ audiences: ['sts.amazonaws.com'] }), {}, on('aws')).map(({ source }) => source)).toEqual([
    'eks_irsa',
  ])
  expect(found(pod({}), {}, on('gcp', true))).toEqual([])
  expect(found(pod({}), {}, on('gcp'))).toEqual([{ provider: 'gcp', source: 'node_role' }])
})

test('nothing is known: nothing is told', () => {
  expect(found(pod({ audiences: ['vault'] }))).toEqual([])
  expect(cloudOf(pod({}), handedTo(pod({}), undefined), undefined, { gkeMetadataServer: false })).toEqual([])
})

test.each([
  ['aws:///eu-west-1a/i-0123', 'aws'],
  ['gce://project/zone/name', 'gcp'],
  ['azure:///subscriptions/x', 'azure'],
  ['kind://docker/kind/node', undefined],
  ['', undefined],
])('the provider ID %j means %j', (providerID, provider) => {
  expect(cloudNodeFrom({ spec: { providerID } }).provider).toBe(provider)
})
