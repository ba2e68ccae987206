import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openCgroups } from '../../enrich/cgroups.ts'
import { containerOf } from '../../enrich/containers.ts'

const id = '2b4bb781a7e866728ca2b8d1758f79ecbcda529fa4e6a4ddeb00ba85b0596170'
const podUid = '058a67e1-9146-4dee-9534-0671cbbdf0b6'
const hierarchy = openCgroups().hierarchy ?? ''
const canMakeCgroups = hierarchy !== '' && process.getuid?.() === 0

describe.skipIf(!canMakeCgroups)('real cgroups (needs root and a cgroup2 mount)', () => {
  const own = `/nightjar-test-${process.pid}`
  const leaf = `${own}/kubepods/besteffort/pod${podUid}/${id}`
  let now = 1_000
  let walks = 0
  const clock = () => now
  const open = (root?: string) => openCgroups({ root, clock, onWalk: () => walks++ })

  beforeEach(() => {
    now = 1_000
    walks = 0
    mkdirSync(hierarchy + leaf, { recursive: true })
  })
  afterEach(() => removeCgroup(hierarchy + own))

  const idOf = (path: string) => String(statSync(hierarchy + path, { bigint: true }).ino)

  test('what is there at the start is known, without another walk', () => {
    const cgroups = open()
    expect(cgroups.pathOf({ cgroupId: idOf(leaf) })).toBe(leaf)
    expect(cgroups.pathOf({ cgroupId: idOf('') })).toBe('/')
    expect(walks).toBe(1)
  })

  test('a cgroup that nobody announced is found by one walk, which finds its siblings too', () => {
    const cgroups = open()
    mkdirSync(`${hierarchy}${leaf}/init.scope`)
    mkdirSync(`${hierarchy}${leaf}/app.scope`)
    expect(cgroups.pathOf({ cgroupId: idOf(`${leaf}/init.scope`) })).toBe(`${leaf}/init.scope`)
    expect(cgroups.pathOf({ cgroupId: idOf(`${leaf}/app.scope`) })).toBe(`${leaf}/app.scope`)
    expect(walks).toBe(2)
  })

  test('an announced cgroup is known without a walk, also when it is gone already', () => {
    const cgroups = open()
    cgroups.made('999999999', `${own}/short`)
    expect(cgroups.pathOf({ cgroupId: '999999999' })).toBe(`${own}/short`)
    expect(walks).toBe(1)
  })

  test('a removed cgroup stays known for the last events of its processes', () => {
    const cgroups = open()
    const gone = idOf(leaf)
    removeCgroup(hierarchy + leaf)
    cgroups.removed(gone)
    now += 10_000
    expect(cgroups.pathOf({ cgroupId: gone })).toBe(leaf)
    expect(walks).toBe(1)
  })

  test('unknown ids walk four times at once, then every 250 ms, and each at most once a second', () => {
    const cgroups = open()
    for (let unknown = 0; unknown < 100; unknown++) cgroups.pathOf({ cgroupId: `9999${unknown}` })
    expect(walks).toBe(1 + 4)
    now += 250
    cgroups.pathOf({ cgroupId: '99990' })
    expect(walks).toBe(5)
    cgroups.pathOf({ cgroupId: '999950' })
    cgroups.pathOf({ cgroupId: '999951' })
    expect(walks).toBe(6)
    now += 750
    cgroups.pathOf({ cgroupId: '99990' })
    expect(walks).toBe(7)
  })

  test('the hierarchy of the host may be mounted elsewhere', () => {
    expect(open(hierarchy).pathOf({ cgroupId: idOf(leaf) })).toBe(leaf)
    expect(open(`${hierarchy}/`).hierarchy).toBe(hierarchy)
    if (hierarchy === '/sys/fs/cgroup/unified') expect(open('/sys/fs/cgroup').hierarchy).toBe(hierarchy)
  })

  test('where no v2 hierarchy is mounted, a process in a container is found by /proc, and stays known after its end', async () => {
    const cgroups = open('/nonexistent')
    expect(cgroups.hierarchy).toBeUndefined()
    const child = await sleeping()
    const where = { cgroupId: '1', pid: child.pid, startTime: 1 }
    expect(containerOf(cgroups.pathOf(where) ?? '')).toBeUndefined()
    now += 100
    writeFileSync(`${hierarchy}${leaf}/cgroup.procs`, String(child.pid))
    expect(containerOf(cgroups.pathOf(where) ?? '')).toEqual({ id, podUid })
    await ended(child)
    expect(containerOf(cgroups.pathOf(where) ?? '')).toEqual({ id, podUid })
    expect(cgroups.pathOf({ ...where, startTime: 2 })).toBeUndefined()
  })
})

