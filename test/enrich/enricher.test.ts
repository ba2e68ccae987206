import { expect, test } from 'vitest'
import type { RuntimeContainer } from '../../enrich/cri-containers.ts'
import { createEnricher } from '../../enrich/enricher.ts'
import { createPodTable } from '../../enrich/pod-table.ts'
import type { Event } from '../../sensor/event.ts'
import { recordedPod } from './api-server.ts'
import { mirrorPod } from './known-pod.ts'

const frontend = recordedPod('frontend-5fdb8667d8-jlnd6')
const frontendUid = '058a67e1-9146-4dee-9534-0671cbbdf0b6'
const nginxId = '2b4bb781a7e866728ca2b8d1758f79ecbcda529fa4e6a4ddeb00ba85b0596170'
const migrateId = 'ab9fd17f579f265158463d8aafddb81158de470a6ffd60b53e279e4631fb0ea2'
const sandboxId = 'e'.repeat(64)
const dockerId = 'f'.repeat(64)

const paths: Record<string, string> = {
  host: '/system.slice/ssh.service',
  nginx: `/kubepods/besteffort/pod${frontendUid}/${nginxId}`,
  'nginx/init': `/kubepods/besteffort/pod${frontendUid}/${nginxId}/init.scope`,
  migrate: `/kubepods/besteffort/pod${frontendUid}/${migrateId}`,
  sandbox: `/kubepods/besteffort/pod${frontendUid}/${sandboxId}`,
  docker: `/docker/${dockerId}`,
  static: `/kubepods/burstable/pod8b1a9953c4611296a827abf8c47804d7/${dockerId}`,
}

/** An enricher whose pods, clock and timers the test holds. */
function bench(
  options: {
    kubernetes?: boolean
    mostWaiting?: number
    runtime?: boolean
    identities?: boolean
    usesVersion1?: boolean
  } = {},
) {
  const { kubernetes = true, mostWaiting, usesVersion1 } = options
  let now = 0
  let state: 'live' | 'stale' = 'live'
  const table = createPodTable(() => now)
  const told = new Map<string, RuntimeContainer | undefined>()
  const detail = { revision: 0, spiffe: '', settled: true, state: 'live' as 'live' | 'stale' }
  const emitted: Event[] = []
  const results: string[] = []
  const timers = new Set<{ at: number; work: () => void }>()
  const enricher = createEnricher({
    cgroups: { pathOf: ({ cgroupId }) => paths[cgroupId ?? ''], made() {}, removed() {} },
    pods: kubernetes ? { podOf: table.podOf, containerOf: table.containerOf, state: () => state } : undefined,
    ...(options.runtime && {
      runtime: { available: () => true, containerOf: (id) => told.get(id), answered: (id) => told.has(id) },
    }),
    ...(options.identities && {
      identities: {
        revision: () => detail.revision,
        state: () => detail.state,
        settled: () => detail.settled,
        detailOf: (_, container) => ({ spiffe_id: `${detail.spiffe}/${container}` }),
      },
    }),
    users: { nameOf: (uid) => ({ 0: 'root', 33: 'www-data' })[uid] },
    host: { name: 'machine', kernel: '6.18.0' },
    ...(kubernetes && { nodeName: 'node-a', clusterName: 'prod' }),
    mostWaiting,
    usesVersion1,
    emit: (event) => emitted.push(event),
    onResult: (result) => results.push(result),
    after(ms, work) {
      const timer = { at: now + ms, work }
      timers.add(timer)
      return () => timers.delete(timer)
    },
  })
  let time = 0
  return {
    enricher,
    emitted,
    results,
    timers,
    /** What an event at this place is when it comes out, or undefined while it waits. */
    push(place: string, user: { id?: number } = { id: 0 }): Event {
      const event: Event = { type: 'exec', time: ++time, process: { pid: time, user } }
      enricher.push(event, { cgroupId: place, pid: time })
      return event
    },
    pass(ms: number): void {
      now += ms
      for (const timer of timers) {
        if (timer.at > now) continue
        timers.delete(timer)
        timer.work()
      }
    },
    announce(pod = frontend, owners = true): void {
      table.put(pod)
      if (owners) {
        table.setOwners(frontendUid, [
          { kind: 'ReplicaSet', name: 'frontend-5fdb8667d8' },
          { kind: 'Deployment', name: 'frontend' },
        ])
      }
      enricher.podsChanged()
    },
    remove(): void {
      table.remove(frontend)
    },
    setState(next: 'live' | 'stale'): void {
      state = next
    },
    /** The runtime's answer is in; undefined: it knows no such container. */
    tell(id: string, container: RuntimeContainer | undefined): void {
      told.set(id, container)
      enricher.podsChanged()
    },
    /** What is known of identities changes. */
    know(changes: Partial<typeof detail>): void {
      Object.assign(detail, changes, { revision: detail.revision + 1 })
      enricher.podsChanged()
    },
    times: () => emitted.map((event) => event.time),
  }
}

