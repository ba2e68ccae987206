/** Real processes in real cgroups with kubelet-style names, and their pods from a list/watch server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ApiServer as Client, openApiServer } from '../../enrich/api-server.ts'
import { openCgroups } from '../../enrich/cgroups.ts'
import { createEnricher, type Enricher } from '../../enrich/enricher.ts'
import { type Pods, watchPods } from '../../enrich/pods.ts'
import type { Event } from '../../sensor/event.ts'
import { type ApiServer, recordedPod, startApiServer } from './api-server.ts'
import { changes, memoryLog } from './changes.ts'

const hierarchy = openCgroups().hierarchy ?? ''
const canMakeCgroups = hierarchy !== '' && process.getuid?.() === 0
const postgres = recordedPod('postgres-0')
const payments = recordedPod('payments-api-67c6d9cb87-sp7ds')
const uid = (pod: typeof postgres) => pod.metadata?.uid ?? ''
const containerId = (pod: typeof postgres) =>
  pod.status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? ''

describe.skipIf(!canMakeCgroups)('from a real process to its service account (needs root and a cgroup2 mount)', () => {
  const own = `/nightjar-test-e2e-${process.pid}`
  let api: ApiServer
  let client: Client
  let pods: Pods
  let enricher: Enricher
  let now = 1_000
  let emitted: Event[] = []
  let { changed, until } = changes()

  beforeEach(async () => {
    now = 1_000
    emitted = []
    ;({ changed, until } = changes())
    mkdirSync(hierarchy + own)
    api = await startApiServer({ pods: [payments] })
    client = openApiServer(api.kubeConfig)
    pods = watchPods({
      api: client,
      nodeName: 'node-a',
      log: memoryLog(changed),
      clock: () => now,
      timing: { firstPause: 2, longestPause: 10 },
      onChange() {
        enricher.podsChanged()
        changed()
      },
    })
    enricher = createEnricher({
      cgroups: openCgroups(),
      pods,
      host: { name: 'machine' },
      nodeName: 'node-a',
      waitMs: 30_000,
      emit(event) {
        emitted.push(event)
        changed()
      },
    })
    await pods.ready
  })
  afterEach(async () => {
    enricher.close()
    pods.close()
    client.close()
    await api.stop()
    removeCgroup(hierarchy + own)
  })

  /** Runs /bin/true in a container's cgroup, to its end, and returns the cgroup's id as the kernel knows it. */
  async function runIn(pod: typeof postgres): Promise<{ cgroupId: string; pid: number }> {
    const path = `${hierarchy}${own}/kubepods/burstable/pod${uid(pod)}/${containerId(pod)}`
    mkdirSync(path, { recursive: true })
    const cgroupId = String(statSync(path, { bigint: true }).ino)
    const child = spawn('/bin/sh', ['-c', 'echo $$ > "$0" && exec /bin/true', `${path}/cgroup.procs`])
    const [code] = await once(child, 'exit')
    expect(code).toBe(0)
    return { cgroupId, pid: child.pid ?? 0 }
  }

  const exec = (pid: number): Event => ({ type: 'exec', time: pid, process: { pid } })

  test('a process that has ended, in a container that was never announced, is named with pod, owner and account', async () => {
    const { cgroupId, pid } = await runIn(payments)
    enricher.push(exec(pid), { cgroupId, pid })
    await until(() => emitted.length === 1)
    expect(emitted[0]).toMatchObject({
      container: { id: containerId(payments), name: 'api', image: { name: 'registry.example/payments/api:2.9.0' } },
      k8s: { namespace: { name: 'payments' }, owner: { kind: 'Deployment', name: 'payments-api' } },
      identity: { subject: 'system:serviceaccount:payments:payments-api', freshness: 'live' },
    })
  })

  test('the pod is announced after its first process, first without and then with the container', async () => {
    const { cgroupId, pid } = await runIn(postgres)
    enricher.push(exec(pid), { cgroupId, pid })
    api.put({ ...postgres, status: {} })
    await until(() => pods.podOf(uid(postgres)) !== undefined)
    expect(emitted).toEqual([])
    api.put(postgres)
    await until(() => emitted.length === 1)
    expect(emitted[0]).toMatchObject({
      container: { name: 'postgres' },
      k8s: { pod: { name: 'postgres-0' }, statefulset: { name: 'postgres' } },
      identity: { subject: 'system:serviceaccount:payments:ledger' },
    })
  })

  test('the API server goes away: events of known pods go on, marked stale; it is back: live', async () => {
    const { cgroupId, pid } = await runIn(payments)
    enricher.push(exec(pid), { cgroupId, pid })
    await until(() => emitted.length === 1)
    await api.stop()
    await until(() => {
      now += 10_001
      return pods.state() === 'stale'
    })
    enricher.push(exec(pid), { cgroupId, pid })
    expect(emitted.map((event) => event.identity?.freshness)).toEqual(['live', 'stale'])
    await api.startAgain()
    api.put(postgres)
    await until(() => pods.podOf(uid(postgres)) !== undefined)
    enricher.push(exec(pid), { cgroupId, pid })
    expect(emitted[2]?.identity).toMatchObject({
      subject: 'system:serviceaccount:payments:payments-api',
      freshness: 'live',
    })
  })
})

function removeCgroup(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(directory, entry.name))
  }
  rmdirSync(directory)
}
