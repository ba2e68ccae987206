import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { checks, requirements } from '../../sensor/requirements.ts'
import { kernelTest, nightjar, output, root } from '../e2e/sensor.ts'
import { asNobody, canBeNobody } from './nobody.ts'

kernelTest('a machine that has all that the sensor needs has no remedy to take', async () => {
  const found = await checks()
  expect(found.filter(({ ok }) => ok === false)).toEqual([])
  expect(found.map(({ name }) => name)).toEqual([
    ...['kernel', 'privileges', 'BTF', 'tracefs', 'kernel lockdown', 'bpftrace', 'perf events', 'cgroups'],
  ])
  await requirements()
})

kernelTest('doctor attaches the whole program for a moment, and exits 0', async () => {
  const { code, stdout } = await output(nightjar(['doctor', '--output', 'json']))
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.find(({ name }) => name === 'kernel probes')).toMatchObject({
    ok: true,
    found: expect.stringMatching(
      /^through tracepoint(,kprobe)?, attached in [\d.]+ s(; not watched on this kernel: .*)?$/,
    ),
  })
  expect(code).toBe(0)
})

kernelTest(
  'a tracefs without a file in it, as a kernel makes it that is locked down, need not be mounted again',
  async () => {
    // There are directories of tracefs that are empty, such as that of instances.
    const found = await checks({ tracefs: '/sys/kernel/tracing/instances' })
    expect(found.find(({ name }) => name === 'tracefs')).toMatchObject({
      ok: false,
      found: 'an empty tracefs at /sys/kernel/tracing/instances',
      remedy: expect.stringContaining('lockdown=integrity'),
    })
  },
)

describe('where the kernel calls itself paranoid (kernel.perf_event_paranoid above 2)', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-paranoid-'))
  const file = join(directory, 'perf_event_paranoid')
  writeFileSync(file, '3\n')
  afterAll(() => rmSync(directory, { recursive: true }))

  /** The check, as a process finds it that is left these capabilities. */
  const perfEvents = async (...capabilities: string[]) => {
    const script = `const { checks } = await import('${join(root, 'sensor/requirements.ts')}')
      console.log(JSON.stringify((await checks({ paranoid: '${file}' })).find(({ name }) => name === 'perf events')))`
    const left = ['-all', ...capabilities.map((one) => `+${one}`)].join()
    const child = spawn('setpriv', [`--bounding-set=${left}`, process.execPath, '--eval', script])
    return JSON.parse((await output(child)).stdout)
  }
  const found = 'kernel.perf_event_paranoid 3'

  kernelTest('whether that means anything is tried', async () => {
    const trial = spawn('setpriv', ['--bounding-set=-all,+bpf,+perfmon', 'bpftrace', '-e', 'interval:s:1 { exit(); }'])
    const ok = (await output(trial)).code === 0
    expect(await perfEvents('bpf', 'perfmon')).toMatchObject({ ok, found: expect.stringContaining(found) })
  })

  kernelTest('with SYS_ADMIN, or without what it takes in any case, there is nothing to try', async () => {
    expect(await perfEvents('sys_admin')).toEqual({ name: 'perf events', found })
    expect(await perfEvents('bpf')).toEqual({ name: 'perf events', found })
  })
})

describe.skipIf(!canBeNobody)('an unprivileged user (needs root, to become one)', () => {
  test('is told by doctor what is missing and what to do; exit code 1', async () => {
    const { code, stdout } = await output(nightjar(['doctor'], { wrap: asNobody }))
    expect(code).toBe(1)
    expect(stdout).toMatch(/^MISS {2}privileges +uid 65534, neither CAP_BPF nor CAP_PERFMON$/m)
    expect(stdout).toMatch(/^ +run as root \(sudo npm start\), or give the process CAP_BPF and CAP_PERFMON$/m)
    expect(stdout).not.toContain('kernel probes')
  })

  test('is told the same as JSON, one object a line', async () => {
    const { code, stdout } = await output(nightjar(['doctor', '--output', 'json'], { wrap: asNobody }))
    expect(code).toBe(1)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.filter(({ ok }) => ok === false).map(({ name }) => name)).toContain('privileges')
  })

  test.each([['run'], ['events']])('can not %s: exit code 1, the remedy, and the way to the demo', async (command) => {
    const { code, stdout, stderr } = await output(nightjar([command], { wrap: asNobody }))
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain(
      'privileges: found uid 65534, neither CAP_BPF nor CAP_PERFMON; run as root (sudo npm start)',
    )
    expect(stderr).toContain('npm run demo')
  })
})

describe('without bpftrace on PATH', () => {
  test('run says how to get it; exit code 1', async () => {
    const { code, stderr } = await output(nightjar(['run'], { env: { PATH: '/nonexistent' } }))
    expect(code).toBe(1)
    expect(stderr).toContain('bpftrace: found none on PATH; install it: apt-get install bpftrace')
    expect(stderr).toContain('npm run demo')
  })

  test('doctor goes on to the other checks; exit code 1', async () => {
    const { code, stdout } = await output(nightjar(['doctor'], { env: { PATH: '/nonexistent' } }))
    expect(code).toBe(1)
    expect(stdout).toMatch(/^MISS {2}bpftrace +none on PATH$/m)
    expect(stdout).toMatch(/^ +cgroups +v/m)
  })
})