test('an event in a pod names container, image, pod, workload, node, cluster and the service account', () => {
  const { push, announce, emitted, results } = bench()
  announce()
  const event = push('nginx')
  expect(emitted).toEqual([event])
  expect(results).toEqual(['pod'])
  expect(event).toEqual({
    type: 'exec',
    time: 1,
    process: { pid: 1, user: { id: 0 } },
    host: { name: 'machine', kernel: '6.18.0' },
    container: {
      id: nginxId,
      name: 'nginx',
      runtime: 'containerd',
      image: {
        name: 'registry.example/library/nginx:1.27.3',
        id: 'registry.example/library/nginx@sha256:136dc993678d134423468512cb11c185aacd1a1eb44446233eee04ab36633735',
        digest: 'sha256:136dc993678d134423468512cb11c185aacd1a1eb44446233eee04ab36633735',
      },
      kind: 'app',
      start_time: Date.UTC(2026, 10, 21, 22, 32, 47),
      restart_count: 0,
    },
    k8s: {
      namespace: { name: 'shop' },
      pod: { name: 'frontend-5fdb8667d8-jlnd6', uid: frontendUid, label: frontend.metadata?.labels },
      container: { name: 'nginx' },
      node: { name: 'node-a' },
      cluster: { name: 'prod' },
      owner: { kind: 'Deployment', name: 'frontend' },
      deployment: { name: 'frontend' },
      replicaset: { name: 'frontend-5fdb8667d8' },
    },
    identity: {
      subject: 'system:serviceaccount:shop:frontend',
      kind: 'service_account',
      service_account: { namespace: 'shop', name: 'frontend' },
      freshness: 'live',
    },
  })
})

test('what is not known is absent, not null and not undefined', () => {
  const { push, emitted } = bench({ kubernetes: false })
  for (const place of ['host', 'docker', 'nginx', 'nowhere']) push(place, {})
  const empty = (value: unknown): boolean =>
    value === undefined || value === null || (typeof value === 'object' && Object.values(value).some(empty))
  expect(emitted.filter(empty)).toEqual([])
})

test('a process of the host acts as its user, by name or by number', () => {
  const { push, results } = bench()
  const named = push('host', { id: 33 })
  const numbered = push('host', { id: 4711 })
  expect(named.identity).toEqual({ subject: 'user:www-data', kind: 'host_user' })
  expect(named.process?.user).toEqual({ id: 33, name: 'www-data' })
  expect(named.k8s).toEqual({ node: { name: 'node-a' }, cluster: { name: 'prod' } })
  expect(named).not.toHaveProperty('container')
  expect(numbered.identity).toEqual({ subject: 'uid:4711', kind: 'host_user' })
  expect(numbered.process?.user).toEqual({ id: 4711 })
  expect(push('host', {}).identity).toEqual({ kind: 'host_user' })
  expect(results).toEqual(['host', 'host', 'host'])
})

test('a user in a container is never given a name of the host', () => {
  const { push, announce } = bench()
  announce()
  expect(push('nginx', { id: 33 }).process?.user).toEqual({ id: 33 })
})

test('a container outside Kubernetes: the container is named, no identity is made up, nothing waits', () => {
  const { push, emitted, results } = bench()
  const event = push('docker')
  expect(emitted).toEqual([event])
  expect(event.container).toEqual({ id: dockerId, runtime: 'docker' })
  expect(event.identity).toEqual({ kind: 'unknown' })
  expect(results).toEqual(['container'])
})

test('standalone: nothing waits, and the UID in the cgroup is all that is said of a pod', () => {
  const { push, emitted, timers } = bench({ kubernetes: false })
  const event = push('nginx')
  expect(emitted).toEqual([event])
  expect(timers.size).toBe(0)
  expect(event.container).toEqual({ id: nginxId })
  expect(event.k8s).toEqual({ pod: { uid: frontendUid } })
  expect(event.identity).toEqual({ kind: 'unknown' })
})

test('a process of which the cgroup is not known is not taken for one of the host', () => {
  const { push, results } = bench()
  const event = push('nowhere', { id: 33 })
  expect(event.identity).toEqual({ kind: 'unknown' })
  expect(event.process?.user).toEqual({ id: 33 })
  expect(results).toEqual(['unknown'])
})

