import type { V1Pod, V1PodSpec, V1Volume } from '@kubernetes/client-node'
import { describe, expect, test } from 'vitest'
import { escalationsOf } from '../../enrich/escalation.ts'
import { createPodTable, type Pod } from '../../enrich/pod-table.ts'
import { findingNames, postureOf, watchPosture } from '../../enrich/posture.ts'
import type { Grant } from '../../enrich/rbac.ts'
import { createEngine } from '../../rules/engine.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import type { Identity } from '../../sensor/event.ts'
import { mirrorPod } from './known-pod.ts'

const object = (name: string, spec: Partial<V1PodSpec> = {}): V1Pod => ({
  metadata: { uid: name, namespace: 'shop', name },
  spec: { serviceAccountName: 'cart', containers: [{ name: 'app' }], ...spec },
})
function podOf(spec: Partial<V1PodSpec> = {}, name = 'cart-1'): Pod {
  const pod = createPodTable(() => 0).put(object(name, spec))
  if (!pod) throw new Error('no pod')
  return pod
}
const grantOf = (rules: Grant['role']['rules'], more: object = {}): Grant => ({
  ...{ role: { title: 'ClusterRole r', labels: {}, rules }, binding: 'ClusterRoleBinding b' },
  ...more,
})
const reader = grantOf([{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }])
const admin = grantOf([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }])
const discovery = grantOf([{ verbs: ['get'], nonResourceURLs: ['/version'] }], { forAll: true })
const automounted: Identity = { credential: { kind: 'projected', api_server: true, automounted: true } }
const tokenless: Identity = { credential: { kind: 'none', api_server: false, automounted: false } }

const found = (pod: Pod, identity: Identity, grants?: Grant[]) =>
  postureOf({ pod, identity, ...(grants && { grants, escalations: escalationsOf(grants) }) }).map(
    ({ finding }) => finding,
  )

const withToken = (token: object): V1PodSpec => {
  const volume: V1Volume = {
    name: 'vault',
    projected: { sources: [{ serviceAccountToken: { path: 'token', ...token } }] },
  }
  return { volumes: [volume], containers: [{ name: 'app', volumeMounts: [{ name: 'vault', mountPath: '/vault' }] }] }
}

describe('a finding', () => {
  test.each<[string, Pod, Identity, Grant[] | undefined, string[]]>([
    ['cluster-admin with a token', podOf(), automounted, [admin], ['cluster-admin-workload']],
    ['cluster-admin without one', podOf(), tokenless, [admin], []],
    ['admin of a namespace', podOf(), automounted, [{ ...admin, namespace: 'shop' }], []],
    [
      'the default account with a role',
      podOf({ serviceAccountName: 'default' }),
      tokenless,
      [reader],
      ['default-account-with-rights'],
    ],
    ['the default account with what all have', podOf({ serviceAccountName: 'default' }), tokenless, [discovery], []],
    [
      'an account that is shared and has rights',
      podOf(),
      { ...tokenless, shared_with: ['Deployment/web'] },
      [reader],
      ['shared-account'],
    ],
    [
      'an account that is shared and has none',
      podOf(),
      { ...tokenless, shared_with: ['Deployment/web'] },
      [discovery],
      [],
    ],
    ['a token by default, for no rights', podOf(), automounted, [discovery], ['token-without-use']],
    ['a token by default, for some', podOf(), automounted, [reader], []],
    [
      'nothing known of rights',
      podOf({ serviceAccountName: 'default' }),
      { ...automounted, shared_with: ['Pod/x'] },
      undefined,
      [],
    ],
    [
      'a Secret that holds a token',
      podOf(),
      { credential: { kind: 'legacy_secret', secret: { name: 'old', age_days: 900 } } },
      [reader],
      ['legacy-token'],
    ],
    ['a token for an audience', podOf(withToken({ audience: 'vault' })), tokenless, [reader], []],
    ['a token for anybody', podOf(withToken({})), tokenless, [reader], ['wide-token']],
    [
      'a token for a month',
      podOf(withToken({ audience: 'vault', expirationSeconds: 2_592_000 })),
      tokenless,
      [reader],
      ['wide-token'],
    ],
  ])('%s', (_, pod, identity, grants, expected) => expect(found(pod, identity, grants)).toEqual(expected))

  test('says what was found, and what to do', () => {
    const identity: Identity = { credential: { kind: 'legacy_secret', secret: { name: 'old', age_days: 900 } } }
    expect(postureOf({ pod: podOf(), identity })[0]?.detail).toBe(
      'Secret old (900 days old) holds it. Use a projected token, which is bound to the pod and expires, and delete the Secret.',
    )
  })
})

