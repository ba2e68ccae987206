/** The kernel takes 32 bits of a call's number and of most arguments: the others, which a program may set, hide nothing. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import type { EventType } from '../../sensor/event.ts'
import { type EventStream, kernelTest, output, watchEvents } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-wide-'))
const program = join(directory, 'wide')
const file = join(directory, 'file')
let stream: EventStream

beforeAll(async () => {
  execFileSync('gcc', ['-w', '-o', program, join(import.meta.dirname, 'wide.c')])
  writeFileSync(file, '')
  stream = watchEvents(['open', 'chmod', 'namespace', 'bpf', 'ptrace', 'exit'])
  await stream.attached
}, 60_000)
afterAll(async () => {
  await stream?.stop()
  rmSync(directory, { recursive: true })
})

/** What is told of the act, and what it printed. */
async function told(type: EventType, act: string, path = file) {
  const child = spawn(program, [act, path], { stdio: ['ignore', 'pipe', 'pipe'] })
  const { code, stdout } = await output(child)
  expect(code).toBe(0)
  await stream.ended(child.pid)
  return {
    printed: stdout,
    events: stream.events.all.filter((event) => event.type === type && event.process?.pid === child.pid),
  }
}

const opens = process.arch === 'x64' ? ['open', 'openat'] : ['openat']
for (const call of opens)
  kernelTest(`${call}, to write`, async () => {
    const { events } = await told('open', call)
    expect(events.filter((event) => event.file?.path === file)).toMatchObject([
      { file: { access: ['write', 'create'] } },
    ])
  })

kernelTest('fchmodat, with the set-user-id bit', async () => {
  const { events } = await told('chmod', 'fchmodat')
  expect(events).toMatchObject([{ file: { path: file, mode: '4755', setuid: true } }])
})

kernelTest('setns, into a namespace of the host', async () => {
  const { events } = await told('namespace', 'setns', '/proc/self/ns/uts')
  expect(events).toMatchObject([{ namespace: { operation: 'setns', types: ['uts'], host: true } }])
})

kernelTest('bpf', async () => {
  const { events } = await told('bpf', 'bpf')
  expect(events).toMatchObject([{ bpf: { operation: 'map_create' } }])
})

kernelTest('ptrace', async () => {
  const { events, printed } = await told('ptrace', 'ptrace')
  expect(events).toMatchObject([{ ptrace: { request: 'seize' }, target: { pid: Number(printed) } }])
})
