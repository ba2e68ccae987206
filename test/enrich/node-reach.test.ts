import type { V1Container, V1PodSpec } from '@kubernetes/client-node'
import { describe, expect, test } from 'vitest'
import { nodeReachOf } from '../../enrich/node-reach.ts'

const reachOf = (container: Partial<V1Container>, spec: Partial<V1PodSpec> = {}) =>
  nodeReachOf({ spec: { containers: [{ name: 'app', ...container }], ...spec } })
const mounting = (path: string, mount: { readOnly?: boolean; subPath?: string } = {}) =>
  reachOf(
    { volumeMounts: [{ name: 'v', mountPath: '/mnt', ...mount }] },
    { volumes: [{ name: 'v', hostPath: { path } }] },
  )
const worst = ({ exposures }: ReturnType<typeof reachOf>) => exposures[0]

test('an ordinary pod reaches nothing of its node', () => {
  const restricted = {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  }
  expect(reachOf({ securityContext: restricted })).toEqual({ settings: {}, exposures: [] })
  expect(reachOf({})).toEqual({ settings: {}, exposures: [] })
})

test('a privileged container takes the node, be it an init or an ephemeral one', () => {
  const securityContext = { privileged: true }
  const expected = { id: 'privileged', weight: 0.85 }
  expect(worst(reachOf({ securityContext }))).toMatchObject({ ...expected, setting: 'container app: privileged' })
  const init = reachOf({}, { initContainers: [{ name: 'setup', securityContext }] })
  expect(worst(init)).toMatchObject({ ...expected, setting: 'init container setup: privileged' })
  const debug = reachOf({}, { ephemeralContainers: [{ name: 'debug', securityContext }] })
  expect(worst(debug)).toMatchObject({ ...expected, setting: 'ephemeral container debug: privileged' })
  expect(debug.settings).toEqual({ privileged: true, seccomp_unconfined: true })
  const windows = reachOf({ securityContext: { windowsOptions: { hostProcess: true } } })
  expect(worst(windows)).toMatchObject(expected)
})

describe("the node's namespaces", () => {
  test('are told, with what they mean', () => {
    const { settings, exposures } = reachOf({}, { hostPID: true, hostNetwork: true, hostIPC: true })
    expect(settings).toEqual({ host_pid: true, host_network: true, host_ipc: true })
    expect(exposures.map(({ id }) => id)).toEqual(['host-pid', 'host-network', 'host-ipc'])
  })

  test('its processes may be entered only by who may trace them', () => {
    expect(worst(reachOf({}, { hostPID: true }))?.weight).toBeLessThan(0.5)
    const tracer = reachOf({ securityContext: { capabilities: { add: ['SYS_PTRACE'] } } }, { hostPID: true })
    expect(worst(tracer)).toMatchObject({ id: 'host-pid', weight: 0.85 })
  })
})

describe('capabilities', () => {
  test.each(['SYS_ADMIN', 'CAP_SYS_ADMIN', 'cap_sys_admin'])('written %s are the same', (name) => {
    const found = reachOf({ securityContext: { capabilities: { add: [name] } } })
    expect(found.settings.capabilities).toEqual(['CAP_SYS_ADMIN'])
    expect(worst(found)).toMatchObject({ id: 'capability', title: 'Use CAP_SYS_ADMIN', weight: 0.75 })
  })

  test('ALL is all of root; a harmless one is told and weighs nothing', () => {
    expect(worst(reachOf({ securityContext: { capabilities: { add: ['ALL'] } } }))?.weight).toBe(0.85)
    const harmless = reachOf({ securityContext: { capabilities: { add: ['NET_BIND_SERVICE'] } } })
    expect(harmless).toEqual({ settings: { capabilities: ['CAP_NET_BIND_SERVICE'] }, exposures: [] })
  })

  test('in a user namespace of its own weigh little; a mounted path weighs as much', () => {
    const add = { securityContext: { capabilities: { add: ['SYS_ADMIN'] } } }
    expect(worst(reachOf(add, { hostUsers: false }))?.weight).toBeLessThan(0.2)
    expect(worst(reachOf(add, { hostUsers: true }))?.weight).toBe(0.75)
  })
})

describe('a path of the node', () => {
  test.each<[string, boolean, string, number]>([
    ['/', false, 'host-path', 0.85],
    ['/', true, 'host-path', 0.85],
    ['/etc', false, 'host-path', 0.85],
    ['/etc/kubernetes/pki', true, 'host-path', 0.72],
    ['/var/lib/kubelet', true, 'host-path', 0.75],
    ['/var/lib/kubelet/', false, 'host-path', 0.8],
    ['/var', false, 'host-path', 0.85],
    ['/etc/ssl/certs', true, 'host-path', 0.09],
    ['/srv/data', true, 'host-path', 0.075],
    ['/run/containerd/containerd.sock', true, 'runtime-socket', 0.85],
    ['/var/run/docker.sock', false, 'runtime-socket', 0.85],
    ['/var/run', true, 'runtime-socket', 0.85],
  ])('%s (read-only: %s) is %s of weight %d', (path, readOnly, id, weight) => {
    expect(worst(mounting(path, { readOnly }))).toMatchObject({ id, weight: expect.closeTo(weight, 3) })
  })

  test('is what the volume and the subPath make together', () => {
    const found = mounting('/var//lib', { subPath: 'etcd' })
    expect(found.settings).toEqual({ host_paths: ['/var/lib/etcd'] })
    expect(worst(found)).toMatchObject({
      title: 'Write /var/lib/etcd of the node',
      setting: 'volume v, container app: /var/lib/etcd (read and write)',
    })
  })

  test('that no container mounts is out of reach', () => {
    expect(reachOf({}, { volumes: [{ name: 'v', hostPath: { path: '/' } }] }).exposures).toEqual([])
  })

  test('does not begin where another name does', () => {
    expect(worst(mounting('/etcetera'))?.weight).toBeLessThan(0.15)
  })
})

test('no seccomp filter is told where it is asked for, not where it is merely not asked', () => {
  const none = { seccompProfile: { type: 'Unconfined' } }
  expect(reachOf({ securityContext: none }).settings).toEqual({ seccomp_unconfined: true })
  expect(reachOf({}, { securityContext: none }).settings).toEqual({ seccomp_unconfined: true })
  expect(
    reachOf({ securityContext: { seccompProfile: { type: 'RuntimeDefault' } } }, { securityContext: none }).settings,
  ).toEqual({})
})
