import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { openSpool, type Spool, type SpoolOptions, type SpoolSubscriber } from '../../exporters/spool.ts'
import type { SpoolReader } from '../../exporters/spool-reader.ts'
import { type Alert, type Severity, severities } from '../../sensor/alert.ts'
import { dispatched } from './dispatched.ts'
import { journal } from './journal.ts'
import { receiver, statuses } from './receiver.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'nightjar-spool-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  return path
}

async function open(directory: string, options: Partial<SpoolOptions> = {}) {
  const metrics = createMetrics()
  const logged = journal()
  const limits = { maxBytes: 16 * 1024 * 1024, maxAge: 3_600_000, patience: 0 }
  const spool = await openSpool({ directory, ...limits, metrics, log: logged.log, ...options })
  cleanups.push(spool.close)
  const sample = async (series: string) => {
    const line = (await metrics.registry.metrics()).split('\n').find((line) => line.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length + 1))
  }
  return { spool, journal: logged, sample }
}

async function attach(spool: Spool, subscriber: Partial<SpoolSubscriber> = {}): Promise<SpoolReader> {
  const [reader] = await spool.attach([{ name: 'soc', minSeverity: 'info', ...subscriber }])
  if (reader === undefined) throw new Error('no reader')
  return reader
}

/** So many, done with when read. */
async function take(reader: SpoolReader, count: number): Promise<void> {
  for (let taken = 0; taken < count; taken++) reader.done((await reader.next())?.sequence ?? 0, 1)
}

/** All that is there, done with when read. */
async function readAll(reader: SpoolReader): Promise<Alert[]> {
  const alerts: Alert[] = []
  for (let entry = await reader.next(); entry; entry = await reader.next()) {
    alerts.push(entry.alert)
    reader.done(entry.sequence, 1)
  }
  return alerts
}

const idsOf = (alerts: readonly Alert[]) => alerts.map(({ id }) => id)
const mixed = (count: number) =>
  Array.from({ length: count }, (_, index) => sampleAlert({ severity: severities[(index * 7) % 5] ?? 'low' }))
const segments = (directory: string) => readdirSync(directory).filter((file) => file.endsWith('.alerts'))

