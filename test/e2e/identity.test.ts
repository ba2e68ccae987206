import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { openCgroups } from '../../enrich/cgroups.ts'
import { Alert } from '../../sensor/alert.ts'
import { type ApiServer, recordedPod, startApiServer } from '../enrich/api-server.ts'
import { type RuntimeServer, startRuntime } from '../enrich/runtime-server.ts'
import { type Receiver, receiver, statuses } from '../exporters/receiver.ts'
import { act, kernelTest, type Sensor, startSensor } from './sensor.ts'

/** A container as the kubelet makes one, but for the runtime: a cgroup with its name, and namespaces of its own. */
const inContainer = (cgroup: string, script: string, ...args: string[]) =>
  act('sh', [
    '-c',
    'echo $$ > "$0" && exec unshare --mount --pid --uts --net --fork --mount-proc sh -ec "$@"',
    `${cgroup}/cgroup.procs`,
    script,
    ...args,
  ])

function removeCgroup(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(directory, entry.name))
  rmdirSync(directory)
}

describe('from a process in a pod to the alert that the SOC receives', () => {
  const pod = recordedPod('payments-api-67c6d9cb87-sp7ds')
  const late = recordedPod('postgres-0')
  const idOf = ({ status }: typeof pod) =>
    status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? ''
  const id = idOf(pod)
  const own = `${openCgroups().hierarchy}/nightjar-e2e-${process.pid}`
  const cgroupOf = (uid: string | undefined, container: string) => `${own}/kubepods/burstable/pod${uid}/${container}`
  /** What an attacker asks first. It takes a millisecond and a half, and then the container is gone. */
  const askMetadata = (cgroup: string) => {
    mkdirSync(cgroup, { recursive: true })
    const connect = 'import socket;socket.socket().connect_ex(("169.254.169.254",80))'
    return inContainer(
      cgroup,
      'ip link set lo up; ip addr add 169.254.169.254/32 dev lo; exec python3 -c "$0"',
      connect,
    )
  }
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-identity-'))
  const unknownUid = 'aaaaaaaa-0000-4000-8000-000000000001'
  const [unknownId, sandboxId] = ['d'.repeat(64), 'e'.repeat(64)]
  let api: ApiServer
  let runtime: RuntimeServer
  let soc: Receiver
  let sensor: Sensor

  beforeAll(async () => {
    mkdirSync(own)
    api = await startApiServer({ pods: [] })
    runtime = await startRuntime(join(directory, 'runtime.sock'), {
      containers: [{ id: unknownId, podSandboxId: sandboxId, metadata: { name: 'web' } }],
      sandboxes: [
        { id: sandboxId, metadata: { name: 'web-0', namespace: 'shop', uid: unknownUid }, labels: { app: 'web' } },
      ],
    })
    soc = await receiver({ answer: statuses([503, 503]) })
    writeFileSync(join(directory, 'kubeconfig'), api.kubeConfig.exportConfig())
    writeFileSync(
      join(directory, 'config.yaml'),
      [
        'kubernetes:',
        `  kubeconfig: ${directory}/kubeconfig`,
        '  nodeName: node-a',
        '  clusterName: test-cluster',
        '  maxWait: 4s',
        `cri: { socket: ${directory}/runtime.sock }`,
        'spiffe: { trustDomain: example.org }',
        'exporters:',
        `  spool: { directory: ${directory}/spool }`,
        `  webhooks: [{ name: soc, url: ${soc.url}, retry: { initialDelay: 50ms, maxDelay: 200ms } }]`,
      ].join('\n'),
    )
    sensor = await startSensor({ args: ['--config', join(directory, 'config.yaml')] })
  })
  afterAll(async () => {
    await sensor?.stop()
    await soc?.close()
    await api?.stop()
    await runtime?.stop()
    removeCgroup(own)
    rmSync(directory, { recursive: true })
  })

  kernelTest('a process that lives a moment in a container made just now, its pod announced after it', async () => {
    await askMetadata(cgroupOf(pod.metadata?.uid, id))
    api.put(pod)
    const alert = await sensor.alerts.first(({ container }) => container?.id === id)
    expect(alert).toMatchObject({
      container: { id, name: 'api', image: { name: 'registry.example/payments/api:2.9.0' } },
      k8s: {
        namespace: { name: 'payments' },
        pod: { name: pod.metadata?.name, uid: pod.metadata?.uid, label: pod.metadata?.labels },
        owner: { kind: 'Deployment', name: 'payments-api' },
        node: { name: 'node-a' },
        cluster: { name: 'test-cluster' },
      },
      identity: {
        subject: 'system:serviceaccount:payments:payments-api',
        kind: 'service_account',
        freshness: 'live',
        credential: { kind: 'projected', audiences: ['sts.amazonaws.com'], automounted: true },
        cloud: [{ provider: 'aws', principal: 'arn:aws:iam::111122223333:role/payments-api', held: true }],
        spiffe_id: 'spiffe://example.org/ns/payments/sa/payments-api',
        secrets: [{ name: 'db-credentials', via: 'env' }],
      },
    })
    expect(alert.process?.user?.name, "a container's users are not the host's").toBeUndefined()
  })

  kernelTest('a pod that is announced a second after its first and only process', async () => {
    await askMetadata(cgroupOf(late.metadata?.uid, idOf(late)))
    await sleep(1_000)
    api.put(late)
    const alert = await sensor.alerts.first(({ container }) => container?.id === idOf(late))
    expect(alert).toMatchObject({
      container: { name: 'postgres', kind: 'app' },
      k8s: { pod: { name: 'postgres-0' }, statefulset: { name: 'postgres' } },
      identity: {
        subject: 'system:serviceaccount:payments:ledger',
        freshness: 'live',
        cloud: [{ provider: 'azure', principal: '3b9f2d5e-1111-4222-8333-abcdef012345' }],
      },
    })
  })

  kernelTest(
    'a pod that the API server never shows is named by the container runtime, its account is not made up',
    async () => {
      await askMetadata(cgroupOf(unknownUid, unknownId))
      const alert = await sensor.alerts.first(({ container }) => container?.id === unknownId)
      expect(alert).toMatchObject({
        container: { name: 'web', runtime: 'containerd' },
        k8s: { namespace: { name: 'shop' }, pod: { name: 'web-0', uid: unknownUid, label: { app: 'web' } } },
      })
      expect(alert.identity).toEqual({ kind: 'unknown', freshness: 'runtime' })
    },
  )

  kernelTest('is delivered once the receiver is well again, as it was printed, with its id as the key', async () => {
    const { arrived: _, ...alert } = await sensor.alerts.first(({ container }) => container?.id === id)
    await soc.got(3) // two were refused
    const delivered = () => soc.deliveries.findLast(({ headers }) => headers['webhook-id'] === alert.id)
    await expect.poll(delivered, { timeout: 10_000 }).toBeDefined()
    const body: unknown = JSON.parse(delivered()?.body ?? '')
    expect(body).toEqual(alert)
    const validate = formats.default(new Ajv({ strict: false, allErrors: true })).compile(Alert)
    expect(validate(body), JSON.stringify(validate.errors)).toBe(true)
  })
})