test('where cgroups of version 1 are in use, one of version 2 says nothing of a process that is in no container there', () => {
  const at = (version1?: string) => {
    const { enricher, results } = bench({ usesVersion1: true })
    enricher.push(
      { type: 'exec', time: 1, process: { pid: 1, user: { id: 0 } } },
      { cgroupId: 'host', pid: 1, version1 },
    )
    return results
  }
  expect(at('/user.slice')).toEqual(['host'])
  expect(at(paths.docker)).toEqual(['container'])
  expect(at()).toEqual(['unknown'])
})

test("the sensor's own events have a node and nobody who did them", () => {
  const { enricher, emitted, results } = bench()
  enricher.push({ type: 'gap', time: 1, gap: { reason: 'probe_exited' } }, {})
  expect(emitted).toEqual([
    {
      type: 'gap',
      time: 1,
      gap: { reason: 'probe_exited' },
      host: { name: 'machine', kernel: '6.18.0' },
      k8s: { node: { name: 'node-a' }, cluster: { name: 'prod' } },
    },
  ])
  expect(results).toEqual([])
})

test('events that come before their pod was announced wait for it, and come out in order', () => {
  const { push, announce, pass, emitted, times, timers } = bench()
  const first = push('nginx')
  push('nginx/init')
  pass(1_000)
  push('nginx')
  expect(emitted).toEqual([])
  announce()
  expect(times()).toEqual([1, 2, 3])
  expect(first.identity?.subject).toBe('system:serviceaccount:shop:frontend')
  expect(timers.size).toBe(0)
})

test('a pod whose status does not show the container yet: the event waits for its name and image', () => {
  const { push, announce, emitted } = bench()
  announce({ ...frontend, status: {} })
  const event = push('nginx')
  expect(emitted).toEqual([])
  announce()
  expect(emitted).toEqual([event])
  expect(event.container?.name).toBe('nginx')
})

test('a pod whose owners are being read: the event waits for them', () => {
  const { push, announce, emitted } = bench()
  announce(frontend, false)
  const event = push('nginx')
  expect(emitted).toEqual([])
  announce()
  expect(event.k8s?.owner).toEqual({ kind: 'Deployment', name: 'frontend' })
})

test('an event waits at most 2 s, then goes on marked unknown, and so do those behind it', () => {
  const { push, pass, emitted, times, results } = bench()
  push('nginx')
  pass(1_999)
  const second = push('nginx')
  expect(emitted).toEqual([])
  pass(1)
  expect(times()).toEqual([1, 2])
  expect(second.identity).toEqual({ kind: 'unknown', freshness: 'unknown' })
  expect(second.k8s).toEqual({ pod: { uid: frontendUid }, node: { name: 'node-a' }, cluster: { name: 'prod' } })
  expect(results).toEqual(['unknown', 'unknown'])
})

test('the hash in the cgroup of a static pod is not given out as the UID of a pod', () => {
  const { push, pass } = bench()
  const event = push('static')
  pass(2_000)
  expect(event.k8s).toEqual({ node: { name: 'node-a' }, cluster: { name: 'prod' } })
  expect(event.identity?.freshness).toBe('unknown')
})

test('a container that waited in vain is not waited for again; once its pod is known its events are whole', () => {
  const { push, pass, announce, times } = bench()
  push('nginx')
  pass(2_000)
  push('nginx')
  expect(times()).toEqual([1, 2])
  announce()
  expect(push('nginx').identity?.subject).toBe('system:serviceaccount:shop:frontend')
})

test('the pause container is in no status: it waits once, has the identity of its pod, and no name', () => {
  const { push, pass, announce, times } = bench()
  announce()
  const first = push('sandbox')
  expect(times()).toEqual([])
  pass(2_000)
  expect(first.identity?.subject).toBe('system:serviceaccount:shop:frontend')
  expect(first.container).toEqual({ id: sandboxId })
  announce()
  push('sandbox')
  expect(times()).toEqual([1, 2])
})

test('an event that waits holds up no other container, nor the host', () => {
  const { push, announce, times } = bench()
  const withoutMigrate = { ...frontend, status: { ...frontend.status, initContainerStatuses: [] } }
  announce(withoutMigrate)
  push('migrate')
  push('nginx')
  push('host')
  push('docker')
  push('sandbox')
  push('migrate')
  expect(times()).toEqual([2, 3, 4])
  announce()
  expect(times()).toEqual([2, 3, 4, 1, 6])
})

