import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { kubernetesFrom } from '../../enrich/kubernetes.ts'

let directory = ''
const machine = (tokenFile: string) => ({ hostName: 'Worker-7.Example', tokenFile })
const nowhere = machine('/nonexistent/token')

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nightjar-kubernetes-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function kubeconfig(name: string, context: string | null = name): string {
  const file = join(directory, name)
  writeFileSync(
    file,
    JSON.stringify({
      'current-context': context,
      clusters: [{ name, cluster: { server: `https://${name}.test` } }],
      users: [{ name, user: { token: 't' } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    }),
  )
  return file
}

const serverOf = (found: ReturnType<typeof kubernetesFrom>) => found?.kubeConfig.getCurrentCluster()?.server

test('auto: without a kubeconfig and outside a pod the sensor stands alone', () => {
  expect(kubernetesFrom({ enabled: 'auto', kubeconfig: null }, {}, nowhere)).toBeUndefined()
})

test('disabled: a kubeconfig that is there is not used', () => {
  expect(kubernetesFrom({ enabled: false }, { KUBECONFIG: kubeconfig('a') })).toBeUndefined()
})

test('enabled without a cluster: the error says where it looked and what to do', () => {
  expect(() => kubernetesFrom({ enabled: true }, {}, nowhere)).toThrow(
    /kubernetes\.enabled.*kubernetes\.kubeconfig and KUBECONFIG are not set.*\/nonexistent\/token.*Set kubernetes\.kubeconfig/,
  )
})

test('the configured kubeconfig goes before KUBECONFIG, and that before the pod', () => {
  const env = { KUBECONFIG: kubeconfig('b'), KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
  const configured = kubernetesFrom({ enabled: 'auto', kubeconfig: kubeconfig('a') }, env, machine(kubeconfig('token')))
  expect(serverOf(configured)).toBe('https://a.test')
  expect(serverOf(kubernetesFrom({ enabled: 'auto' }, env, machine(kubeconfig('token'))))).toBe('https://b.test')
})

test('in a pod its service account is used', () => {
  const token = join(directory, 'token')
  writeFileSync(token, 'secret')
  const found = kubernetesFrom({ enabled: 'auto' }, { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, machine(token))
  expect(found?.source).toBe('service account')
})

test('several files in KUBECONFIG are merged; what comes first counts', () => {
  const files = [kubeconfig('a', null), kubeconfig('b'), kubeconfig('c')]
  expect(serverOf(kubernetesFrom({ enabled: 'auto' }, { KUBECONFIG: files.join(delimiter) }))).toBe('https://b.test')
  const twice = [kubeconfig('a'), kubeconfig('a')].join(delimiter)
  expect(serverOf(kubernetesFrom({ enabled: 'auto' }, { KUBECONFIG: twice }))).toBe('https://a.test')
})

test.each([
  ['is missing', undefined, /missing.yaml \(from KUBECONFIG\).*ENOENT.*Expected a readable kubeconfig/],
  ['is not a kubeconfig', 'clusters: [{}]', /missing.yaml \(from KUBECONFIG\).*clusters\[0\]\.name is missing/],
  ['is empty', '', /missing.yaml \(from KUBECONFIG\)/],
  ['has no such context', 'current-context: x', /current-context is "x".*kubectl config use-context/],
])('a kubeconfig that %s is an error that names the file', (_, content, expected) => {
  const file = join(directory, 'missing.yaml')
  if (content !== undefined) writeFileSync(file, content)
  expect(() => kubernetesFrom({ enabled: 'auto' }, { KUBECONFIG: file })).toThrow(expected)
})

test('the node: as configured, else NIGHTJAR_NODE_NAME, else the host name in lower case', () => {
  const env = { KUBECONFIG: kubeconfig('a') }
  const named = { ...env, NIGHTJAR_NODE_NAME: 'from-env' }
  expect(kubernetesFrom({ enabled: 'auto', nodeName: 'configured' }, named)?.nodeName).toBe('configured')
  expect(kubernetesFrom({ enabled: 'auto', nodeName: null }, named)?.nodeName).toBe('from-env')
  expect(kubernetesFrom({ enabled: 'auto' }, env, nowhere)?.nodeName).toBe('worker-7.example')
})

test('the cluster has a name only when one is configured', () => {
  const env = { KUBECONFIG: kubeconfig('a') }
  expect(kubernetesFrom({ enabled: 'auto', clusterName: 'prod-eu' }, env)?.clusterName).toBe('prod-eu')
  expect(kubernetesFrom({ enabled: 'auto', clusterName: null }, env)).not.toHaveProperty('clusterName')
})
