/** Everything that is known of identities, together: a real process in a real cgroup, and a cluster behind HTTP. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCgroups } from '../../enrich/cgroups.ts'
import type { Enricher } from '../../enrich/enricher.ts'
import { openEnriching } from '../../sensor/enriching.ts'
import type { Event } from '../../sensor/event.ts'
import { type ApiServer, recordedPod, startApiServer } from '../enrich/api-server.ts'
import { changes, memoryLog } from '../enrich/changes.ts'
import { areRecorded } from '../enrich/recorded.ts'

const hierarchy = openCgroups().hierarchy ?? ''
const can = areRecorded && hierarchy !== '' && process.getuid?.() === 0
const own = `/nightjar-test-enriching-${process.pid}`

describe.skipIf(!can)('the identity of a process (needs root and a cgroup2 mount)', () => {
  let api: ApiServer
  let enricher: Enricher
  let emitted: Event[] = []
  let { changed, until } = changes()

  beforeEach(async () => {
    emitted = []
    ;({ changed, until } = changes())
    mkdirSync(hierarchy + own)
    api = await startApiServer()
    enricher = openEnriching({
      config: {
        kubernetes: { maxWait: '20s', tokenSecrets: true },
        cri: { socket: null },
        spiffe: { trustDomain: 'example.org' },
      },
      kubernetes: { kubeConfig: api.kubeConfig, nodeName: 'node-a', clusterName: 'prod', source: 'test' },
      host: { name: 'machine', kernel: '6' },
      hostUsers: false,
      seesAll: true,
      usesVersion1: false,
      log: memoryLog(),
      emit(event) {
        emitted.push(event)
        changed()
      },
      onResult() {},
    })
  })
  afterEach(async () => {
    enricher.close()
    await api.stop()
    removeCgroup(hierarchy + own)
  })

  /** Runs /bin/true as the first container of the pod would, to its end. */
  async function runIn(name: string): Promise<void> {
    const { metadata, status } = recordedPod(name)
    const container = status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '')
    const path = `${hierarchy}${own}/kubepods/burstable/pod${metadata?.uid}/${container}`
    mkdirSync(path, { recursive: true })
    const cgroupId = String(statSync(path, { bigint: true }).ino)
    const child = spawn('/bin/sh', ['-c', 'echo $$ > "$0" && exec /bin/true', `${path}/cgroup.procs`])
    await once(child, 'exit')
    enricher.push({ type: 'exec', time: 1, process: { pid: child.pid ?? 0 } }, { cgroupId, pid: child.pid ?? 0 })
  }
  const execs = () => emitted.filter(({ type }) => type === 'exec')

  test('is its pod, account, cloud role and SPIFFE ID, what it may do and what it reaches, though it has ended', async () => {
    await runIn('payments-api-67c6d9cb87-sp7ds')
    await until(() => execs().length === 1)
    expect(execs()[0]).toMatchObject({
      k8s: { pod: { name: 'payments-api-67c6d9cb87-sp7ds' }, owner: { kind: 'Deployment' }, cluster: { name: 'prod' } },
      identity: {
        subject: 'system:serviceaccount:payments:payments-api',
        credential: { api_server: true },
        cloud: [{ provider: 'aws' }],
        spiffe_id: expect.stringMatching(/^spiffe:\/\/example\.org\//),
        blast_radius: { score: 14, level: 'low', paths: [{ id: 'data-stores' }, { id: 'read-secrets' }] },
        reach: {
          data_stores: [{ type: 'postgresql', policy: 'allowed' }, { type: 'redis' }],
          control_plane: [{ type: 'kubernetes-api' }, { type: 'kubelet' }],
        },
        freshness: 'live',
      },
    })
    expect(execs()[0]?.identity?.missing).toBeUndefined()
  })

  test('shows how a privileged pod is set up, and that it owns its node', async () => {
    await runIn('runner-79b66465bb-fzr2g')
    await until(() => execs().length === 1)
    expect(execs()[0]).toMatchObject({
      k8s: { pod: { privileged: true, host_pid: true, host_paths: ['/run/containerd/containerd.sock'] } },
      identity: {
        blast_radius: { score: 100, level: 'critical' },
        reach: { node: [{ id: 'privileged' }, {}, {}, {}] },
      },
    })
  })

  test('findings about the workloads of the node are told by themselves', async () => {
    const findings = () =>
      emitted.flatMap(({ posture, k8s }) =>
        posture ? [`${k8s?.owner?.name ?? k8s?.pod?.name} ${posture.finding}`] : [],
      )
    await until(() => findings().length >= 4)
    expect(findings()).toEqual(
      expect.arrayContaining(['old-app cluster-admin-workload', 'old-app legacy-token', 'redis token-without-use']),
    )
    const [event] = emitted.filter(({ posture }) => posture?.finding === 'cluster-admin-workload')
    expect(event).toMatchObject({
      type: 'posture',
      k8s: { namespace: { name: 'legacy' }, node: { name: 'node-a' } },
      identity: { subject: 'system:serviceaccount:legacy:old-app', blast_radius: { score: 100 } },
    })
  })
})

function removeCgroup(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(directory, entry.name))
  }
  rmdirSync(directory)
}
