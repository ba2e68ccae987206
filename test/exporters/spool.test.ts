import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { openSpool, type Spool, type SpoolOptions, type SpoolSubscriber } from '../../exporters/spool.ts'
import type { SpoolReader } from '../../exporters/spool-reader.ts'
import { type Alert, type Severity, severities } from '../../sensor/alert.ts'
import { journal } from './journal.ts'
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
    for (let taken = 0; taken < 5; taken++) reader.done((await reader.next())?.sequence ?? 0, 1)
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
})
