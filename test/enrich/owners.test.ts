import type { V1ReplicaSet } from '@kubernetes/client-node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openApiServer } from '../../enrich/api-server.ts'
import { type Controller, controllerOf, createOwners } from '../../enrich/owners.ts'
import { type ApiServer, recordedPod, startApiServer } from './api-server.ts'
import { memoryLog } from './changes.ts'

let api: ApiServer
let client: ReturnType<typeof openApiServer>
let log = memoryLog()
let now = 1_000

beforeEach(async () => {
  now = 1_000
  log = memoryLog()
  api = await startApiServer()
  client = openApiServer(api.kubeConfig)
})
afterEach(async () => {
  client.close()
  await api.stop()
})

const owners = () => createOwners({ api: client, log, clock: () => now })
const replicaSet = (name: string): Controller => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name,
  uid: `uid-${name}`,
})
const frontend = replicaSet('frontend-5fdb8667d8')
const both = [
  { kind: 'ReplicaSet', name: 'frontend-5fdb8667d8' },
  { kind: 'Deployment', name: 'frontend' },
]

test('the controller of a recorded pod is read from its ownerReferences', () => {
  expect(controllerOf(recordedPod('redis-0'))).toMatchObject({ kind: 'StatefulSet', name: 'redis' })
  expect(
    controllerOf({ metadata: { ownerReferences: [{ kind: 'ConfigMap', name: 'x', controller: false }] } }),
  ).toBeUndefined()
  expect(controllerOf({})).toBeUndefined()
})

test('above a ReplicaSet is its Deployment; that is asked once, also for pods that appear together', async () => {
  const { above } = owners()
  const answers = await Promise.all(Array.from({ length: 20 }, () => above('shop', frontend)))
  expect(new Set(answers.map((one) => JSON.stringify(one)))).toEqual(new Set([JSON.stringify(both)]))
  expect(above('shop', frontend)).toEqual(both)
  expect(api.asked.map((one) => one.path)).toEqual(['/apis/apps/v1/namespaces/shop/replicasets/frontend-5fdb8667d8'])
})

test('above a Job is its CronJob, or nothing', async () => {
  const { above } = owners()
  const job = (name: string): Controller => ({ apiVersion: 'batch/v1', kind: 'Job', name, uid: name })
  api.give('/apis/batch/v1/namespaces/batch/jobs/cleanup-1', {
    metadata: {
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'CronJob', name: 'cleanup', uid: 'c', controller: true }],
    },
  })
  expect(await above('batch', job('cleanup-1'))).toEqual([
    { kind: 'Job', name: 'cleanup-1' },
    { kind: 'CronJob', name: 'cleanup' },
  ])
  expect(await above('batch', job('monthly-report'))).toEqual([{ kind: 'Job', name: 'monthly-report' }])
})

test('a ReplicaSet of something else than a Deployment names that', async () => {
  const rollout: V1ReplicaSet = {
    metadata: {
      ownerReferences: [{ apiVersion: 'argoproj.io/v1', kind: 'Rollout', name: 'web', uid: 'r', controller: true }],
    },
  }
  api.give('/apis/apps/v1/namespaces/shop/replicasets/web-1', rollout)
  expect(await owners().above('shop', replicaSet('web-1'))).toEqual([
    { kind: 'ReplicaSet', name: 'web-1' },
    { kind: 'Rollout', name: 'web' },
  ])
})

test.each([
  ['apps/v1', 'StatefulSet'],
  ['apps/v1', 'DaemonSet'],
  ['v1', 'Node'],
  ['example.test/v1', 'ReplicaSet'],
])('a %s %s is the topmost: nothing is asked', (apiVersion, kind) => {
  expect(owners().above('shop', { apiVersion, kind, name: 'x', uid: 'x' })).toEqual([{ kind, name: 'x' }])
  expect(api.asked).toEqual([])
})

test('refused: the direct owner, one line in the log for all of them, and no asking again for ten minutes', async () => {
  const { above } = owners()
  api.refuse('read', 2, 403)
  expect(await above('shop', frontend)).toEqual(both.slice(0, 1))
  expect(await above('ci', replicaSet('runner-79b66465bb'))).toHaveLength(1)
  expect(log.said.map((one) => one.message)).toEqual([
    "a ReplicaSet can't be read: alerts name the ReplicaSet as owner, not what is above it",
  ])
  now += 599_999
  expect(above('shop', frontend)).toEqual(both.slice(0, 1))
  now += 1
  expect(await above('shop', frontend)).toEqual(both)
})

test('slow: the direct owner for now, the right one later', async () => {
  let patience = 20
  const impatient = {
    ...client,
    get: (path: string, query: Record<string, string>) => client.get(path, query, patience),
  }
  const { above } = createOwners({ api: impatient, log, clock: () => now })
  api.ignore('read')
  expect(await above('shop', frontend)).toEqual(both.slice(0, 1))
  expect(log.said).toHaveLength(1)
  api.ignore(undefined)
  patience = 30_000
  now += 10_000
  expect(await above('shop', frontend)).toEqual(both)
})

test('a ReplicaSet that is gone is not asked for again, and is nothing to complain of', async () => {
  const { above } = owners()
  expect(await above('shop', replicaSet('gone'))).toHaveLength(1)
  now += 1e9
  expect(above('shop', replicaSet('gone'))).toEqual([{ kind: 'ReplicaSet', name: 'gone' }])
  expect(log.said).toEqual([])
})

test('many at once: all are answered, four requests at a time', async () => {
  let open = 0
  let most = 0
  const counting = {
    ...client,
    async get(...request: Parameters<typeof client.get>) {
      open += 1
      most = Math.max(most, open)
      const answer = await client.get(...request)
      open -= 1
      return answer
    },
  }
  const { above } = createOwners({ api: counting, log, clock: () => now })
  const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => above('shop', replicaSet(`gone-${at}`))))
  expect(answers.every((one) => one.length === 1)).toBe(true)
  expect(most).toBe(4)
})
