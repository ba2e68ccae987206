import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { readsOneBuffer } from '../../sensor/buffers.ts'
import { kernelTest } from './sensor.ts'

kernelTest('whether all CPUs share one buffer shows in what bpftrace holds: they do from 0.20 on', async () => {
  const version = /v0\.(\d+)/.exec(execFileSync('bpftrace', ['--version'], { encoding: 'utf8' }))?.[1]
  const bpftrace = spawn('bpftrace', ['-B', 'line', '-e', 'interval:ms:100 { printf("here\\n"); }'])
  try {
    while (!String((await once(bpftrace.stdout, 'data'))[0]).includes('here'));
    expect(readsOneBuffer(bpftrace.pid ?? 0)).toBe(Number(version) >= 20)
    expect(readsOneBuffer(process.pid)).toBe(false)
  } finally {
    bpftrace.kill('SIGKILL')
    await once(bpftrace, 'close')
  }
})
