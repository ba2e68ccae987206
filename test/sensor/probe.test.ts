/** The supervisor of bpftrace, with a program of the test in bpftrace's place. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { records } from '../../bpf/records.ts'
import { type Gap, type Probe, startProbe } from '../../sensor/probe.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-probe-'))
let probe: Probe | undefined
afterEach(async () => {
  await probe?.stop()
  rmSync(directory, { recursive: true })
})

/**
 * Sends heartbeats for a while, and then its main thread ends: the kernel calls the process exiting. Another thread holds it
 * for longer than a heartbeat may take, and has it die by SIGKILL in the end. A second start goes on.
 */
const longDying = `#!/usr/bin/env python3
import ctypes, os, platform, signal, sys, threading, time
again = os.path.exists(${JSON.stringify(join(directory, 'again'))})
open(${JSON.stringify(join(directory, 'again'))}, 'w').close()
for _ in range(60 if again else 1):
    print(${JSON.stringify(records.heartbeat.tag)}, time.monotonic_ns(), flush=True)
    time.sleep(0.5)
def hold():
    time.sleep(8)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)
`

const hasPython = spawnSync('python3', ['--version']).status === 0

test.skipIf(process.platform !== 'linux' || (!hasPython && process.env.CI !== 'true'))(
  'a bpftrace that was killed and takes long to end is told as gone, not as stalled, and the next one does not wait for that',
  async () => {
    const command = join(directory, 'bpftrace')
    writeFileSync(command, longDying)
    chmodSync(command, 0o755)
    const quiet = { info() {}, warn() {}, debug() {} }
    const nothing = () => {}
    const pids: number[] = []
    const gap = await new Promise<Gap>((resolve, reject) => {
      probe = startProbe({
        program: () => '',
        command,
        log: quiet,
        now: () => 0,
        onAct: nothing,
        onTold: nothing,
        onUp: (pid) => pids.push(pid),
        onDown: nothing,
        onGap: resolve,
        onLoss: nothing,
        onHeartbeat: nothing,
        onRestart: nothing,
      })
      probe.started.catch(reject)
    })
    expect(gap).toMatchObject({ reason: 'probe_exited', detail: 'bpftrace: exit code 0' })
    expect(existsSync(`/proc/${pids[0]}`), 'the first one is still there').toBe(true)
    expect(pids).toHaveLength(2)
  },
)