describe('a spool', () => {
  test('gives the alerts of all severities in the order in which they came, also while more come', async () => {
    const { spool } = await open(folder())
    const reader = await attach(spool)
    const alerts = mixed(500)
    const read: Alert[] = []
    for (const [index, alert] of alerts.entries()) {
      spool.append(alert)
      if (index % 3 === 0) read.push(...(await readAll(reader)))
    }
    read.push(...(await readAll(reader)))
    expect(idsOf(read)).toEqual(idsOf(alerts))
    expect(read[0]).toEqual(alerts[0])
    expect(reader.behind).toBe(0)
  })

  test('goes on after its process was killed where each receiver had come to', async () => {
    const directory = folder()
    const alerts = mixed(300)
    const first = await open(directory)
    const [fast, slow] = await first.spool.attach([
      { name: 'fast', minSeverity: 'info' },
      { name: 'slow', minSeverity: 'info' },
    ])
    for (const alert of alerts) first.spool.append(alert)
    for (let taken = 0; taken < 200; taken++) fast?.done((await fast.next())?.sequence ?? 0, 1)
    fast?.close()
    slow?.close()
    expect(await first.spool.close()).toBe(0)

    const second = await open(directory)
    const readers = await second.spool.attach([
      { name: 'slow', minSeverity: 'info' },
      { name: 'fast', minSeverity: 'info' },
      { name: 'new', minSeverity: 'info' },
    ])
    expect(readers.map(({ behind }) => behind)).toEqual([300, 100, 0])
    expect(await second.sample('nightjar_spool_alerts')).toBe(300)
    const more = sampleAlert()
    second.spool.append(more)
    const [slowly, fastly, newly] = await Promise.all(readers.map(readAll))
    expect(idsOf(slowly ?? [])).toEqual(idsOf([...alerts, more]))
    expect(idsOf(fastly ?? [])).toEqual(idsOf([...alerts.slice(200), more]))
    expect(newly).toEqual([more])
  })

  test('is kept off the disk by nobody: what all are done with is removed', async () => {
    const directory = folder()
    const { spool, sample } = await open(directory, { maxBytes: 4 * 1024 * 1024 })
    const reader = await attach(spool)
    for (let round = 0; round < 20; round++) {
      for (let count = 0; count < 100; count++) spool.append(sampleAlert({ severity: 'high' }))
      await readAll(reader)
    }
    expect(segments(directory).length).toBeLessThanOrEqual(1)
    expect(await sample('nightjar_spool_bytes')).toBeLessThan(64 * 1024)
    expect([await sample('nightjar_spool_alerts'), reader.behind]).toEqual([0, 0])
  })

  test('takes nothing that no receiver wants, and reads to nobody what is below his severity', async () => {
    const directory = folder()
    const { spool } = await open(directory)
    const reader = await attach(spool, { minSeverity: 'high', wants: ({ count }) => count > 1 })
    spool.append(bareAlert({ severity: 'medium', count: 5 }))
    spool.append(bareAlert({ severity: 'critical', count: 1 }))
    expect(segments(directory)).toEqual([])
    const wanted = bareAlert({ severity: 'high', count: 2 })
    spool.append(wanted)
    expect(await readAll(reader)).toEqual([wanted])
  })

  test('can be read by its owner alone', async () => {
    const directory = join(folder(), 'of', 'its', 'own')
    const { spool } = await open(directory)
    await attach(spool)
    spool.append(bareAlert())
    const modes = [directory, ...segments(directory).map((file) => join(directory, file))].map(
      (path) => statSync(path).mode,
    )
    expect(modes.map((mode) => mode & 0o077)).toEqual([0, 0])
  })

  test('keeps what waits while for a moment nobody is configured', async () => {
    const { spool } = await open(folder())
    await attach(spool)
    const alerts = mixed(10)
    for (const alert of alerts) spool.append(alert)
    const directory = spool.directory ?? ''
    await spool.attach([])
    expect(segments(directory)).not.toEqual([])
    await spool.close()
    const second = await open(directory)
    expect(idsOf(await readAll(await attach(second.spool)))).toEqual(idsOf(alerts))
  })

  test('of receivers that are exchanged loses nothing of what comes meanwhile', async () => {
    const { spool } = await open(folder())
    await attach(spool)
    const alerts = mixed(100)
    const attaching: Promise<SpoolReader>[] = []
    for (const alert of alerts) {
      spool.append(alert)
      attaching.push(attach(spool))
      await attaching.at(-1)
    }
    const reader = await attach(spool)
    expect(reader.behind).toBe(100)
    expect(idsOf(await readAll(reader))).toEqual(idsOf(alerts))
  })
})

