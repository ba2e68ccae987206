/** A release's life in a real cluster: installed, tested, its rules changed, upgraded, rolled back, removed; the manifests without helm. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { V1DaemonSet, V1Pod, V1PodList } from '@kubernetes/client-node'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseAllDocuments } from 'yaml'
import type { Alert } from '../../sensor/alert.ts'
import { openAgentLog } from './agent-log.ts'
import { apply, get, helm, kubectl } from './commands.ts'
import { removeFromNode } from './removal.ts'
import { image, imageValues, namespaceObjects, namespaces, ofImage, on, ours } from './scene.ts'

const deploy = join(import.meta.dirname, '../../deploy')
const chart = join(deploy, 'helm/nightjar')
const manifests = join(deploy, 'manifests/nightjar.yaml')
const { nightjar, shop } = namespaces
const next = process.env.NIGHTJAR_NEXT_IMAGE

/** A new one each time: no sensor before this run has been there. */
const spoolOnNode = `/var/lib/nightjar-test-${randomBytes(4).toString('hex')}`
const log = openAgentLog()
let node = ''

/** Alerts on the programs whose first argument is this word. */
const rulesOn = (word: string) => ({
  'team.json': {
    pack: 'team',
    version: '1',
    rules: [
      {
        id: 'marked',
        name: 'Marked',
        description: 'A program that a test runs.',
        on: ['exec'],
        when: { 'process.command_args': `release-${word}` },
        severity: 'low',
        message: 'seen {process.command_line}',
      },
    ],
  },
})
const values = (change: { rules: string; clusterName?: string; image?: string; surge?: true }) => ({
  image: { ...imageValues(change.image), pullPolicy: 'Never' },
  rules: rulesOn(change.rules),
  spool: { hostPath: spoolOnNode },
  ...(change.surge && { updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }),
  config: { builtinRules: true, kubernetes: { clusterName: change.clusterName ?? 'one' } },
})
const release = ['nightjar', chart, '--namespace', nightjar]
const upgrade = (change: Parameters<typeof values>[0]) =>
  helm(['upgrade', ...release, '--values', '-'], JSON.stringify(values(change)))
const rolledOut = () => kubectl(['rollout', 'status', 'daemonset/nightjar', '--namespace', nightjar, '--timeout=110s'])

/** The sensor's pod that stays. */
async function agent(): Promise<V1Pod> {
  const list = ['pods', '--namespace', nightjar, '--selector', 'app.kubernetes.io/name=nightjar']
  const found = (await get<V1PodList>(list)).items.find(
    ({ metadata, spec }) => !metadata?.deletionTimestamp && (node === '' || spec?.nodeName === node),
  )
  if (!found) throw new Error('no pod of the sensor')
  return found
}

/** Runs a marked program in a pod until that is alerted: what the sensor is to know takes its time to get there. */
async function seen(word: string, note: string, within: number): Promise<Alert> {
  const act = ['exec', '--namespace', shop, 'actor', '--', 'true', `release-${word}`, note]
  const isIt = ({ message }: Alert) => message === `seen true release-${word} ${note}`
  return vi.waitFor(
    async () => {
      await kubectl(act)
      return await log.until((alerts) => alerts.find(isIt), 2000)
    },
    { timeout: within, interval: 100 },
  )
}
const gapsOf = () => log.alerts().filter(({ gap }) => gap?.reason === 'sensor_absent')

/** Changes the release so that its pods are replaced; tells of the gap between them. */
async function replaced(change: () => Promise<unknown>) {
  const before = await agent()
  const known = gapsOf().length
  const began = Date.now()
  await change()
  await rolledOut()
  const after = await agent()
  const took = (Date.now() - began) / 1000
  log.follow(nightjar, after.metadata?.name ?? '')
  const alert = await log.until(() => gapsOf()[known])
  return { before, after, took, alert }
}

beforeAll(async () => {
  await apply(namespaceObjects)
})
afterAll(async () => {
  log.close()
  await helm(['uninstall', 'nightjar', '--namespace', nightjar, '--ignore-not-found'])
  await kubectl(['delete', 'pod', 'actor', '--namespace', shop, '--ignore-not-found', '--wait=false'])
  await removeFromNode(spoolOnNode, node)
  await kubectl(['delete', 'namespace', baseline, '--ignore-not-found', '--wait=false'])
})
afterEach(async ({ task }) => {
  const logs = ['logs', '--namespace', nightjar, '--selector', 'app.kubernetes.io/name=nightjar', '--tail=20']
  if (task.result?.state === 'fail') process.stderr.write(await kubectl(logs).catch(String))
})

const baseline = 'nightjar-test-baseline'

