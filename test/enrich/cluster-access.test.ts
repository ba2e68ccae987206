/** A pod's own way to the API server: the files that the kubelet mounts, and nothing of @kubernetes/client-node. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openApiServer } from '../../enrich/api-server.ts'
import { podAccess } from '../../enrich/cluster-access.ts'
import { authority, type Files, signed } from '../exporters/certificates.ts'
import { type ApiServer, startApiServer } from './api-server.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-pod-'))
const tokenFile = join(directory, 'token')
let [ours, others]: Files[] = []
let api: ApiServer

beforeAll(() => {
  ours = authority(directory, 'ours')
  others = authority(directory, 'others')
})
afterAll(() => rmSync(directory, { recursive: true }))

beforeEach(async () => {
  if (!ours) throw new Error('no authority')
  const { keyFile, certFile } = signed(directory, 'server', 'IP:127.0.0.1', ours)
  api = await startApiServer({ tls: { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') } })
  writeFileSync(tokenFile, 'first\n')
})
afterEach(() => api.stop())

const pods = async () => {
  const { hostname, port } = new URL(api.kubeConfig.getCurrentCluster()?.server ?? '')
  const access = podAccess({ KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }, tokenFile)
  const client = openApiServer(access)
  const list = () => client.get('/api/v1/pods', {}, 5_000)
  return { list, close: client.close }
}

test('the token goes with each request, as the kubelet has written it last', async () => {
  if (ours) copyFileSync(ours.certFile, join(directory, 'ca.crt'))
  const { list, close } = await pods()
  expect(await list()).toMatchObject({ body: { kind: 'List' } })
  writeFileSync(tokenFile, 'second\n')
  expect(await list()).toMatchObject({ body: { kind: 'List' } })
  expect(api.asked.map(({ authorization }) => authorization)).toEqual(['Bearer first', 'Bearer second'])
  close()
})

test('a server that the cluster’s authority has not signed is not spoken to', async () => {
  if (others) copyFileSync(others.certFile, join(directory, 'ca.crt'))
  const { list, close } = await pods()
  expect(await list()).toMatchObject({ refusal: { message: expect.stringMatching(/certificate|issuer/) } })
  expect(api.asked).toEqual([])
  close()
})

test('an address of IPv6 stands in brackets', () => {
  const access = podAccess({ KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }, tokenFile)
  expect(access.getCurrentCluster()?.server).toBe('https://[fd00::1]:6443')
})

test('a sensor in a pod loads neither @kubernetes/client-node nor, before it asks, undici', () => {
  const script = `
    const { createRequire } = await import('node:module')
    const { kubernetesFrom } = await import('${join(import.meta.dirname, '../../enrich/kubernetes.ts')}')
    await import('${join(import.meta.dirname, '../../sensor/commands/run.ts')}')
    const found = kubernetesFrom({ enabled: 'auto' }, { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, { hostName: 'a', tokenFile: '${tokenFile}' })
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((file) => /@kubernetes|undici/.test(file))
    process.stdout.write(JSON.stringify({ source: found.source, loaded }))
  `
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' })
  expect(JSON.parse(said)).toEqual({ source: 'service account', loaded: [] })
})