test('flush sends all that waits, in the order of each container', () => {
  const { push, enricher, times, timers } = bench()
  push('nginx')
  push('sandbox')
  push('nginx')
  enricher.flush()
  expect(times()).toEqual([1, 3, 2])
  expect(timers.size).toBe(0)
  expect(enricher.counts()).toEqual({ waiting: 0, overflowed: 0 })
})

test('after close nothing waits', () => {
  const { push, enricher, times, timers } = bench()
  push('nginx')
  enricher.close()
  push('sandbox')
  expect(times()).toEqual([1, 2])
  expect(timers.size).toBe(0)
})

test('no more wait than may: the next goes on at once, its own before it, and that is counted', () => {
  const { push, enricher, times } = bench({ mostWaiting: 3 })
  push('nginx')
  push('sandbox')
  push('nginx')
  push('nginx')
  expect(times()).toEqual([1, 3, 4])
  expect(enricher.counts()).toEqual({ waiting: 1, overflowed: 1 })
  push('migrate')
  expect(enricher.counts()).toEqual({ waiting: 2, overflowed: 1 })
})

test('events of one container share what is said of it', () => {
  const { push, announce } = bench()
  announce()
  const one = push('nginx')
  const two = push('nginx/init')
  expect(two.container).toBe(one.container)
  expect(two.k8s).toBe(one.k8s)
  expect(two.identity).toBe(one.identity)
})

test('the API server is away: events go on at once with what is known, marked stale, and live again when it is back', () => {
  const { push, announce, setState } = bench()
  announce()
  setState('stale')
  expect(push('nginx').identity).toMatchObject({ subject: 'system:serviceaccount:shop:frontend', freshness: 'stale' })
  setState('live')
  expect(push('nginx').identity?.freshness).toBe('live')
})

test('a pod that was deleted long ago but still acts keeps its name, marked stale', () => {
  const { push, announce, remove, pass } = bench()
  announce()
  push('nginx')
  remove()
  expect(push('nginx').identity?.freshness).toBe('live')
  pass(60_000)
  expect(push('nginx').identity).toMatchObject({ subject: 'system:serviceaccount:shop:frontend', freshness: 'stale' })
})

test('a change of the pod shows on the next event', () => {
  const { push, announce } = bench()
  announce()
  push('nginx')
  announce({ ...frontend, metadata: { ...frontend.metadata, labels: { tier: 'quarantine' } } })
  expect(push('nginx').k8s?.pod?.label).toEqual({ tier: 'quarantine' })
})

test('the annotations of a pod are on its events; an image without a manifest has no digest', () => {
  const { push, announce } = bench()
  const [status] = frontend.status?.containerStatuses ?? []
  announce({
    ...frontend,
    metadata: { ...frontend.metadata, annotations: { 'example.com/owner': 'team-a' } },
    status: status && { containerStatuses: [{ ...status, imageID: `sha256:${'a'.repeat(64)}` }] },
  })
  const event = push('nginx')
  expect(event.k8s?.pod?.annotation).toEqual({ 'example.com/owner': 'team-a' })
  expect(event.container?.image).toMatchObject({ id: `sha256:${'a'.repeat(64)}` })
  expect(event.container?.image).not.toHaveProperty('digest')
})

test('a pod that names no service account acts as the default one', () => {
  const { push, announce } = bench()
  announce({ ...frontend, spec: frontend.spec && { ...frontend.spec, serviceAccountName: '' } })
  expect(push('nginx').identity?.subject).toBe('system:serviceaccount:shop:default')
})

const ofRuntime: RuntimeContainer = {
  namespace: 'shop',
  pod: 'web-0',
  podUid: frontendUid,
  labels: { app: 'web' },
  container: { name: 'web', image: 'web:1', runtime: 'containerd', restartCount: 0 },
}

test('a static pod acts as no service account; its namespace, its name and its node are told', () => {
  const { announce, push, pass, results } = bench({ identities: true })
  announce(mirrorPod, false)
  const event = push('static')
  pass(2_000)
  expect(event.identity).toEqual({ kind: 'unknown', freshness: 'live', spiffe_id: '/undefined' })
  expect(event.k8s).toMatchObject({
    namespace: { name: 'kube-system' },
    pod: { name: 'etcd-node-a', host_paths: ['/var/lib/etcd'] },
    owner: { kind: 'Node', name: 'node-a' },
  })
  expect(results).toEqual(['pod'])
})

