import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCri } from '../../enrich/cri.ts'
import { type Runtime, watchRuntime } from '../../enrich/runtime.ts'
import { changes, memoryLog } from './changes.ts'
import { type RuntimeServer, startRuntime } from './runtime-server.ts'

const id = 'a'.repeat(64)
const sandboxId = 'b'.repeat(64)
const podUid = '058a67e1-9146-4dee-9534-0671cbbdf0b6'
const image = { image: 'sha256:1234', userSpecifiedImage: 'registry.example/web:1' }
const imageRef = `registry.example/web@sha256:${'1'.repeat(64)}`

const known = () => ({
  containers: [
    {
      id,
      podSandboxId: sandboxId,
      metadata: { name: 'web', attempt: 2 },
      image,
      imageRef,
      createdAt: '1795300366000000000',
      startedAt: '1795300367123456789',
      labels: { 'io.kubernetes.container.name': 'web' },
    },
  ],
  sandboxes: [
    {
      id: sandboxId,
      metadata: { name: 'web-0', uid: podUid, namespace: 'shop' },
      labels: { app: 'web', 'io.kubernetes.pod.name': 'web-0', 'io.kubernetes.pod.uid': podUid },
      annotations: { 'example.com/owner': 'team-a', 'example.com/long': 'x'.repeat(300) },
    },
  ],
})
const found = {
  namespace: 'shop',
  pod: 'web-0',
  podUid,
  labels: { app: 'web' },
  annotations: { 'example.com/owner': 'team-a' },
  container: {
    name: 'web',
    image: 'registry.example/web:1',
    imageId: imageRef,
    runtime: 'containerd',
    startTime: 1795300367123,
    restartCount: 2,
  },
}

let directory = ''
let socket = ''
let server: RuntimeServer
let runtime: Runtime | undefined
let now = 1_000
let { changed, until } = changes()
let log = memoryLog()

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nightjar-runtime-'))
  socket = join(directory, 'runtime.sock')
  now = 1_000
  ;({ changed, until } = changes())
  log = memoryLog(changed)
  server = await startRuntime(socket, known())
})
afterEach(async () => {
  runtime?.close()
  runtime = undefined
  await server.stop()
  rmSync(directory, { recursive: true })
})

async function watched(options: { socket?: string; usual?: string[] } = {}): Promise<Runtime> {
  runtime = watchRuntime({ socket, log, onChange: changed, clock: () => now, ...options })
  await runtime.ready
  return runtime
}
const answer = async (runtime: Runtime, which = id) => {
  runtime.containerOf(which)
  await until(() => runtime.answered(which))
  return runtime.containerOf(which)
}

test('a container is told with its pod, labels, image as asked for, digest, start and restarts', async () => {
  const runtime = await watched()
  expect(runtime.containerOf(id)).toBeUndefined()
  expect(await answer(runtime)).toEqual(found)
  expect(log.said[0]).toMatchObject({ level: 'info', fields: { socket, runtime: 'containerd v2.3.7' } })
})

test('a pause container is told as the sandbox of its pod: no container of it', async () => {
  const { container: _, ...sandbox } = found
  expect(await answer(await watched(), sandboxId)).toEqual(sandbox)
})

test('what is known is not asked for again; what is not known is, a second later', async () => {
  const runtime = await watched()
  await answer(runtime)
  await answer(runtime)
  expect(server.calls).toEqual(['Version', 'ListContainers', 'ListPodSandbox', 'ContainerStatus'])
  const later = 'c'.repeat(64)
  expect(await answer(runtime, later)).toBeUndefined()
  runtime.containerOf(later)
  expect(server.calls).toHaveLength(6)
  const [container] = known().containers
  if (container) server.objects.containers.push({ ...container, id: later })
  now += 1_000
  expect(await answer(runtime, later)).toEqual(found)
})

test('a runtime that breaks off is left alone for 5 s, complained of once, and found again', async () => {
  const runtime = await watched()
  server.fault('broken')
  expect(await answer(runtime)).toBeUndefined()
  expect(log.warnings()).toHaveLength(1)
  now += 4_999
  runtime.containerOf(id)
  expect(server.calls).toHaveLength(2)
  now += 1
  await answer(runtime)
  server.fault(undefined)
  now += 5_000
  expect(await answer(runtime)).toEqual(found)
  expect(log.warnings()).toHaveLength(1)
  expect(log.said.at(-1)?.message).toBe('the container runtime answers again')
})

test('a runtime that is started anew is connected to again', async () => {
  const runtime = await watched()
  await server.stop()
  server = await startRuntime(socket, known())
  expect(await answer(runtime)).toEqual(found)
})

test.each([
  ['silent', /no answer for 2000 ms/],
  ['garbage', /ListContainers: /],
  ['unimplemented', /gRPC status 12: unknown service/],
  ['broken', /ListContainers: /],
] as const)('a call to a runtime that is %s fails with the reason', async (fault, reason) => {
  server.fault(fault)
  const cri = openCri(socket)
  await expect(cri.call('ListContainers', { filter: { id } })).rejects.toThrow(reason)
  cri.close()
})

test('auto: the first of the usual sockets where a runtime answers', async () => {
  const deaf = await startRuntime(join(directory, 'deaf.sock'), known())
  deaf.fault('unimplemented')
  const usual = [join(directory, 'nothing.sock'), join(directory, 'deaf.sock'), socket]
  const runtime = await watched({ socket: 'auto', usual })
  expect(await answer(runtime)).toEqual(found)
  await deaf.stop()
})

test('auto, and there is none: nothing is said, and nothing is waited for', async () => {
  const runtime = await watched({ socket: 'auto', usual: [join(directory, 'nothing.sock')] })
  expect([runtime.available(), runtime.answered(id), runtime.containerOf(id)]).toEqual([false, true, undefined])
  expect(log.said).toEqual([])
})

test('a socket that is named and does not answer is complained of once, with the remedy', async () => {
  const runtime = await watched({ socket: join(directory, 'nothing.sock') })
  expect(runtime.available()).toBe(false)
  const [warning] = log.warnings()
  expect(warning?.fields).toMatchObject({
    tried: [expect.stringContaining('nothing.sock: Version: connect ENOENT')],
    remedy: expect.stringContaining('cri.socket'),
  })
})
