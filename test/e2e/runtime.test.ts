/**
 * A real container runtime at its work: it mounts, makes devices, changes capabilities and enters namespaces in the
 * container's own cgroup, before the container's program begins. None of that is the container's doing.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { act, kernelTest, type Sensor, settled, startSensor } from './sensor.ts'

const has = spawnSync('runc', ['--version']).status === 0
if (!has) process.stderr.write('no test with a container runtime here: there is no runc\n')
const runtimeTest = has || process.env.CI === 'true' ? kernelTest : test.skip

const own = `nightjar-runtime-${process.pid}`
const id = process.pid.toString(16).padStart(64, '0')
const bundle = mkdtempSync(join(tmpdir(), `${own}-`))
let sensor: Sensor

/** A program of the machine with the libraries that it is linked to, under another path in the container. */
function bring(program: string, path: string): void {
  const libraries = execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? []
  for (const [from, to] of [[program, path], ...libraries.map((library) => [library, library])]) {
    const target = join(bundle, 'rootfs', to ?? '')
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(from ?? '', target)
  }
}

/** The directories that are left of the container's cgroup, in every hierarchy. */
function removeCgroups(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(join(directory, entry.name))
  }
  rmdirSync(directory)
}

beforeAll(async () => {
  if (!has) return
  bring('/usr/bin/dash', '/bin/sh')
  bring('/usr/bin/sleep', '/bin/sleep')
  bring('/usr/bin/true', '/bin/useradd')
  execFileSync('runc', ['spec'], { cwd: bundle })
  const spec = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8'))
  spec.process.terminal = false
  spec.process.args = ['/bin/sleep', '60']
  spec.linux.cgroupsPath = `/${own}/kubepods/besteffort/pod11111111-2222-3333-4444-555555555555/${id}`
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec))
  sensor = await startSensor({ packs: 'all', patience: 100_000 })
}, 110_000)
afterAll(async () => {
  await sensor?.stop()
  spawnSync('runc', ['delete', '--force', own])
  rmSync(bundle, { recursive: true })
  const roots = readdirSync('/sys/fs/cgroup', { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const root of ['', ...roots.map(({ name }) => name)]) {
    const directory = join('/sys/fs/cgroup', root, own)
    if (readdirSync(dirname(directory)).includes(own)) removeCgroups(directory)
  }
})

describe('a container that runc makes', () => {
  runtimeTest(
    'raises nothing while it is made and while a program is started in it, and is watched all the same',
    async () => {
      const mine = () => sensor.alerts.all.filter(({ container }) => container?.id === id)
      await act('runc', ['run', '--detach', '--bundle', bundle, own])
      await act('runc', ['exec', own, '/bin/sh', '-c', 'true'])
      await settled(sensor)
      expect(mine().map(({ rule, message }) => `${rule.id}: ${message}`)).toEqual([])

      await act('runc', ['exec', own, '/bin/sh', '-c', 'useradd x; true'])
      await sensor.alerts.first(({ container }) => container?.id === id)
      await settled(sensor)
      expect(mine().map(({ rule }) => rule.id)).toContain('account-tool-in-container')
    },
  )
})
