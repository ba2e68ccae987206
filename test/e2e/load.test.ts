import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { readCapture } from '../../sensor/capture.ts'
import { act, kernelTest, output, startSensor } from './sensor.ts'

/** Short-lived processes at a steady rate, for 10 s: prints how many it made. */
const storm = `
import os,sys,time
rate,seconds,made,start=int(sys.argv[1]),10,0,time.time()
while time.time()-start<seconds:
    if made<(time.time()-start)*rate:
        os.waitpid(os.posix_spawn("/bin/true",["true","storm"],{}),0); made+=1
    else: time.sleep(0.0005)
print(made)
`

describe('under load', () => {
  kernelTest('2,000 execs/s for 10 s: an attack is alerted, and every exec was seen or counted as lost', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-load-'))
    const file = join(directory, 'capture')
    try {
      const sensor = await startSensor({ args: ['--record', file] })
      // Two at half the rate: one alone is bound by its own fork.
      const storms = [1, 2].map(() =>
        output(spawn('python3', ['-c', storm, '1000'], { stdio: ['ignore', 'pipe', 'pipe'] })),
      )
      const attack =
        'import socket,subprocess,time;time.sleep(5);s=socket.socket();s.bind(("127.0.0.1",0));s.listen();subprocess.call(["sh","-c","exit 9"])'
      await act('python3', ['-c', attack])
      const alert = await sensor.alerts.first(({ rule }) => rule.id === 'unexpected-child-process')
      expect(alert.process?.command_args).toEqual(['sh', '-c', 'exit 9'])
      const made = (await Promise.all(storms)).reduce((sum, { stdout }) => sum + Number(stdout), 0)
      // What comes of the last act comes after all before it.
      await act('python3', ['-c', attack.replace('sleep(5)', 'sleep(0)').replace('exit 9', 'exit 10')])
      await sensor.alerts.first(({ process }) => process?.command_args?.[2] === 'exit 10')
      const lost = await sensor.metric('nightjar_events_lost_total')
      await sensor.stop()
      let seen = 0
      await readCapture(file, ({ type, process }) => {
        if (type === 'exec' && process?.command_args?.[1] === 'storm') seen++
      })
      process.stdout.write(`storm: ${made} execs in 10 s, ${seen} seen, ${lost} lost\n`)
      if (lost === 0) expect(seen).toBe(made)
      else expect(seen + lost).toBeGreaterThanOrEqual(made)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest('a process that lives under a millisecond is reported with its parent’s command line', async () => {
    const sensor = await startSensor()
    try {
      // vfork and exec of a static program: about 0.3 ms from fork to exit.
      const script =
        'import os,socket;s=socket.socket();s.bind(("127.0.0.1",0));s.listen();os.waitpid(os.posix_spawn("/bin/sh",["sh","-c",":"],{}),0)'
      await act('python3', ['-c', script, 'the-parent'])
      const alert = await sensor.alerts.first(({ process }) => process?.command_args?.[2] === ':')
      expect(alert.process?.ancestors?.[0]?.command_args?.slice(1)).toEqual(['-c', script, 'the-parent'])
    } finally {
      await sensor.stop()
    }
  })
})