describe('a full spool', () => {
  test('drops the oldest of the lowest severity, counts them, and keeps all critical ones', async () => {
    const directory = folder()
    const maxBytes = 1024 * 1024
    const { spool, journal, sample } = await open(directory, { maxBytes })
    const reader = await attach(spool)
    const critical = Array.from({ length: 100 }, () => sampleAlert({ severity: 'critical' }))
    const order: Severity[] = ['low', 'high', 'low']
    for (let round = 0; round < 1000; round++) {
      if (round % 10 === 0) spool.append(critical[round / 10] ?? sampleAlert())
      for (const severity of order) spool.append(sampleAlert({ severity }))
    }
    expect(await sample('nightjar_spool_bytes')).toBeLessThanOrEqual(maxBytes)
    const onDisk = segments(directory).reduce((sum, file) => sum + statSync(join(directory, file)).size, 0)
    expect(onDisk).toBeLessThanOrEqual(maxBytes)
    const read = await readAll(reader)
    expect(idsOf(read.filter(({ severity }) => severity === 'critical'))).toEqual(idsOf(critical))
    const lost = await sample('nightjar_export_failures_total{exporter="soc",reason="spool_full"}')
    expect(read.length + (lost ?? 0)).toBe(100 + 3000)
    expect(reader.behind).toBe(0)
    expect(JSON.parse(await journal.line('the spool is full'))).toMatchObject({ severity: 'low', exporters: ['soc'] })
  })

  test('of more severe alerts takes no other, and counts it', async () => {
    const { spool, sample } = await open(folder(), { maxBytes: 1024 * 1024 })
    const reader = await attach(spool)
    for (let count = 0; count < 1000; count++) spool.append(sampleAlert({ severity: 'critical' }))
    const evicted = (await sample('nightjar_export_failures_total{exporter="soc",reason="spool_full"}')) ?? 0
    for (let count = 0; count < 100; count++) spool.append(sampleAlert({ severity: 'low' }))
    const read = await readAll(reader)
    const lows = read.filter(({ severity }) => severity === 'low').length
    const lost = (await sample('nightjar_export_failures_total{exporter="soc",reason="spool_full"}')) ?? 0
    expect(read.length - lows + evicted).toBe(1000)
    expect(lows + lost - evicted).toBe(100)
    expect(lost).toBeGreaterThan(evicted)
  })

  test('while it is read: what is handed out and what is lost add up, whatever was buffered', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 3, maxLength: 12 }), async (steps) => {
        const directory = mkdtempSync(join(tmpdir(), 'nightjar-spool-'))
        const { spool, sample } = await open(directory, { maxBytes: 512 * 1024 })
        const reader = await attach(spool)
        let appended = 0
        let read = 0
        for (const [index, step] of steps.entries()) {
          for (let count = 0; count < step; count++, appended++)
            spool.append(sampleAlert({ severity: severities[(appended + index) % 5] ?? 'low' }))
          for (let count = 0; count < step / 3; count++) {
            const entry = await reader.next()
            if (entry === undefined) break
            reader.done(entry.sequence, 1)
            read++
          }
        }
        read += (await readAll(reader)).length
        const lost = (await sample('nightjar_export_failures_total{exporter="soc",reason="spool_full"}')) ?? 0
        expect([read + lost, reader.behind]).toEqual([appended, 0])
        await spool.close()
        rmSync(directory, { recursive: true })
      }),
      { numRuns: 15 },
    )
  })

  test('of old alerts forgets them after maxAge, and says so', async () => {
    const directory = folder()
    let time = 1_000_000
    const first = await open(directory, { now: () => time, maxAge: 60_000 })
    const reader = await attach(first.spool)
    for (const alert of mixed(10)) first.spool.append(alert)
    reader.close()
    await first.spool.close()
    time += 61_000
    const second = await open(directory, { now: () => time, maxAge: 60_000 })
    const again = await attach(second.spool)
    expect(again.behind).toBe(0)
    expect(segments(directory)).toEqual([])
    expect(await second.sample('nightjar_export_failures_total{exporter="soc",reason="expired"}')).toBe(10)
  })
})

describe('a spool that can not be written', () => {
  test('because another sensor has it leaves it alone: alerts wait in memory', async () => {
    const directory = folder()
    const program = `
      import { lockSpool } from ${JSON.stringify(join(import.meta.dirname, '../../exporters/spool-lock.ts'))}
      await lockSpool(${JSON.stringify(directory)}, 0)
      console.log('locked')
      process.stdin.resume()`
    const other = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cleanups.push(() => other.kill('SIGKILL'))
    await once(other.stdout, 'data')
    const second = await open(directory)
    expect(second.spool.directory).toBeUndefined()
    expect(await second.journal.line('another sensor has the spool')).toContain('exporters.spool.directory')
    const reader = await attach(second.spool)
    const alerts = mixed(20)
    for (const alert of alerts) second.spool.append(alert)
    expect(readdirSync(directory)).toEqual(['lock'])
    expect(await second.sample('nightjar_spool_durable')).toBe(0)
    expect(idsOf(await readAll(reader))).toEqual(idsOf(alerts))

    other.kill('SIGKILL')
    await once(other, 'exit')
    const third = await open(directory)
    expect(third.spool.directory).toBe(directory)
  })

  test('because its directory can not be listed keeps alerts in memory', async () => {
    const directory = folder()
    chmodSync(directory, 0o300)
    const isRoot = process.geteuid?.() === 0
    if (isRoot) chownSync(directory, 65534, 65534)
    if (isRoot) process.seteuid?.(65534)
    const { spool, journal } = await open(directory).finally(() => isRoot && process.seteuid?.(0))
    chmodSync(directory, 0o700)
    expect(JSON.parse(await journal.line("can't be written"))).toMatchObject({ err: { code: 'EACCES' } })
    const reader = await attach(spool)
    const alert = sampleAlert()
    spool.append(alert)
    expect(await readAll(reader)).toEqual([alert])
    const next = await open(directory)
    expect(next.spool.directory).toBe(directory)
  })

  test('keeps in memory no more than it may, the most severe, and tells at the end what is lost', async () => {
    const { spool, journal, sample } = await open('/proc/nightjar', { maxMemory: 256 * 1024 })
    expect(JSON.parse(await journal.line("can't be written"))).toMatchObject({ directory: '/proc/nightjar', level: 50 })
    const reader = await attach(spool)
    const critical = sampleAlert({ severity: 'critical' })
    spool.append(critical)
    for (let count = 0; count < 1000; count++) spool.append(sampleAlert({ severity: 'low' }))
    expect(await sample('nightjar_spool_bytes')).toBeLessThanOrEqual(256 * 1024)
    const entry = await reader.next()
    expect(entry?.alert).toEqual(critical)
    const { behind } = reader
    expect(await spool.close()).toBe(behind)
    expect(await sample('nightjar_export_failures_total{exporter="soc",reason="shutdown"}')).toBe(behind)
  })
})

