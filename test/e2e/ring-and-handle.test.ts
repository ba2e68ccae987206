import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { act, kernelTest, type Sensor, settled, startSensor } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-ring-'))
const program = join(directory, 'privilege')
const path = join(directory, 'kept/secret-of-the-ring')
let sensor: Sensor

beforeAll(async () => {
  chmodSync(directory, 0o755)
  execFileSync('gcc', ['-w', '-o', program, join(import.meta.dirname, 'privilege.c')])
  mkdirSync(join(directory, 'kept'))
  writeFileSync(path, 'x')
  writeFileSync(join(directory, 'kept/other'), 'x')
  symlinkSync('kept', join(directory, 'way'))
  const rule = {
    id: 'secret-opened',
    name: 'Opened',
    description: 'Opened',
    on: ['open'],
    when: { 'file.path': path },
    severity: 'low',
    message: '{file.path}',
  }
  writeFileSync(join(directory, 'pack.json'), JSON.stringify({ pack: 'ring', version: '1', rules: [rule] }))
  sensor = await startSensor({ args: ['--no-builtin-rules', '--rules', join(directory, 'pack.json')] })
}, 60_000)
afterAll(async () => {
  await sensor?.stop()
  rmSync(directory, { recursive: true })
})

describe('a file that is opened without a system call that names it is an open as any other', () => {
  const name = 'secret-of-the-ring'
  kernelTest.for([
    { how: 'by a ring, relative and through a link', args: ['ring', `way/../way/${name}`, 'inline'] },
    { how: 'by a ring’s worker', args: ['ring', path, 'worker'] },
    { how: 'by its handle', args: ['handle', path] },
  ])('$how', async ({ args }) => {
    const pid = await act(program, args, { cwd: directory })
    const alert = await sensor.alerts.first(({ process }) => process?.pid === pid)
    expect(alert.file).toMatchObject({ path, name, access: ['read'], type: 'regular' })
    expect(alert.file).not.toHaveProperty('requested_path')
  })

  kernelTest('and what no rule asks about is not sent', async () => {
    const before = await sensor.metric('nightjar_events_total{type="open"}')
    for (const how of ['inline', 'worker']) await act(program, ['ring', join(directory, 'kept/other'), how])
    await act(program, ['handle', join(directory, 'kept/other')])
    await settled(sensor)
    expect(await sensor.metric('nightjar_events_total{type="open"}')).toBe(before)
  })
})
