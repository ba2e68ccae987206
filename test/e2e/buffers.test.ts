import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { readsOneBuffer } from '../../sensor/buffers.ts'
import { act, kernelTest, watchEvents } from './sensor.ts'

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

const opens = 60_000
kernelTest(
  'what the buffer of the kernel had no room for is counted, whichever way bpftrace says so',
  async () => {
    const stream = watchEvents(['open', 'gap'])
    try {
      await stream.attached
      const [, bpftrace = '0'] = /"pid":(\d+),"msg":"kernel probes attached"/.exec(stream.log()) ?? []
      // Nobody reads for a moment, in which more happens than there is room for.
      process.kill(Number(bpftrace), 'SIGSTOP')
      await act('/usr/bin/python3', ['-ISc', `for _ in range(${opens}): open("/etc/hostname").close()`])
      process.kill(Number(bpftrace), 'SIGCONT')
      const { gap } = await stream.events.first(({ gap }) => gap?.reason === 'events_lost', 60_000)
      expect(gap?.lost_events).toBeGreaterThan(0)
    } finally {
      await stream.stop()
    }
  },
  120_000,
)