describe('a spool whose directory is not free at the start', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    cleanups.push(() => vi.useRealTimers())
  })
  const later = () => vi.advanceTimersByTime(10_000)
  const takenOver = 'the spool can be written again'
  /** What a sensor finds that comes after one that was killed now. */
  const afterKill = (directory: string) => {
    const copy = folder()
    cpSync(directory, copy, { recursive: true })
    return open(copy)
  }

  test('takes it over when the other sensor has ended, and delivers what that one left', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    const left = mixed(30)
    for (const alert of left) first.spool.append(alert)
    await take(old, 10)
    const second = await open(directory)
    const reader = await attach(second.spool)
    const waiting = mixed(20)
    for (const alert of waiting) second.spool.append(alert)
    await take(reader, 5)
    old.close()
    await first.spool.close()

    later()
    await second.journal.line(takenOver)
    expect([second.spool.directory, await second.sample('nightjar_spool_durable')]).toEqual([directory, 1])
    expect(reader.behind).toBe(20 + 15)
    const more = mixed(10)
    for (const alert of more) second.spool.append(alert)
    const killed = await afterKill(directory)
    expect(idsOf(await readAll(await attach(killed.spool)))).toEqual(
      expect.arrayContaining(idsOf([...left.slice(10), ...waiting.slice(5), ...more])),
    )
    expect(idsOf(await readAll(reader))).toEqual(idsOf([...left.slice(10), ...waiting.slice(5), ...more]))
    expect(reader.behind).toBe(0)
    later()
    expect(await second.spool.close()).toBe(0)
    expect(second.journal.lines.filter((line) => line.includes(takenOver))).toHaveLength(1)
    expect(second.journal.lines.filter((line) => line.includes('another sensor has the spool'))).toHaveLength(1)
    const third = await open(directory)
    expect((await attach(third.spool)).behind).toBe(0)
  })

  test('takes it over when the process of the other sensor was killed', async () => {
    const directory = folder()
    const here = (path: string) => JSON.stringify(join(import.meta.dirname, path))
    const program = `
      import { createMetrics } from ${here('../../exporters/metrics.ts')}
      import { openSpool } from ${here('../../exporters/spool.ts')}
      import { sampleAlert } from ${here('sample.ts')}
      const limits = { maxBytes: 16 * 1024 * 1024, maxAge: 3_600_000 }
      const log = { info() {}, warn() {}, error() {} }
      const directory = ${JSON.stringify(directory)}
      const spool = await openSpool({ directory, ...limits, metrics: createMetrics(), log })
      await spool.attach([{ name: 'soc', minSeverity: 'info' }])
      const alerts = Array.from({ length: 20 }, () => sampleAlert())
      for (const alert of alerts) spool.append(alert)
      console.log(JSON.stringify(alerts.map(({ id }) => id)))
      process.stdin.resume()`
    const other = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cleanups.push(() => other.kill('SIGKILL'))
    const [left] = await once(other.stdout, 'data')
    const { spool, journal } = await open(directory)
    const reader = await attach(spool)
    const waiting = mixed(20)
    for (const alert of waiting) spool.append(alert)
    other.kill('SIGKILL')
    await once(other, 'exit')
    later()
    await journal.line(takenOver)
    expect(idsOf(await readAll(reader))).toEqual([...JSON.parse(String(left)), ...idsOf(waiting)])
  })

  test('whatever is read, done with or under way when it is taken over: each alert comes once, and a kill costs none', async () => {
    const few = fc.nat(40)
    const acts = fc.record({
      left: few,
      doneBefore: few,
      memory: few,
      handed: few,
      doneOfThem: few,
      more: few,
      taken: few,
    })
    await fc.assert(
      fc.asyncProperty(acts, async ({ left, doneBefore, memory, handed, doneOfThem, more, taken }) => {
        const directory = mkdtempSync(join(tmpdir(), 'nightjar-spool-'))
        const first = await open(directory)
        const old = await attach(first.spool)
        const alerts = mixed(left + memory + more)
        const done = new Set<string>()
        const order: string[] = []
        const underWay: { sequence: number; id: string }[] = []
        const take = async (from: SpoolReader, count: number) => {
          for (let taken = 0; taken < count; taken++) {
            const entry = await from.next()
            if (entry === undefined) return
            order.push(entry.alert.id)
            underWay.push({ sequence: entry.sequence, id: entry.alert.id })
          }
        }
        const finish = (from: SpoolReader, count: number) => {
          for (const { sequence, id } of underWay.splice(0, count)) {
            from.done(sequence, 1)
            done.add(id)
          }
        }
        for (const alert of alerts.slice(0, left)) first.spool.append(alert)
        await take(old, doneBefore)
        finish(old, doneBefore)
        old.close()
        const second = await open(directory)
        const reader = await attach(second.spool)
        for (const alert of alerts.slice(left, left + memory)) second.spool.append(alert)
        await take(reader, handed)
        finish(reader, doneOfThem)
        await first.spool.close()
        // One may be asked for while it is taken over.
        const asked = take(reader, 1)
        later()
        await second.journal.line(takenOver)
        await asked
        for (const alert of alerts.slice(left + memory)) second.spool.append(alert)
        await take(reader, taken)
        finish(reader, doneOfThem)
        reader.close()
        const killed = await afterKill(directory)
        const again = idsOf(await readAll(await attach(killed.spool)))
        expect(idsOf(alerts).filter((id) => !done.has(id) && !again.includes(id))).toEqual([])

        await take(reader, Number.POSITIVE_INFINITY)
        const ofTheOther = new Set(idsOf(alerts.slice(0, left)))
        expect(order.filter((id) => ofTheOther.has(id))).toEqual(idsOf(alerts.slice(0, left)))
        expect(order.filter((id) => !ofTheOther.has(id))).toEqual(idsOf(alerts.slice(left)))
        finish(reader, Number.POSITIVE_INFINITY)
        expect(reader.behind).toBe(0)
        expect(await second.spool.close()).toBe(0)
        const third = await open(directory)
        expect((await attach(third.spool)).behind).toBe(0)
        await third.spool.close()
        rmSync(directory, { recursive: true })
      }),
      { numRuns: 40 },
    )
  })

  test('takes it over at its own end, if not before: what waits in memory is there for the next', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    const left = mixed(10)
    for (const alert of left) first.spool.append(alert)
    const second = await open(directory)
    await second.spool.attach([
      { name: 'soc', minSeverity: 'info' },
      { name: 'new', minSeverity: 'info' },
    ])
    const waiting = mixed(10)
    for (const alert of waiting) second.spool.append(alert)
    old.close()
    await first.spool.close()
    expect(await second.spool.close()).toBe(0)
    const third = await open(directory)
    const readers = await third.spool.attach([
      { name: 'soc', minSeverity: 'info' },
      { name: 'new', minSeverity: 'info' },
    ])
    const [known, fresh] = await Promise.all(readers.map(readAll))
    expect([idsOf(known ?? []), idsOf(fresh ?? [])]).toEqual([idsOf([...left, ...waiting]), idsOf(waiting)])
  })

  test('gives a new receiver only what came since, and one that is exchanged meanwhile all that is left', async () => {
    const both: SpoolSubscriber[] = [
      { name: 'soc', minSeverity: 'info' },
      { name: 'new', minSeverity: 'info' },
    ]
    for (let turns = 0; turns < 20; turns++) {
      const directory = folder()
      const first = await open(directory)
      const old = await attach(first.spool)
      const left = Array.from({ length: 10 }, () => sampleAlert())
      for (const alert of left) first.spool.append(alert)
      old.done((await old.next())?.sequence ?? 0, 1)
      const second = await open(directory)
      await second.spool.attach(both)
      const waiting = mixed(10)
      for (const alert of waiting) second.spool.append(alert)
      old.close()
      await first.spool.close()
      later()
      for (let turn = 0; turn < turns; turn++) await setImmediate()
      const exchanged = second.spool.attach(both)
      await second.journal.line(takenOver)
      const [known, fresh] = await Promise.all((await exchanged).map(readAll))
      expect(idsOf(known ?? [])).toEqual(idsOf([...left.slice(1), ...waiting]))
      expect(idsOf(fresh ?? [])).toEqual(idsOf(waiting))
    }
  })

  test('does not deliver again what it delivered before, once it is done with what the other left', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    for (const alert of mixed(10)) first.spool.append(alert)
    const second = await open(directory)
    const reader = await attach(second.spool)
    for (const alert of mixed(10)) second.spool.append(alert)
    await readAll(reader)
    old.close()
    await first.spool.close()
    later()
    await second.journal.line(takenOver)
    await readAll(reader)
    reader.close()
    expect((await attach((await afterKill(directory)).spool)).behind).toBe(0)
  })

  test('keeps its place when alerts of its own and of the other are done with at once', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    for (const alert of mixed(10)) first.spool.append(alert)
    const second = await open(directory)
    const reader = await attach(second.spool)
    const own = mixed(20)
    for (const alert of own.slice(0, 5)) second.spool.append(alert)
    let through = 0
    const take = async (count: number) => {
      for (let taken = 0; taken < count; taken++) through = (await reader.next())?.sequence ?? 0
    }
    await take(5)
    old.close()
    await first.spool.close()
    later()
    await second.journal.line(takenOver)
    for (const alert of own.slice(5)) second.spool.append(alert)
    await take(10)
    reader.done(through, 5 + 10)
    reader.close()
    const killed = await afterKill(directory)
    expect(idsOf(await readAll(await attach(killed.spool)))).toEqual(idsOf(own.slice(5)))
    await take(15)
    reader.done(through, 15)
    reader.close()
    expect((await attach((await afterKill(directory)).spool)).behind).toBe(0)
  })

  test('keeps its place when the last of the other and alerts of its own are done with at once', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    for (const alert of mixed(10)) first.spool.append(alert)
    const second = await open(directory)
    const reader = await attach(second.spool)
    old.close()
    await first.spool.close()
    later()
    await second.journal.line(takenOver)
    for (const alert of mixed(5)) second.spool.append(alert)
    let through = 0
    for (let taken = 0; taken < 15; taken++) through = (await reader.next())?.sequence ?? 0
    reader.done(through, 15)
    reader.close()
    expect((await attach((await afterKill(directory)).spool)).behind).toBe(0)
  })

  test('forgets of what the other left what is too old, and counts it', async () => {
    const directory = folder()
    let time = Date.now()
    const first = await open(directory, { now: () => time, maxAge: 60_000 })
    const old = await attach(first.spool)
    for (const alert of mixed(10)) first.spool.append(alert)
    const second = await open(directory, { now: () => time, maxAge: 60_000 })
    const reader = await attach(second.spool)
    old.close()
    await first.spool.close()
    time += 61_000
    later()
    await second.journal.line(takenOver)
    expect([reader.behind, segments(directory)]).toEqual([0, []])
    expect(await second.sample('nightjar_export_failures_total{exporter="soc",reason="expired"}')).toBe(10)
  })

  test('drops of what the other left what is too much, the oldest first, and counts it', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    for (let count = 0; count < 1000; count++) first.spool.append(sampleAlert({ severity: 'low' }))
    const second = await open(directory, { maxBytes: 1024 * 1024 })
    const reader = await attach(second.spool)
    for (let count = 0; count < 100; count++) second.spool.append(sampleAlert({ severity: 'low' }))
    await take(reader, 50)
    old.close()
    await first.spool.close()
    later()
    await second.journal.line(takenOver)
    await take(reader, 50)
    const more = Array.from({ length: 600 }, () => sampleAlert({ severity: 'low' }))
    for (const alert of more) second.spool.append(alert)
    expect(await second.sample('nightjar_spool_bytes')).toBeLessThanOrEqual(1024 * 1024)
    const read = await readAll(reader)
    const lost = (await second.sample('nightjar_export_failures_total{exporter="soc",reason="spool_full"}')) ?? 0
    expect(lost).toBeGreaterThan(0)
    expect([50 + 50 + read.length + lost, reader.behind]).toEqual([1000 + 100 + 600, 0])
    expect(read.at(-1)).toEqual(more.at(-1))
  })

  test('keeps dead letters there from then on', async () => {
    const parent = join(folder(), 'not-a-directory')
    writeFileSync(parent, '')
    const soc = await receiver({ answer: statuses([400]) })
    cleanups.push(() => soc.close())
    const directory = join(parent, 'spool')
    const { webhook, journal, remove } = await dispatched({ url: soc.url }, { directory, patience: 0 })
    cleanups.push(remove)
    rmSync(parent)
    later()
    await journal.line(takenOver)
    webhook.send(sampleAlert())
    expect(JSON.parse(await journal.line('refused alerts')).file).toBe(join(directory, 'dead-letters.soc.jsonl'))
  })

  test('takes it as soon as it can be made', async () => {
    const parent = join(folder(), 'not-a-directory')
    writeFileSync(parent, '')
    const directory = join(parent, 'spool')
    const { spool, journal, sample } = await open(directory)
    await journal.line("can't be written")
    await attach(spool)
    const alerts = mixed(10)
    for (const alert of alerts) spool.append(alert)
    rmSync(parent)
    later()
    await journal.line(takenOver)
    expect(await sample('nightjar_spool_durable')).toBe(1)
    const killed = await afterKill(directory)
    expect(idsOf(await readAll(await attach(killed.spool)))).toEqual(idsOf(alerts))
  })

  test('leaves what is numbered beyond its own alerts, because the clock was set back, to the next start', async () => {
    const directory = folder()
    const first = await open(directory)
    const old = await attach(first.spool)
    const left = Array.from({ length: 1001 }, () => bareAlert())
    for (const alert of left) first.spool.append(alert)
    const second = await open(directory, { now: () => 1 })
    const reader = await attach(second.spool)
    const alert = bareAlert()
    second.spool.append(alert)
    old.close()
    await first.spool.close()
    later()
    await second.journal.line('the clock was set back')
    expect([await readAll(reader), await second.sample('nightjar_spool_durable')]).toEqual([[alert], 0])
    await second.spool.close()
    const third = await open(directory)
    expect(idsOf(await readAll(await attach(third.spool)))).toEqual(idsOf(left))
  })
})