describe('a release', () => {
  beforeAll(async () => {
    await helm(['install', ...release, '--values', '-'], JSON.stringify(values({ rules: 'one' })))
    await rolledOut()
    const pod = await agent()
    node = pod.spec?.nodeName ?? ''
    log.follow(nightjar, pod.metadata?.name ?? '')
    const actor = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'actor', namespace: shop } }
    await apply([{ ...actor, spec: on(node, [ofImage('actor', ['sleep', 'infinity'])]) }])
    await kubectl(['wait', '--for=condition=Ready', 'pod/actor', '--namespace', shop, '--timeout=60s'])
  })

  test('installed, alerts by the rules that came with it; the first sensor on a node tells of no absence', async () => {
    expect((await seen('one', 'installed', 60_000)).rule.id).toBe('marked')
    expect(gapsOf()).toEqual([])
  })

  test('helm test says that its sensors are well, and leaves nothing', async () => {
    expect(await helm(['test', 'nightjar', '--namespace', nightjar])).toMatch(/Phase:\s+Succeeded/)
    expect(await kubectl(['get', 'pod', 'nightjar-test', '--namespace', nightjar, '--ignore-not-found'])).toBe('')
  })

  describe('beside it, the manifests without helm', () => {
    const objects: { kind: string; metadata: { name: string } }[] = parseAllDocuments(
      readFileSync(manifests, 'utf8'),
    ).map((document) => document.toJS())

    test('are taken by the API server, each of them', async () => {
      const said = await kubectl(['apply', '--dry-run=server', '--validate=strict', '--filename', manifests])
      expect(said.trimEnd().split('\n')).toHaveLength(objects.length)
      for (const line of said.trimEnd().split('\n'))
        expect(line).toMatch(/ (created|configured|unchanged) \(server dry run\)$/)
    })

    test("need the Pod Security level that they state: baseline refuses the pod, for the node's own that it is given", async () => {
      const labels = { ...ours, 'pod-security.kubernetes.io/enforce': 'baseline' }
      await apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: baseline, labels } }])
      const { spec } = objects.find(({ kind }) => kind === 'DaemonSet') as V1DaemonSet
      const pod = (namespace: string) =>
        JSON.stringify({
          ...{ apiVersion: 'v1', kind: 'Pod' },
          metadata: { name: 'nightjar', namespace },
          spec: { ...spec?.template.spec, serviceAccountName: undefined, priorityClassName: undefined },
        })
      const dryRun = ['create', '--dry-run=server', '--filename', '-']
      const refusal = await kubectl(dryRun, pod(baseline)).catch(String)
      expect(refusal).toContain('violates PodSecurity "baseline:latest"')
      expect(refusal).toContain('hostPID=true')
      expect(refusal).toContain('hostPath volumes')
      expect(refusal).not.toContain('privileged')
      expect(await kubectl(dryRun, pod(nightjar))).toContain('created (server dry run)')
    })
  })

  test('with other rules goes by them, once the kubelet has brought them (60 to 90 s), without a restart', async () => {
    const before = await agent()
    const began = Date.now()
    await upgrade({ rules: 'two' })
    await seen('two', 'changed', 105_000)
    process.stdout.write(`rules of the ConfigMap are live after ${Math.round((Date.now() - began) / 1000)} s\n`)
    const after = await agent()
    expect(after.metadata?.uid).toBe(before.metadata?.uid)
    expect(after.status?.containerStatuses?.[0]?.restartCount).toBe(0)
  }, 120_000)

  test('upgraded to another configuration is replaced, and tells for how long nobody watched the node', async () => {
    const { before, after, took, alert } = await replaced(() => upgrade({ rules: 'two', clusterName: 'two' }))
    expect(after.metadata?.uid).not.toBe(before.metadata?.uid)
    expect(alert.rule.id).toBe('sensor-gap')
    // No longer than the old pod's end and the new one's start together took.
    expect(alert.gap?.seconds).toBeGreaterThan(0)
    expect(alert.gap?.seconds).toBeLessThan(took + 3)
    process.stdout.write(`an upgrade took ${took.toFixed(1)} s, in which nobody watched for ${alert.gap?.seconds} s\n`)
    expect((await seen('two', 'configured', 30_000)).k8s?.cluster?.name).toBe('two')
  })

  test('upgraded to another image runs that; where the new pod may come before the old one ends, there is no gap', async ({
    skip,
  }) => {
    skip(next === undefined, 'NIGHTJAR_NEXT_IMAGE is not set')
    const known = gapsOf().length
    await upgrade({ rules: 'two', clusterName: 'two', image: next ?? '', surge: true })
    await rolledOut()
    const after = await agent()
    expect(after.spec?.containers[0]?.image).toBe(next)
    log.follow(nightjar, after.metadata?.name ?? '')
    await seen('two', 'renewed', 30_000)
    expect(gapsOf()).toHaveLength(known)
  })

  test('rolled back is what it was: rules, configuration and image', async () => {
    const { after } = await replaced(() => helm(['rollback', 'nightjar', '1', '--namespace', nightjar]))
    expect(after.spec?.containers[0]?.image).toBe(image)
    expect((await seen('one', 'rolled-back', 30_000)).k8s?.cluster?.name).toBe('one')
    expect(log.alerts().filter(({ message }) => message.startsWith('seen true release-two rolled-back'))).toEqual([])
  })
})