test('the API server is away and the runtime knows the container: named at once, the identity is not made up', () => {
  const { push, tell, setState, emitted, results } = bench({ runtime: true })
  setState('stale')
  const event = push('nginx')
  expect(emitted).toEqual([])
  tell(nginxId, ofRuntime)
  expect(emitted).toEqual([event])
  expect(event.k8s).toEqual({
    namespace: { name: 'shop' },
    pod: { name: 'web-0', uid: frontendUid, label: { app: 'web' } },
    container: { name: 'web' },
    node: { name: 'node-a' },
    cluster: { name: 'prod' },
  })
  expect(event.container).toEqual({
    id: nginxId,
    name: 'web',
    runtime: 'containerd',
    image: { name: 'web:1' },
    restart_count: 0,
  })
  expect(event.identity).toEqual({ kind: 'unknown', freshness: 'runtime' })
  expect(results).toEqual(['runtime'])
})

test('the API server is there: it is waited for, since the runtime knows no service account', () => {
  const { push, tell, announce, pass, emitted } = bench({ runtime: true })
  const event = push('nginx')
  tell(nginxId, ofRuntime)
  expect(emitted).toEqual([])
  announce()
  expect(event.identity?.subject).toBe('system:serviceaccount:shop:frontend')
  const slow = push('migrate')
  tell(migrateId, ofRuntime)
  expect(slow.container?.name).toBe('migrate')
  pass(2_000)
})

test('the API server is slow: after the wait the event goes on with what the runtime knows', () => {
  const { push, tell, pass } = bench({ runtime: true })
  const event = push('nginx')
  tell(nginxId, ofRuntime)
  pass(2_000)
  expect(event.k8s?.pod?.name).toBe('web-0')
  expect(event.identity).toEqual({ kind: 'unknown', freshness: 'runtime' })
})

test('a new container of a known pod while the API server is away has its name from the runtime', () => {
  const { push, tell, announce, setState } = bench({ runtime: true })
  announce({ ...frontend, status: {} })
  setState('stale')
  const event = push('nginx')
  tell(nginxId, ofRuntime)
  expect(event.container?.name).toBe('web')
  expect(event.k8s?.owner).toEqual({ kind: 'Deployment', name: 'frontend' })
  expect(event.identity).toMatchObject({ subject: 'system:serviceaccount:shop:frontend', freshness: 'stale' })
})

test('a pause container that the runtime tells as such is not waited for', () => {
  const { push, tell, announce, times } = bench({ runtime: true })
  announce()
  push('sandbox')
  const { container: _, ...sandbox } = ofRuntime
  tell(sandboxId, sandbox)
  expect(times()).toEqual([1])
})

test('without a Kubernetes to ask the runtime alone names pods; what it does not know is waited for no longer', () => {
  const { push, tell, times } = bench({ kubernetes: false, runtime: true })
  const event = push('nginx')
  const unknown = push('migrate')
  expect(times()).toEqual([])
  tell(nginxId, ofRuntime)
  tell(migrateId, undefined)
  expect(times()).toEqual([1, 2])
  expect(event.k8s?.pod?.name).toBe('web-0')
  expect(unknown.k8s).toEqual({ pod: { uid: frontendUid } })
})

test('the hash of a static pod is no UID when the runtime tells it either', () => {
  const { push, tell } = bench({ kubernetes: false, runtime: true })
  const event = push('static')
  tell(dockerId, { ...ofRuntime, podUid: '8b1a9953c4611296a827abf8c47804d7' })
  expect(event.k8s?.pod).toEqual({ name: 'web-0', label: { app: 'web' } })
})

test('what is known of the identity is on the event of its container, and as it is by then', () => {
  const { push, announce, know } = bench({ identities: true })
  announce()
  know({ spiffe: 'first' })
  expect(push('nginx').identity).toMatchObject({
    subject: 'system:serviceaccount:shop:frontend',
    spiffe_id: 'first/nginx',
    freshness: 'live',
  })
  know({ spiffe: 'second' })
  expect(push('nginx').identity?.spiffe_id).toBe('second/nginx')
  know({ state: 'stale' })
  expect(push('nginx').identity?.freshness).toBe('stale')
})

test('an event waits for what is not settled of its identity, as for its pod', () => {
  const { push, announce, know, pass, times } = bench({ identities: true })
  know({ settled: false })
  announce()
  push('nginx')
  expect(times()).toEqual([])
  know({ settled: true })
  expect(times()).toEqual([1])
  know({ settled: false })
  push('migrate')
  pass(2_000)
  expect(times()).toEqual([1, 2])
})