describe('damage', () => {
  test('to the files: every alert that is whole is delivered, in order, and each damage is told once', async () => {
    const damage = fc.record({ file: fc.nat(), at: fc.nat(), bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 6 }), async (blows) => {
        const directory = mkdtempSync(join(tmpdir(), 'nightjar-spool-'))
        const alerts = mixed(150)
        const first = await open(directory, { maxBytes: 1024 * 1024 })
        const reader = await attach(first.spool)
        for (const alert of alerts) first.spool.append(alert)
        reader.close()
        await first.spool.close()
        const files = segments(directory)
        for (const { file, at, bytes } of blows) {
          const path = join(directory, files[file % files.length] ?? '')
          const contents = readFileSync(path)
          contents.set(bytes.subarray(0, contents.length - (at % contents.length)), at % contents.length)
          writeFileSync(path, contents)
        }
        const left = files.map((file) => readFileSync(join(directory, file), 'latin1')).join('')
        const whole = alerts.filter((alert) =>
          left.includes(` ${Buffer.from(JSON.stringify(alert)).toString('latin1')}\n`),
        )
        const second = await open(directory, { maxBytes: 1024 * 1024 })
        const again = await attach(second.spool)
        const read = await readAll(again)
        // A checksum or a number in front of a whole alert may be hit: it's one of those that are read, or told of.
        const told = (await second.sample('nightjar_spool_damaged_total')) ?? 0
        expect(idsOf(alerts).filter((id) => idsOf(read).includes(id))).toEqual(idsOf(read))
        expect(whole.length - read.length).toBeLessThanOrEqual(told)
        expect(again.behind).toBe(0)
        if (read.length < alerts.length) expect(told).toBeGreaterThan(0)
        await second.spool.close()
        rmSync(directory, { recursive: true })
      }),
      { numRuns: 40 },
    )
  })

  test('to a cursor: its receiver gets all that is there once more', async () => {
    const directory = folder()
    const first = await open(directory)
    const reader = await attach(first.spool)
    const alerts = mixed(10)
    for (const alert of alerts) first.spool.append(alert)
    await take(reader, 5)
    reader.close()
    await first.spool.close()
    writeFileSync(join(directory, 'cursor.soc'), '')
    const second = await open(directory)
    expect(idsOf(await readAll(await attach(second.spool)))).toEqual(idsOf(alerts))
    expect(JSON.parse(await second.journal.line('the cursor is damaged'))).toMatchObject({ exporter: 'soc' })
  })

  test('that happens while it runs is told, and what is behind it is delivered', async () => {
    const directory = folder()
    const { spool, sample } = await open(directory, { maxBytes: 64 * 1024 * 1024 })
    const reader = await attach(spool)
    const alerts = Array.from({ length: 200 }, () => sampleAlert({ severity: 'high' }))
    for (const alert of alerts) spool.append(alert)
    const path = join(directory, segments(directory)[0] ?? '')
    const contents = readFileSync(path)
    contents.fill(0, 100, 110)
    contents.fill(0, contents.length - 20)
    writeFileSync(path, contents)
    expect(idsOf(await readAll(reader))).toEqual(idsOf(alerts.slice(1, -1)))
    expect([await sample('nightjar_spool_damaged_total'), reader.behind]).toEqual([2, 0])
  })

  test('to a whole file, so that it can not be read: it is told and left alone, and all others are delivered', async () => {
    const directory = folder()
    const first = await open(directory)
    const reader = await attach(first.spool)
    const alerts = (['low', 'low', 'high', 'high', 'high'] as const).map((severity) => sampleAlert({ severity }))
    for (const alert of alerts) first.spool.append(alert)
    reader.close()
    await first.spool.close()
    const [file = ''] = segments(directory).filter((file) => file.startsWith('high'))
    const aside = join(directory, 'aside')
    renameSync(join(directory, file), aside)
    mkdirSync(join(directory, file))
    const second = await open(directory)
    const told = JSON.parse(await second.journal.line('damage in the spool'))
    expect(told).toMatchObject({ file, err: { code: 'EISDIR' } })
    expect(await second.sample('nightjar_spool_damaged_total')).toBe(1)
    const again = await attach(second.spool)
    const more = sampleAlert({ severity: 'high' })
    second.spool.append(more)
    const read = []
    for (let entry = await again.next(); entry; entry = await again.next()) read.push(entry.alert.id)
    expect(read).toEqual(idsOf([...alerts.filter(({ severity }) => severity !== 'high'), more]))
    expect(segments(directory)).toContain(file)
    await second.spool.close()

    rmSync(join(directory, file), { recursive: true })
    renameSync(aside, join(directory, file))
    const third = await open(directory)
    expect(idsOf(await readAll(await attach(third.spool)))).toEqual(idsOf([...alerts, more]))
  })
})
