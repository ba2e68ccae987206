/** Who did it, in a real cluster: workloads of every kind, an API server that goes away, and 200 pods that come and go. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { V1ClusterRole, V1Pod, V1PodList } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { IdentityReport } from '../../enrich/identity-report.ts'
import type { Alert } from '../../sensor/alert.ts'
import { openAgentLog } from './agent-log.ts'
import { apply, get, helm, kubectl } from './commands.ts'
import { image, imageValues, namespaceObjects, namespaces } from './scene.ts'
import {
  account,
  accounts,
  controllers,
  fleeting,
  manifold,
  mark,
  marking,
  markRules,
  namespaceObject,
  registration,
  returning,
  role,
  sharedRights,
  spiffeDefinition,
  spiffeKind,
  staticPod,
  ticking,
  works,
} from './works.ts'

const { nightjar } = namespaces
const chart = join(import.meta.dirname, '../../deploy/helm/nightjar')
const { NIGHTJAR_CLUSTER_PART: control, NIGHTJAR_RUNTIME_SOCKET: socket, NIGHTJAR_STATIC_PODS: statics } = process.env
const log = openAgentLog()
let node = ''
let ownsSpiffe = false

const subject = `system:serviceaccount:${works}:${account}`
const isMark = (name: string) => {
  const pattern = new RegExp(`: ${mark} ${name}(?:;|$)`)
  return ({ message }: Alert) => pattern.test(message)
}
const marked = (name: string, within?: number) => log.until((alerts) => alerts.find(isMark(name)), within)

beforeAll(async () => {
  await apply([...namespaceObjects, namespaceObject()])
  ownsSpiffe = (await kubectl(['get', 'customresourcedefinition', spiffeKind, '--ignore-not-found'])) === ''
  if (ownsSpiffe) await apply([spiffeDefinition])
  await kubectl(['wait', '--for=condition=Established', `customresourcedefinition/${spiffeKind}`])
  await apply([...accounts(), registration])
  const values = {
    image: { ...imageValues(), pullPolicy: 'Never' },
    rules: { 'marks.json': markRules },
    spool: { hostPath: '' }, // leaves nothing on the node
    ...(socket && { runtimeSocket: socket }),
    // The kubelet tells of what has begun after a second or two, later of many at once.
    config: { spiffe: { trustDomain: 'example.org' }, kubernetes: { maxWait: '20s' } },
  }
  await helm(['install', 'nightjar', chart, '--namespace', nightjar, '--values', '-'], JSON.stringify(values))
  await kubectl(['rollout', 'status', 'daemonset/nightjar', '--namespace', nightjar, '--timeout=90s'])
  const list = ['pods', '--namespace', nightjar, '--selector', 'app.kubernetes.io/name=nightjar']
  const agent = (await get<V1PodList>(list)).items.find(({ metadata }) => !metadata?.deletionTimestamp)
  node = agent?.spec?.nodeName ?? ''
  log.follow(nightjar, agent?.metadata?.name ?? '')
})
afterAll(async () => {
  log.close()
  await helm(['uninstall', 'nightjar', '--namespace', nightjar, '--ignore-not-found'])
  await kubectl(['delete', spiffeKind, 'nightjar-test', '--ignore-not-found'])
  if (ownsSpiffe) await kubectl(['delete', 'customresourcedefinition', spiffeKind, '--ignore-not-found'])
  await kubectl(['delete', 'namespace', works, '--ignore-not-found', '--timeout=90s'])
})

const podNamed = (name: string) => get<V1Pod>(['pod', '--namespace', works, name])
const containerIdOf = ({ status }: V1Pod, container: string) =>
  [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ]
    .find(({ name }) => name === container)
    ?.containerID?.split('://')[1]

describe('each kind of workload', () => {
  beforeAll(async () => {
    await apply(controllers(node).map(({ object }) => object))
    await kubectl(['create', 'job', 'by-hand', '--namespace', works, '--from=cronjob/cronjob'])
  })

  test.each(controllers('').map(({ name, owner }) => [owner.kind, name, owner] as const))(
    'a %s (%s) is named as the owner of what it did, with its account',
    async (_, name, owner) => {
      const alert = await marked(name, 60_000)
      const pod = await podNamed(alert.k8s?.pod?.name ?? '')
      expect(pod.metadata?.labels?.app).toBe(name)
      const accountName = name === 'tokenless' ? 'tokenless' : account
      expect(alert).toMatchObject({
        container: { id: containerIdOf(pod, 'app'), name: 'app', kind: 'app', image: { name: image } },
        k8s: { namespace: { name: works }, pod: { uid: pod.metadata?.uid }, owner, node: { name: node } },
        identity: { subject: `system:serviceaccount:${works}:${accountName}`, freshness: 'live' },
      })
      expect(alert.identity).not.toHaveProperty('missing')
    },
  )

  test('the role that the account names is told, and that nothing of it is in the container', async () => {
    const { identity } = await marked('deployment')
    expect(identity?.cloud).toContainEqual({ provider: 'aws', source: 'eks_irsa', principal: role, held: false })
    expect(identity?.credential).toMatchObject({ kind: 'projected', automounted: true, automount: 'default' })
  })

  test("a privileged pod in the node's namespaces reaches the node, and an ordinary one nothing of it", async () => {
    const { k8s, identity } = await marked('host')
    expect(k8s?.pod).toMatchObject({ privileged: true, host_pid: true, host_network: true, host_ipc: true })
    expect(identity?.reach?.node?.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['privileged', 'host-pid', 'host-network', 'host-ipc']),
    )
    expect(identity?.blast_radius?.level).toBe('critical')
    const ordinary = await marked('deployment')
    expect(ordinary.identity?.reach).not.toHaveProperty('node')
    expect(ordinary.identity?.blast_radius?.score).toBeLessThan(25)
    expect(ordinary.identity?.reach?.control_plane).toContainEqual(
      expect.objectContaining({ type: 'kubernetes-api', name: 'default/kubernetes' }),
    )
  })

  test('an account that mounts no token', async () => {
    const { identity } = await marked('tokenless')
    expect(identity?.credential).toMatchObject({ kind: 'none', automounted: false, automount: 'service_account' })
  })

  test('the SPIFFE ID that the ClusterSPIFFEID gives to the pods that it selects, and to no others', async () => {
    expect((await marked('statefulset')).identity?.spiffe_id).toBe(`spiffe://example.org/ns/${works}/app/statefulset`)
    expect((await marked('deployment')).identity).not.toHaveProperty('spiffe_id')
  })

  test('who shares the account, once they are there', async () => {
    const exec = ['exec', '--namespace', works, 'deployment/deployment', '--']
    await kubectl([...exec, ...marking('sharing')])
    const { identity } = await marked('sharing')
    expect(identity?.shared_with).toEqual(expect.arrayContaining(['DaemonSet/daemonset', 'StatefulSet/statefulset']))
    expect(identity?.shared_with).not.toContain('Deployment/deployment')
  })

  test('a static pod, whose cgroup has another UID', async ({ skip }) => {
    skip(!statics, 'NIGHTJAR_STATIC_PODS is not set')
    await apply([staticPod(node, statics ?? '')])
    const alert = await marked('static', 60_000)
    await kubectl(['delete', 'pod', 'writer', '--namespace', works])
    expect(alert).toMatchObject({
      container: { name: 'app', kind: 'app' },
      k8s: { namespace: { name: works }, pod: { name: `fixed-${node}` }, container: { name: 'app' } },
    })
  })
})

describe('each kind of container of one pod', () => {
  beforeAll(async () => {
    await apply([manifold(node)])
    await kubectl(['wait', '--for=condition=Ready', 'pod/manifold', '--namespace', works, '--timeout=60s'])
    const debug = ['debug', 'manifold', '--namespace', works, '--container=debug', `--image=${image}`]
    await kubectl([...debug, '--image-pull-policy=Never', '--quiet', '--', ...marking('manifold-debug', 'sleep 60')])
    await kubectl(['exec', 'manifold', '--namespace', works, '--container=app', '--', ...marking('manifold-exec')])
  })

  test.each([
    ['an init container', 'manifold-init', 'prepare', 'init'],
    ['a sidecar', 'manifold-sidecar', 'beside', 'sidecar'],
    ['the app', 'manifold-app', 'app', 'app'],
    ['kubectl debug', 'manifold-debug', 'debug', 'ephemeral'],
    ['kubectl exec', 'manifold-exec', 'app', 'app'],
    ['a probe', 'manifold-probe', 'app', 'app'],
  ])('%s', async (_, name, container, kind) => {
    const alert = await marked(name)
    const pod = await podNamed('manifold')
    expect(alert).toMatchObject({
      container: { id: containerIdOf(pod, container), name: container, kind },
      k8s: { pod: { name: 'manifold', uid: pod.metadata?.uid }, container: { name: container } },
      identity: { subject, freshness: 'live' },
    })
  })
})

describe('the API server goes away and comes back', () => {
  const part = async (action: 'stop' | 'start') => {
    const [program = '', ...args] = (control ?? '').split(' ')
    await promisify(execFile)(program, [...args, action, 'kube-apiserver'])
  }
  const ticks = (alerts: Alert[]) =>
    alerts.flatMap((alert) => {
      if (alert.rule.id !== 'marked') return []
      const [, number] = /tick (\d+)$/.exec(alert.message) ?? []
      return number === undefined ? [] : [{ number: Number(number), freshness: alert.identity?.freshness, alert }]
    })

  test('nothing that a known pod does is lost, it is stale while the server is away, and live again within 30 s', async ({
    skip,
  }) => {
    skip(!control, 'NIGHTJAR_CLUSTER_PART is not set')
    await apply([ticking(node, 150), returning(node, 4)])
    await log.until((alerts) => ticks(alerts).some(({ freshness }) => freshness === 'live'), 60_000)
    await marked('returning')
    await part('stop')
    const stopped = Date.now()
    try {
      // The log can't be read meanwhile: what the sensor made of it is seen afterwards.
      await new Promise((done) => setTimeout(done, 45_000))
    } finally {
      await part('start')
    }
    await vi.waitFor(() => kubectl(['get', '--raw', '/readyz']), { timeout: 60_000, interval: 250 })
    const back = Date.now()
    const first = await log.until((alerts) => {
      const seen = ticks(alerts)
      const stale = seen.findLast(({ freshness }) => freshness === 'stale')
      return stale && seen.find(({ number, freshness }) => number > stale.number && freshness === 'live')
    }, 45_000)
    expect(Date.parse(first.alert.time) - back).toBeLessThan(30_000)
    const seen = ticks(log.alerts()).filter(({ number }) => number <= first.number)
    expect(seen.map(({ number }) => number).toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: first.number }, (_, at) => at + 1),
    )
    for (const { alert } of seen)
      expect(alert).toMatchObject({ k8s: { pod: { name: 'ticking' } }, identity: { subject } })
    // A tick comes about every second; the server was away for 45.
    const stale = seen.filter(({ freshness }) => freshness === 'stale')
    expect(Date.parse(stale[0]?.alert.time ?? '')).toBeGreaterThan(stopped)
    expect(stale.length).toBeGreaterThan(10)
  }, 300_000)

  test('a container that was started meanwhile is named by its runtime', async ({ skip }) => {
    skip(!control || !socket, 'NIGHTJAR_CLUSTER_PART and NIGHTJAR_RUNTIME_SOCKET are not set')
    const runs = log.alerts().filter(isMark('returning'))
    const meanwhile = runs.filter(({ identity }) => identity?.freshness === 'stale')
    expect(new Set(runs.map(({ container }) => container?.id)).size).toBe(runs.length)
    expect(meanwhile.length).toBeGreaterThan(0)
    for (const run of runs)
      expect(run).toMatchObject({
        container: { name: 'app', image: { name: image } },
        k8s: { namespace: { name: works }, pod: { name: 'returning' }, container: { name: 'app' } },
        identity: { subject },
      })
  })

  test('what is made afterwards is known as before', async ({ skip }) => {
    skip(!control, 'NIGHTJAR_CLUSTER_PART is not set')
    await apply([fleeting('afterwards', node)])
    expect(await marked('afterwards', 60_000)).toMatchObject({
      k8s: { pod: { name: 'afterwards' } },
      identity: { subject, freshness: 'live' },
    })
  })
})

describe('what is known of an identity', () => {
  const outputs = ['json', 'pretty', 'dot', 'mermaid'] as const
  const begins = { json: '{"', pretty: '', dot: 'digraph', mermaid: 'flowchart' }
  const agentPod = async () => {
    const list = ['pods', '--namespace', nightjar, '--selector', 'app.kubernetes.io/name=nightjar']
    const found = (await get<V1PodList>(list)).items.find(({ metadata }) => !metadata?.deletionTimestamp)
    return found?.metadata?.name ?? ''
  }

  beforeAll(() => apply([sharedRights()]))

  test.each(outputs)('is asked for in the pod of the sensor, with its rights: %s', async (output) => {
    const ask = ['exec', '--namespace', nightjar, await agentPod(), '--', 'nightjar', 'identity', '--output', output]
    const one = await kubectl([...ask, `${works}/${account}`])
    expect(one.startsWith(begins[output])).toBe(true)
    for (const said of [account, works]) expect(one).toContain(said)
    const all = await kubectl([...ask, '--all'])
    expect(all.startsWith(begins[output])).toBe(true)
    if (output === 'json') {
      const reports = all
        .trimEnd()
        .split('\n')
        .map((line): IdentityReport => JSON.parse(line))
      const scores = reports.map(({ score }) => score ?? 0)
      expect(scores).toEqual(scores.toSorted((one, other) => other - one))
      expect(reports.map(({ subject }) => subject)).toEqual(expect.arrayContaining([subject]))
    }
  })

  test('an account with rights that several workloads share is a finding', async () => {
    const alert = await log.until((alerts) =>
      alerts.find(({ rule, identity }) => rule.id === 'shared-account' && identity?.subject === subject),
    )
    expect(alert).toMatchObject({ event: { type: 'posture' }, severity: 'low', k8s: { namespace: { name: works } } })
  })

  test('a right that is taken from the sensor costs what follows from it, says which, and nothing else', async () => {
    const role = await get<V1ClusterRole>(['clusterrole', 'nightjar'])
    const rules = role.rules?.filter(({ resources }) => !resources?.includes('networkpolicies'))
    expect(rules).toHaveLength((role.rules?.length ?? 0) - 1)
    await kubectl(['patch', 'clusterrole', 'nightjar', '--type=merge', '--patch', JSON.stringify({ rules })])
    // A watch that stands is not ended by a right that is gone.
    await kubectl(['delete', 'pod', '--namespace', nightjar, await agentPod()])
    const agent = await vi.waitFor(
      async () => {
        const name = await agentPod()
        await kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--namespace', nightjar, '--timeout=90s'])
        return name
      },
      { timeout: 90_000, interval: 200 },
    )
    log.follow(nightjar, agent)
    await kubectl(['exec', '--namespace', works, 'deployment/deployment', '--', ...marking('unread')])
    const { identity, k8s } = await marked('unread', 60_000)
    expect(identity).toMatchObject({
      subject,
      freshness: 'live',
      missing: ['network'],
      blast_radius: { level: 'high' },
    })
    expect(identity?.cloud).toHaveLength(1)
    expect(identity?.reach ?? {}).not.toHaveProperty('data_stores')
    expect(identity?.reach ?? {}).not.toHaveProperty('control_plane')
    expect(k8s?.deployment?.name).toBe('deployment')
    const said = await kubectl(['logs', '--namespace', nightjar, agent])
    expect(said.split('\n').filter((line) => line.includes("can't be read"))).toEqual([
      expect.stringContaining("networkpolicies can't be read: identity.reach is without data stores and control plane"),
    ])
  })
})

test('200 pods that live for a moment, 40 at a time: each act is tied to its own pod and account', async () => {
  const batches = 5
  const size = 40
  for (let batch = 0; batch < batches; batch++) {
    const pods = Array.from({ length: size }, (_, at) => fleeting(`fleeting-${batch}-${at}`, node))
    await apply(pods)
    const ended = ['wait', 'pod', '--namespace', works, '--selector=app=fleeting', '--timeout=110s']
    await kubectl([...ended, '--for=jsonpath={.status.phase}=Succeeded'])
    const remove = ['delete', 'pod', '--namespace', works, '--selector=app=fleeting', '--grace-period=1']
    await kubectl(remove)
  }
  const named = (alerts: Alert[]) => alerts.filter(({ message }) => new RegExp(`: ${mark} fleeting-`).test(message))
  await log.until((alerts) => named(alerts).length >= batches * size)
  const acts = named(log.alerts())
  expect(acts).toHaveLength(batches * size)
  const wrong = acts.filter(
    ({ message, k8s, identity }) => !message.endsWith(` ${k8s?.pod?.name}`) || identity?.subject !== subject,
  )
  expect(wrong.map(({ message, k8s, identity }) => ({ message, pod: k8s?.pod, identity }))).toEqual([])
  const unnamed = acts.filter(({ container }) => container?.name !== 'app').length
  process.stdout.write(`200 fleeting pods: ${unnamed} acts without their container's name\n`)
  // Without the runtime only the pod's status names a container, seconds later.
  if (socket) expect(unnamed).toBe(0)
}, 600_000)
