import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { act, kernelTest, nightjar, output, type Sensor, settled, startSensor } from './sensor.ts'

const sensors: Sensor[] = []
const start = async (...args: Parameters<typeof startSensor>): Promise<Sensor> => {
  const sensor = await startSensor(...args)
  sensors.push(sensor)
  return sensor
}
afterEach(async () => {
  for (const sensor of sensors.splice(0)) await sensor.stop()
})

/** The bpftrace that a sensor started. */
const bpftraceOf = (sensor: Sensor): number => {
  const children = readFileSync(`/proc/${sensor.child.pid}/task/${sensor.child.pid}/children`, 'utf8')
  const found = children
    .split(' ')
    .find((pid) => pid !== '' && readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('bpftrace'))
  if (!found) throw new Error(`no bpftrace among ${children}`)
  return Number(found)
}
const isGone = (pid: number) => {
  try {
    return /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return true
  }
}

describe('the sensor lives, dies and comes back without a lie', () => {
  kernelTest('bpftrace killed: back by itself, the gap alerted with its length, and counted', async () => {
    const sensor = await start()
    const killed = Date.now()
    process.kill(bpftraceOf(sensor), 'SIGKILL')
    const alert = await sensor.alerts.first(({ rule }) => rule.id === 'sensor-gap')
    expect(alert.gap?.reason).toBe('probe_exited')
    expect(alert.gap?.seconds).toBeGreaterThan(0)
    expect(alert.gap?.seconds).toBeLessThan((alert.arrived - killed) / 1000 + 1)
    expect(alert.gap?.detail).toContain('SIGKILL')
    expect(await sensor.metric('nightjar_probe_restarts_total')).toBe(1)
    // The alert may be of a gap that goes on.
    await expect.poll(() => sensor.metric('nightjar_probe_up'), { timeout: 30_000 }).toBe(1)
    await act('bash', ['-c', 'exec -a seen-again sleep 0'])
    await expect.poll(() => sensor.metric('nightjar_events_total{type="exec"}')).toBeGreaterThan(0)
  })

  kernelTest('bpftrace stopped: noticed by its silence, replaced, and the gap alerted', async () => {
    const sensor = await start()
    const stopped = bpftraceOf(sensor)
    process.kill(stopped, 'SIGSTOP')
    const alert = await sensor.alerts.first(({ gap }) => gap?.reason === 'probe_stalled', 30_000)
    expect(alert.gap?.seconds).toBeGreaterThan(4)
    await expect.poll(() => isGone(stopped), { timeout: 30_000 }).toBe(true)
  })

  kernelTest('SIGTERM: exit code 0, and no bpftrace left', async () => {
    const sensor = await start()
    const bpftrace = bpftraceOf(sensor)
    expect(await sensor.stop()).toBe(0)
    expect(isGone(bpftrace)).toBe(true)
  })

  kernelTest('kill -9 of the sensor: its bpftrace ends by itself', async () => {
    const sensor = await start()
    const bpftrace = bpftraceOf(sensor)
    sensor.child.kill('SIGKILL')
    await sensor.exited
    await expect.poll(() => isGone(bpftrace), { timeout: 30_000 }).toBe(true)
  })

  kernelTest('a second sensor beside the first sees the same', async () => {
    const [first, second] = [await start(), await start()]
    const script =
      'import socket,subprocess;s=socket.socket();s.bind(("127.0.0.1",0));s.listen();subprocess.call(["sh","-c","exit 7"])'
    await act('python3', ['-c', script])
    for (const sensor of [first, second]) {
      const alert = await sensor.alerts.first(({ rule }) => rule.id === 'unexpected-child-process')
      expect(alert.process?.command_args).toEqual(['sh', '-c', 'exit 7'])
    }
  })

  kernelTest('/healthz and /readyz answer, and /metrics passes for Prometheus text', async () => {
    const sensor = await start()
    for (const page of ['healthz', 'readyz']) expect((await fetch(`${sensor.url}/${page}`)).status).toBe(200)
    const text = await (await fetch(`${sensor.url}/metrics`)).text()
    for (const line of text.split('\n').filter((line) => line !== ''))
      expect(line).toMatch(/^(# (HELP|TYPE) \S+ .*|[a-z0-9_]+(\{[^{}]*\})? \S+)$/)
  })

  test('while bpftrace is being attached it is healthy, so that nobody restarts it for that, and not ready', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-attaching-'))
    const slow = '#!/bin/sh\n[ "$1" != --version ] || { echo bpftrace v0.23.2; exit; }\nexec sleep 60\n'
    writeFileSync(join(directory, 'bpftrace'), slow, { mode: 0o755 })
    const env = { PATH: `${directory}:${process.env.PATH}` }
    const child = nightjar(['run', '--output', 'none', '--metrics', '127.0.0.1:0', '--no-builtin-rules'], { env })
    const ended = output(child)
    try {
      const address = await new Promise<string>((resolve, reject) => {
        child.stderr?.on('data', (text) => {
          const [, found] = /"address":"([^"]+)"/.exec(String(text)) ?? []
          if (found !== undefined) resolve(found)
        })
        ended.then(({ stderr }) => reject(new Error(stderr)))
      })
      const ask = async (page: string) => (await fetch(`http://${address}/${page}`)).status
      expect(await ask('healthz')).toBe(200)
      expect(await ask('readyz')).toBe(503)
    } finally {
      child.kill('SIGTERM')
      await ended
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest('SIGHUP takes over new rules, keeps the old ones when the new are bad, and says why', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-rules-'))
    const file = join(directory, 'own.json')
    const pack = (name: string) => ({
      pack: 'own',
      version: '1',
      rules: [
        {
          id: 'own-rule',
          name: 'Own rule',
          description: 'A program that a test runs.',
          on: ['exec'],
          when: { 'process.command_args': name },
          severity: 'low',
          message: 'seen {process.command_line}',
        },
      ],
    })
    try {
      writeFileSync(file, JSON.stringify(pack('before')))
      const sensor = await start({ args: ['--rules', directory] })
      await act('true', ['before'])
      await sensor.alerts.first(({ message }) => message === 'seen true before')
      writeFileSync(file, '{"pack": 3}')
      sensor.child.kill('SIGHUP')
      const refused = await sensor.log.first(({ msg }) => msg.startsWith('not reloaded'))
      expect(JSON.stringify(refused)).toContain('$.pack')
      await act('true', ['before', 'again'])
      await sensor.alerts.first(({ message }) => message === 'seen true before again')
      writeFileSync(file, JSON.stringify(pack('after')))
      sensor.child.kill('SIGHUP')
      await sensor.log.first(({ msg }) => msg.includes('reloaded;'))
      await act('true', ['after'])
      await sensor.alerts.first(({ message }) => message === 'seen true after')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest(
    'SIGHUP for its whole process group, as a terminal or timeout sends it, does not end bpftrace',
    async () => {
      const sensor = await start({ wrap: ['setsid'] })
      process.kill(-(sensor.child.pid ?? 0), 'SIGHUP')
      await sensor.log.first(({ msg }) => msg.includes('reloaded;'))
      await act('true', ['after the signal'])
      await settled(sensor)
      expect(await sensor.metric('nightjar_probe_restarts_total')).toBe(0)
      expect(await sensor.metric('nightjar_probe_up')).toBe(1)
    },
  )

  kernelTest('rules that change on disk hold soon, without a signal; bad ones leave the old in place', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-rules-'))
    const write = (name: string) => {
      const rule = {
        id: 'own',
        name: 'Own',
        description: 'A program.',
        severity: 'low',
        message: 'seen {process.command_line}',
      }
      const when = { 'process.command_args': name }
      const pack = { pack: 'own', version: '1', rules: [{ ...rule, on: ['exec'], when }] }
      writeFileSync(join(directory, 'own.json'), name === '' ? '{' : JSON.stringify(pack))
    }
    try {
      write('one')
      const sensor = await start({ args: ['--rules', directory] })
      write('two')
      await sensor.log.first(({ msg }) => msg.includes('reloaded;'))
      await act('true', ['two'])
      await sensor.alerts.first(({ message }) => message === 'seen true two')
      write('')
      await sensor.log.first(({ msg }) => msg.startsWith('not reloaded'))
      await act('true', ['two', 'again'])
      await sensor.alerts.first(({ message }) => message === 'seen true two again')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest('the time between two sensors is a gap that the second one tells', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-presence-'))
    const config = join(directory, 'config.json')
    writeFileSync(config, JSON.stringify({ presenceFile: join(directory, 'presence') }))
    try {
      const first = await start({ args: ['--config', config] })
      await expect.poll(() => existsSync(join(directory, 'presence'))).toBe(true)
      expect(first.alerts.all.filter(({ gap }) => gap)).toEqual([])
      await first.stop()
      const left = Date.now()
      // To be told from a sensor that takes over, an absence is three seconds or more.
      await setTimeout(3000)
      const second = await start({ args: ['--config', config] })
      const { gap, rule, arrived } = await second.alerts.first(({ gap }) => gap?.reason === 'sensor_absent')
      expect(rule.id).toBe('sensor-gap')
      expect(gap?.seconds).toBeGreaterThan(3)
      expect(gap?.seconds).toBeLessThan((arrived - left) / 1000 + 3)
      await second.stop() // it would make its file again, and the directory
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest('SIGHUP with rules on another type of event: the kernel program is exchanged', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-rules-'))
    const rule = (on: string, when: object) => ({
      id: `own-${on}`,
      name: 'Own rule',
      description: 'A program that a test runs.',
      on: [on],
      when,
      severity: 'low',
      message: `seen ${on}`,
    })
    const write = (...rules: object[]) =>
      writeFileSync(join(directory, 'own.json'), JSON.stringify({ pack: 'own', version: '1', rules }))
    try {
      const onExec = rule('exec', { 'process.command_args': 'marker-exec' })
      write(onExec)
      const sensor = await start({ args: ['--no-builtin-rules', '--rules', directory] })
      write(onExec, rule('connect', { 'process.command_args': 'marker-connect' }))
      const attached = () => sensor.log.all.filter(({ msg }) => msg === 'kernel probes attached').length
      sensor.child.kill('SIGHUP')
      await sensor.log.first(({ msg }) => msg.includes('reloaded;'), 30_000)
      expect(attached()).toBe(2)
      await act('python3', ['-c', 'import socket;socket.socket().connect_ex(("127.0.0.1",9))', 'marker-connect'])
      await sensor.alerts.first(({ message }) => message === 'seen connect')
      await act('true', ['marker-exec'])
      await sensor.alerts.first(({ message }) => message === 'seen exec')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest('events ends by itself when nobody reads it any more', async () => {
    const script = `"$0" sensor/main.ts events --type exec | head -n 1`
    const child = spawn('sh', ['-c', script, process.execPath], { stdio: ['ignore', 'pipe', 'pipe'] })
    const noise = setInterval(() => void act('true', []), 100)
    const { stdout } = await output(child)
    clearInterval(noise)
    expect(JSON.parse(stdout)).toMatchObject({ type: 'exec' })
  })

  kernelTest('a capture that its disk has no room for is no success: exit code 1', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', directory])
    try {
      const noise = setInterval(() => void act('true', []), 20)
      const { code, stderr } = await output(nightjar(['record', join(directory, 'capture'), '--duration', '2s']))
      clearInterval(noise)
      expect(stderr).toContain('the capture is not whole')
      expect(code).toBe(1)
    } finally {
      execFileSync('umount', [directory])
      rmSync(directory, { recursive: true })
    }
  })

  kernelTest('what it recorded raises the same alerts when it is replayed, without privileges', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nightjar-capture-'))
    const file = join(directory, 'capture')
    try {
      const sensor = await start({ args: ['--record', file] })
      const script =
        'import socket,subprocess;s=socket.socket();s.bind(("127.0.0.1",0));s.listen();subprocess.call(["sh","-c","exit 8"])'
      await act('python3', ['-c', script])
      await sensor.alerts.first(({ rule }) => rule.id === 'unexpected-child-process')
      await sensor.stop()
      execFileSync('chmod', ['-R', 'a+rX', directory])
      const wrap = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
      const { code, stdout } = await output(nightjar(['replay', file, '--output', 'json'], { wrap }))
      expect(code).toBe(0)
      const comparable = ({ id: _, arrived: __, sensor: ___, ...alert }: Record<string, unknown>) => alert
      const replayed = stdout
        .trimEnd()
        .split('\n')
        .map((line) => comparable(JSON.parse(line)))
      expect(replayed).toEqual(sensor.alerts.all.map((alert) => comparable({ ...alert })))
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
