/** The spool on a real file system that is full, or can't be written. Mounting one needs root. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { dispatched } from './dispatched.ts'
import { receiver } from './receiver.ts'
import { sampleAlert } from './sample.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A file system of its own, of so many KiB. */
function volume(size: number): string {
  const path = mkdtempSync(join(tmpdir(), 'nightjar-volume-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}k`, 'nightjar-test', path])
  cleanups.push(() => execFileSync('umount', [path]))
  return path
}

const canMount = () => {
  try {
    volume(64)
    return true
  } catch {
    return false
  } finally {
    for (const cleanup of cleanups.splice(0).reverse()) cleanup()
  }
}
const mounting = (claim: string, check: () => Promise<void>) =>
  test(claim, async ({ skip }) => {
    skip(!canMount() && !process.env.CI, 'mounting a file system needs root')
    await check()
  })

const idsOf = (deliveries: readonly { body: string }[]) => deliveries.map(({ body }) => JSON.parse(body).id)

mounting(
  'a full disk costs no alert: they wait in memory, go to disk when there is room, and arrive in order',
  async () => {
    const directory = volume(512)
    const gone = await receiver()
    await gone.close()
    const first = await dispatched({ url: gone.url }, { directory, patience: 0 })
    const sent = Array.from({ length: 600 }, () => sampleAlert())
    for (const alert of sent) first.webhook.send(alert)
    expect(JSON.parse(await first.journal.line('can not be written'))).toMatchObject({ err: { code: 'ENOSPC' } })
    expect(statfsSync(directory).bfree).toBeLessThan(64)
    expect([await first.queued(), await first.sample('nightjar_spool_durable')]).toEqual([600, 0])

    execFileSync('mount', ['-o', 'remount,size=8192k', directory])
    await first.journal.line('can be written again')
    expect(await first.sample('nightjar_spool_durable')).toBe(1)
    expect(await first.webhook.close(0)).toBe(0)

    const soc = await receiver({ port: gone.port })
    cleanups.push(() => soc.close())
    const second = await dispatched({ url: soc.url }, { directory, patience: 0 })
    expect(idsOf(await soc.got(600))).toEqual(sent.map(({ id }) => id))
    expect(await second.webhook.close(5000)).toBe(0)
    expect(await second.sample('nightjar_spool_damaged_total')).toBe(0)
  },
)

mounting('a disk that is full from the start costs no alert either', async () => {
  const directory = volume(64)
  mkdirSync(join(directory, 'spool'))
  spawnSync('dd', ['if=/dev/zero', `of=${join(directory, 'ballast')}`, 'bs=4k'])
  const soc = await receiver()
  cleanups.push(() => soc.close())
  const { webhook, journal } = await dispatched({ url: soc.url }, { directory: join(directory, 'spool'), patience: 0 })
  const sent = Array.from({ length: 50 }, () => sampleAlert())
  for (const alert of sent) webhook.send(alert)
  await journal.line('can not be written')
  expect(idsOf(await soc.got(50))).toEqual(sent.map(({ id }) => id))
  expect(await webhook.close(5000)).toBe(0)
})

mounting('a read-only volume costs no alert: they wait in memory, and the log says so', async () => {
  const directory = volume(512)
  writeFileSync(join(directory, 'somebody-elses'), '')
  execFileSync('mount', ['-o', 'remount,ro', directory])
  const soc = await receiver()
  cleanups.push(() => soc.close())
  const { webhook, journal, sample } = await dispatched({ url: soc.url }, { directory, patience: 0 })
  expect(await journal.line("can't be written")).toContain('alerts wait in memory')
  expect(await sample('nightjar_spool_durable')).toBe(0)
  const sent = Array.from({ length: 50 }, () => sampleAlert())
  for (const alert of sent) webhook.send(alert)
  expect(idsOf(await soc.got(50))).toEqual(sent.map(({ id }) => id))
  expect(await webhook.close(5000)).toBe(0)
})

mounting('a read-only volume with an empty file of alerts keeps no sensor from starting', async () => {
  const directory = volume(512)
  const first = await dispatched({ url: 'http://127.0.0.1:1' }, { directory })
  await first.webhook.close(0)
  writeFileSync(join(directory, 'high-0000000000000001.alerts'), '')
  execFileSync('mount', ['-o', 'remount,ro', directory])
  const soc = await receiver()
  cleanups.push(() => soc.close())
  const { webhook } = await dispatched({ url: soc.url }, { directory, patience: 0 })
  const alert = sampleAlert()
  webhook.send(alert)
  expect(idsOf(await soc.got(1))).toEqual([alert.id])
  await webhook.close(5000)
})
