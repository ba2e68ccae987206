import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { openCgroups } from '../../enrich/cgroups.ts'
import { Alert } from '../../sensor/alert.ts'
import { type ApiServer, recordedPod, startApiServer } from '../enrich/api-server.ts'
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
  const status = pod.status?.containerStatuses?.[0]
  const id = status?.containerID?.replace('containerd://', '') ?? ''
  const own = `${openCgroups().hierarchy}/nightjar-e2e-${process.pid}`
  const cgroup = `${own}/kubepods/burstable/pod${pod.metadata?.uid}/${id}`
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-identity-'))
  let api: ApiServer
  let soc: Receiver
  let sensor: Sensor

  beforeAll(async () => {
    mkdirSync(own)
    api = await startApiServer({ pods: [] })
    soc = await receiver({ answer: statuses([503, 503]) })
    writeFileSync(join(directory, 'kubeconfig'), api.kubeConfig.exportConfig())
    writeFileSync(
      join(directory, 'config.yaml'),
      [
        'kubernetes:',
        `  kubeconfig: ${directory}/kubeconfig`,
        '  nodeName: node-a',
        '  clusterName: test-cluster',
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
    removeCgroup(own)
    rmSync(directory, { recursive: true })
  })

  kernelTest('a process that lives a moment in a container made just now, its pod announced after it', async () => {
    mkdirSync(cgroup, { recursive: true })
    const connect = 'import socket;socket.socket().connect_ex(("169.254.169.254",80))'
    await inContainer(cgroup, 'ip link set lo up; ip addr add 169.254.169.254/32 dev lo; exec python3 -c "$0"', connect)
    api.put(pod)
    const alert = await sensor.alerts.first(({ rule }) => rule.id === 'metadata-service-access')
    expect(alert).toMatchObject({
      container: { id, name: 'api', image: { name: 'registry.example/payments/api:2.9.0' } },
      k8s: {
        namespace: { name: 'payments' },
        pod: { name: pod.metadata?.name, uid: pod.metadata?.uid, label: pod.metadata?.labels },
        owner: { kind: 'Deployment', name: 'payments-api' },
        node: { name: 'node-a' },
        cluster: { name: 'test-cluster' },
      },
      identity: { subject: 'system:serviceaccount:payments:payments-api', kind: 'service_account', freshness: 'live' },
    })
    expect(alert.process?.user?.name, "a container's users are not the host's").toBeUndefined()
  })

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