describe('without a v2 hierarchy', () => {
  let proc = ''
  beforeEach(() => {
    proc = mkdtempSync(join(tmpdir(), 'nightjar-proc-'))
    mkdirSync(join(proc, 'self'))
    mkdirSync(join(proc, '42'))
  })
  afterEach(() => rmSync(proc, { recursive: true }))

  test('v1: the controller that names a container counts', () => {
    writeFileSync(join(proc, 'self/mountinfo'), '32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n')
    writeFileSync(join(proc, '42/cgroup'), `3:cpuset:/\n2:cpu,cpuacct:/kubepods/besteffort/pod${podUid}/${id}\n0::/\n`)
    const cgroups = openCgroups({ proc })
    expect(cgroups.hierarchy).toBeUndefined()
    expect(containerOf(cgroups.pathOf({ cgroupId: '1', pid: 42 }) ?? '')).toEqual({ id, podUid })
  })

  test('a process of the host has the path of the v2 line, or of the first', () => {
    writeFileSync(join(proc, '42/cgroup'), '3:cpuset:/\n0::/system.slice/ssh.service\n')
    expect(openCgroups({ proc }).pathOf({ pid: 42 })).toBe('/system.slice/ssh.service')
    writeFileSync(join(proc, '42/cgroup'), '1:name=systemd:/user.slice\n')
    expect(openCgroups({ proc }).pathOf({ pid: 42 })).toBe('/user.slice')
  })

  test('a process of the host is asked for again after 100 ms, as it may enter its container; one in a container never', () => {
    const says = (line: string) => writeFileSync(join(proc, '42/cgroup'), `${line}\n`)
    let now = 0
    const cgroups = openCgroups({ proc, clock: () => now })
    const path = () => cgroups.pathOf({ pid: 42, startTime: 1 })
    says('4:memory:/')
    expect(path()).toBe('/')
    says(`4:memory:/docker/${id}`)
    now += 99
    expect(path()).toBe('/')
    now += 1
    expect(path()).toBe(`/docker/${id}`)
    says('4:memory:/')
    now += 1_000
    expect(path()).toBe(`/docker/${id}`)
  })

  test('a container is not remembered by a number alone, which another process may have next', () => {
    let now = 0
    const cgroups = openCgroups({ proc, clock: () => now })
    writeFileSync(join(proc, '42/cgroup'), `4:memory:/docker/${id}\n`)
    expect(cgroups.pathOf({ pid: 42 })).toBe(`/docker/${id}`)
    writeFileSync(join(proc, '42/cgroup'), '4:memory:/\n')
    now += 100
    expect(cgroups.pathOf({ pid: 42 })).toBe('/')
  })

  test('nobody is asked for where /proc has other numbers than the kernel', () => {
    writeFileSync(join(proc, '42/cgroup'), '4:memory:/\n')
    expect(openCgroups({ proc, seesAll: false }).pathOf({ pid: 42 })).toBeUndefined()
  })

  test('a process that is gone, or no process: not known', () => {
    expect(openCgroups({ proc }).pathOf({ cgroupId: '1', pid: 43 })).toBeUndefined()
    expect(openCgroups({ proc }).pathOf({})).toBeUndefined()
  })
})

describe('where the v2 hierarchy is mounted', () => {
  let proc = ''
  beforeEach(() => {
    proc = mkdtempSync(join(tmpdir(), 'nightjar-proc-'))
    mkdirSync(join(proc, 'self'))
  })
  afterEach(() => rmSync(proc, { recursive: true }))

  test.each([
    ['v2', ['28 24 0:25 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate'], '/sys/fs/cgroup'],
    [
      'hybrid',
      [
        '32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
        '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
      ],
      '/sys/fs/cgroup/unified',
    ],
    [
      'another mount beside the usual one',
      ['50 1 0:25 / /run/cilium/cgroupv2 rw - cgroup2 none rw', '28 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw'],
      '/sys/fs/cgroup',
    ],
    [
      'only the own part at the usual place, the whole elsewhere',
      [
        '28 24 0:25 /kubepods/podx /sys/fs/cgroup ro - cgroup2 cgroup rw',
        '50 1 0:25 / /host/my\\040cgroups ro - cgroup2 cgroup rw',
      ],
      '/host/my cgroups',
    ],
    ['v1 only', ['32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu'], undefined],
  ])('%s', (_, lines, expected) => {
    writeFileSync(join(proc, 'self/mountinfo'), `${lines.join('\n')}\n`)
    expect(openCgroups({ proc }).hierarchy).toBe(expected)
  })
})

function removeCgroup(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(directory, entry.name))
  }
  rmdirSync(directory)
}

async function sleeping(): Promise<ChildProcess> {
  const child = spawn('sleep', ['60'])
  await once(child, 'spawn')
  return child
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}
