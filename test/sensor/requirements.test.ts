import { describe, expect, test } from 'vitest'
import { checks, requirements } from '../../sensor/requirements.ts'
import { kernelTest, nightjar, output } from '../e2e/sensor.ts'
import { asNobody, canBeNobody } from './nobody.ts'

kernelTest('a machine that has all that the sensor needs has no remedy to take', async () => {
  const found = await checks()
  expect(found.filter(({ ok }) => ok === false)).toEqual([])
  expect(found.map(({ name }) => name)).toEqual([
    ...['kernel', 'privileges', 'BTF', 'tracefs', 'kernel lockdown', 'bpftrace', 'cgroups'],
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
