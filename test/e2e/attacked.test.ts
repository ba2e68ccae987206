import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import { act, kernelTest, type Sensor, settled, startSensor } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-attacked-'))
const program = join(directory, 'privilege')
let sensor: Sensor
let node = 0
let bpftrace = 0

beforeAll(async () => {
  chmodSync(directory, 0o755)
  execFileSync('gcc', ['-w', '-o', program, join(import.meta.dirname, 'privilege.c')])
  sensor = await startSensor({ packs: ['sensor'] })
  node = sensor.child.pid ?? 0
  const attached = await sensor.log.first(({ msg }) => msg === 'kernel probes attached')
  bpftrace = Number(attached.pid)
}, 60_000)
afterAll(async () => {
  await sensor?.stop()
  rmSync(directory, { recursive: true })
})

const alertOf = (id: string, pid: number) =>
  sensor.alerts.first(({ rule, process }: Alert) => rule.id === id && process?.pid === pid)
/** Sends these signals one after the other, from a process of its own. */
const signal = (target: number, ...numbers: number[]) =>
  act('python3', [
    '-c',
    'import os,sys\nfor one in sys.argv[2:]: os.kill(int(sys.argv[1]),int(one))',
    String(target),
    ...numbers.map(String),
  ])

const SIGHUP = 1
const SIGUSR1 = 10
const SIGCONT = 18
const SIGSTOP = 19

describe('who goes for the sensor is told of', () => {
  kernelTest('stopping its bpftrace for a moment', async () => {
    const alert = await alertOf('sensor-signalled', await signal(bpftrace, SIGSTOP, SIGCONT))
    expect(alert).toMatchObject({
      severity: 'critical',
      signal: { name: 'SIGSTOP', number: SIGSTOP },
      target: { pid: bpftrace, name: 'bpftrace', sensor: true },
    })
  })

  kernelTest('stopping the sensor itself: as soon as it goes on', async () => {
    const alert = await alertOf('sensor-signalled', await signal(node, SIGSTOP, SIGCONT))
    expect(alert.target).toMatchObject({ pid: node, sensor: true })
  })

  kernelTest('asking it for a debugger, which it does not open', async () => {
    const alert = await alertOf('sensor-signalled', await signal(node, SIGUSR1))
    expect(alert).toMatchObject({ signal: { name: 'SIGUSR1' }, target: { pid: node, sensor: true } })
    await sensor.log.first(({ msg }) => msg === 'a debugger was asked for, and is not opened')
    expect(sensor.log.all.filter(({ msg }) => msg.startsWith('Debugger listening'))).toEqual([])
  })

  kernelTest('a thread of it, which is the same process', async () => {
    const tasks = readFileSync(`/proc/${node}/status`, 'utf8')
    expect(Number(/^Threads:\t(\d+)/m.exec(tasks)?.[1])).toBeGreaterThan(1)
    const script =
      'import os,sys,ctypes;p=int(sys.argv[1]);t=max(int(one) for one in os.listdir(f"/proc/{p}/task"));ctypes.CDLL(None).syscall(234,p,t,13)'
    const alert = await alertOf('sensor-signalled', await act('python3', ['-c', script, String(node)]))
    expect(alert).toMatchObject({ signal: { name: 'SIGPIPE' }, target: { pid: node, sensor: true } })
  })

  kernelTest('reading its memory, by the call and by the file', async () => {
    const call = await alertOf('sensor-traced', await act(program, ['memory', String(node)]))
    expect(call).toMatchObject({ ptrace: { request: 'process_vm_readv' }, target: { pid: node, sensor: true } })
    const script = 'import sys;open(f"/proc/{sys.argv[1]}/mem","rb")'
    const file = await alertOf('sensor-traced', await act('python3', ['-c', script, String(bpftrace)]))
    expect(file).toMatchObject({
      file: { path: `/proc/${bpftrace}/mem`, filesystem: 'proc' },
      target: { pid: bpftrace, sensor: true },
    })
  })

  kernelTest('putting something else in the place of tracefs', async () => {
    const command = 'mount -t tmpfs none /sys/kernel/tracing'
    await act('unshare', ['--mount', 'sh', '-c', command])
    const alert = await sensor.alerts.first(({ rule }) => rule.id === 'sensor-blinded')
    expect(alert.process?.command_line).toBe(command)
    expect(alert.mount).toMatchObject({ operation: 'mount', target: '/sys/kernel/tracing', filesystem: 'tmpfs' })
  })
})

describe('what is no attack raises nothing', () => {
  kernelTest('having it read its rules anew, and looking at it with ps', async () => {
    const before = sensor.alerts.all.length
    await signal(node, SIGHUP)
    await sensor.log.first(({ msg }) => String(msg).startsWith('rules and receivers reloaded'))
    await act('ps', ['-p', String(node), '-o', 'pid,stat,args'])
    await settled(sensor)
    expect(sensor.alerts.all.slice(before).filter(({ rule }) => rule.pack === 'sensor')).toEqual([])
  })

  kernelTest('the sensor’s own work: no alert so far is about what it did', async () => {
    const own = sensor.alerts.all.filter(({ process }) => process?.pid === node || process?.pid === bpftrace)
    expect(own).toEqual([])
  })
})