test('each finding has a shipped rule of its name, of low severity, so that it can be overridden alone', async () => {
  const { rules } = await loadRules([builtinPacks()])
  const found = rules.filter(({ on }) => on.includes('posture')).map(({ id, severity }) => [id, severity])
  expect(found).toEqual(findingNames.map((name) => [name, 'low']))
  const { judge } = createEngine({ rules, remarks: [] }, { onError() {}, onSuppressed() {} })
  const alerts = judge({
    type: 'posture',
    time: 0,
    posture: { finding: 'legacy-token', title: 'A token that never expires is in use', detail: 'Secret old holds it.' },
    k8s: { namespace: { name: 'shop' }, pod: { name: 'cart-1' } },
    identity: { subject: 'system:serviceaccount:shop:cart' },
  })
  expect(alerts.map(({ message }) => message)).toEqual([
    'A token that never expires is in use: shop/cart-1 as system:serviceaccount:shop:cart. Secret old holds it.',
  ])
})

describe('the node is looked at', () => {
  /** A clock that runs what waits when it is told to. */
  function watched(grants: readonly Grant[] = [discovery]) {
    const table = createPodTable(() => 0)
    const waiting: (() => void)[] = []
    const told: string[] = []
    const identities = new Map<string, Identity>()
    let looks = 0
    const watch = watchPosture({
      pods: () => {
        looks += 1
        return table.all()
      },
      identityOf: ({ name }) => identities.get(name),
      rights: { grantsOf: () => grants, escalationsOf: () => escalationsOf(grants) },
      tell: (pod, _, { finding }) => told.push(`${pod.name} ${finding}`),
      after(_, work) {
        waiting.push(work)
        return () => waiting.splice(waiting.indexOf(work), 1)
      },
    })
    const look = () => {
      watch.changed()
      for (const work of waiting.splice(0)) work()
    }
    return { table, told, identities, watch, look, looks: () => looks, waiting }
  }

  test('once for all that changes in a while, and tells of a finding once', () => {
    const { table, told, identities, watch, look, looks } = watched()
    table.put(object('cart-1'))
    identities.set('cart-1', automounted)
    watch.changed()
    watch.changed()
    look()
    expect([looks(), told]).toEqual([1, ['cart-1 token-without-use']])
    look()
    expect([looks(), told.length]).toEqual([2, 1])
  })

  test('and tells again of what was mended and came back', () => {
    const { table, told, identities, look } = watched()
    table.put(object('cart-1'))
    for (const identity of [automounted, tokenless, automounted]) {
      identities.set('cart-1', identity)
      look()
    }
    expect(told).toEqual(['cart-1 token-without-use', 'cart-1 token-without-use'])
  })

  test('but not of a pod of which not all is known, until it is; nor is it forgotten in between', () => {
    const { table, told, identities, look } = watched()
    table.put(object('cart-1'))
    look()
    expect(told).toEqual([])
    identities.set('cart-1', automounted)
    look()
    identities.delete('cart-1')
    look()
    identities.set('cart-1', automounted)
    look()
    expect(told).toEqual(['cart-1 token-without-use'])
  })

  test('pods of one workload are one finding, of two they are two', () => {
    const { table, told, identities, look } = watched()
    const owned = (name: string, owner: string): V1Pod => ({
      ...object(name),
      metadata: {
        ...object(name).metadata,
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: owner, uid: owner, controller: true }],
      },
    })
    for (const [name, owner] of [
      ['a-0', 'a'],
      ['a-1', 'a'],
      ['b-0', 'b'],
    ] as const) {
      const pod = table.put(owned(name, owner))
      if (pod) table.setOwners(pod.uid, [{ kind: 'StatefulSet', name: owner }])
      identities.set(name, automounted)
    }
    look()
    expect(told).toEqual(['a-0 token-without-use', 'b-0 token-without-use'])
  })

  test('the rights of an account are not told of a static pod, which has none', () => {
    const { table, told, identities, look } = watched([admin])
    const { uid = '', name = '' } = table.put(mirrorPod) ?? {}
    table.setOwners(uid, [{ kind: 'Node', name: 'node-a' }])
    identities.set(name, { kind: 'unknown' })
    look()
    expect(told).toEqual([])
  })

  test('not after it was closed', () => {
    const { watch, waiting } = watched()
    watch.changed()
    watch.close()
    expect(waiting).toEqual([])
  })
})
