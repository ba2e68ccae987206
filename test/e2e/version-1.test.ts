/** Nodes with control groups of version 1, whose runtime makes a container's there alone. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { act, kernelTest, type Sensor, startSensor } from './sensor.ts'

const version1 = '/sys/fs/cgroup/memory'
const directory = mkdtempSync(join(tmpdir(), 'nightjar-version-1-'))
/** One for each test: a rule tells once what happens again. */
const [earlySecret, lateSecret] = [join(directory, 'early'), join(directory, 'late')]
const id = randomBytes(32).toString('hex')
const base = join(version1, `nightjar-${process.pid}`)
const cgroup = join(base, 'kubepods/burstable', `pod${randomUUID()}`, id)
const ruleOn = (id: string, path: string) => ({
  ...{ id, name: 'R', on: ['open'], severity: 'low', message: 'm' },
  when: { 'file.path': path, 'container.id': { exists: true } },
})
const rules = [ruleOn('early', earlySecret), ruleOn('late', lateSecret)]
const joining = `echo $$ > ${cgroup}/cgroup.procs`

/** Where the sensor sees no cgroups of version 2. */
const without2 = ['unshare', '--mount', 'sh', '-ec', 'umount --types cgroup2 --all; exec "$@"', 'sh']

describe.skipIf(!existsSync(join(version1, 'cgroup.procs')))('a container with cgroups of version 1 alone', () => {
  beforeAll(() => {
    for (const secret of [earlySecret, lateSecret]) writeFileSync(secret, 'secret\n')
    writeFileSync(join(directory, 'rules.json'), JSON.stringify({ pack: 'version-1', version: '1.0.0', rules }))
    mkdirSync(cgroup, { recursive: true })
  })
  afterAll(() => {
    for (let one = cgroup; one !== version1; one = dirname(one)) rmdirSync(one)
    rmSync(directory, { recursive: true })
  })

  describe.each([
    ['beside those of version 2', []],
    ['on a node without version 2', without2],
  ])('%s', (_, wrap) => {
    let sensor: Sensor
    let early: ChildProcess
    beforeAll(async () => {
      // It is there before the sensor, and reads when it is told to.
      early = spawn('sh', ['-ec', `${joining}; echo; read x; cat ${earlySecret}`], {
        stdio: ['pipe', 'pipe', 'ignore'],
      })
      if (early.stdout) await once(early.stdout, 'data')
      sensor = await startSensor({
        packs: [],
        args: ['--no-builtin-rules', '--rules', join(directory, 'rules.json')],
        wrap,
      })
    }, 60_000)
    afterAll(async () => {
      early.kill('SIGKILL')
      await sensor?.stop()
    })

    /** What is started in the container has ended before anybody could ask for it. */
    const isToldOf = async (shell: number | undefined) => {
      const alert = await sensor.alerts.first(({ process }) => process?.ppid === shell)
      expect(alert.process?.name).toBe('cat')
      expect(alert.container?.id).toBe(id)
    }

    kernelTest('is known if it was there before the sensor', async () => {
      const ended = once(early, 'close')
      early.stdin?.write('\n')
      await ended
      await isToldOf(early.pid)
    })

    // As a runtime does it: a process that lives on is put there.
    kernelTest('is known if it is made afterwards', async () => {
      await isToldOf(await act('sh', ['-ec', `${joining}; sleep 1; cat ${lateSecret}`]))
    })
  })
})
