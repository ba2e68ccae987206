import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FileConfig, file } from '../../exporters/file.ts'
import type { Receiver } from '../../exporters/receiver.ts'
import type { Alert } from '../../sensor/alert.ts'
import { bareAlert, sampleAlert } from './sample.ts'

let folder: string
const open: Receiver[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightjar-file-'))
})
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
  rmSync(folder, { recursive: true })
})

const path = () => join(folder, 'alerts.jsonl')
const linesOf = (name: string) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1)
const idsOf = (name: string) => linesOf(name).map((line) => (JSON.parse(line) as Alert).id)

function receiver(config: FileConfig = {}): Receiver {
  const one = file({ path: path(), ...config })
  if (one === undefined) throw new Error('no receiver')
  open.push(one)
  return one
}
const write = (to: Receiver, ...alerts: Alert[]) => to.attempt(alerts, AbortSignal.timeout(10_000))

test('alerts are appended, one JSON object a line, for the owner alone to read', async () => {
  writeFileSync(path(), '{"id":"before"}\n', { mode: 0o600 })
  const to = receiver()
  const alerts = [sampleAlert({ message: 'two\nlines \u001b[31m' }), bareAlert()]
  expect(await write(to, ...alerts)).toEqual({ verdict: 'delivered' })
  await write(to, bareAlert())
  expect(linesOf('alerts.jsonl').length).toBe(4)
  expect(JSON.parse(linesOf('alerts.jsonl')[1] ?? '')).toEqual(alerts[0])
  expect(readFileSync(path(), 'utf8')).not.toContain('\u001b')
  expect(statSync(path()).mode & 0o777).toBe(0o600)
})

test('it is rotated before it grows too large, the oldest file goes, and no alert is lost or torn in between', async () => {
  const to = receiver({ maxBytes: '4KiB', keep: 2 })
  const alerts = Array.from({ length: 40 }, () => bareAlert())
  for (let at = 0; at < alerts.length; at += 8) await write(to, ...alerts.slice(at, at + 8))
  const names = readdirSync(folder).sort()
  expect(names).toEqual(['alerts.jsonl', 'alerts.jsonl.1', 'alerts.jsonl.2'])
  for (const name of names) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(4096)
  const kept = names.reverse().flatMap(idsOf)
  expect(kept.length).toBeGreaterThan(10)
  expect(kept).toEqual(alerts.slice(-kept.length).map(({ id }) => id))
})

test('with keep 0 there is never another file', async () => {
  const to = receiver({ maxBytes: '1KiB', keep: 0 })
  for (let round = 0; round < 10; round++) await write(to, bareAlert())
  expect(readdirSync(folder)).toEqual(['alerts.jsonl'])
})

test('a file that logrotate moved, or somebody removed, is begun anew', async () => {
  const to = receiver()
  const [first, second, third] = [bareAlert(), bareAlert(), bareAlert()]
  await write(to, first)
  renameSync(path(), `${path()}.old`)
  await write(to, second)
  rmSync(path())
  await write(to, third)
  expect([idsOf('alerts.jsonl.old'), idsOf('alerts.jsonl')]).toEqual([[first.id], [third.id]])
})

test('a folder that is not there is a failure to try again, and the alerts arrive when it is', async () => {
  const to = file({ path: join(folder, 'later', 'alerts.jsonl') })
  if (to === undefined) throw new Error('no receiver')
  open.push(to)
  const alert = bareAlert()
  expect(await write(to, alert)).toMatchObject({ verdict: 'failed', reason: 'storage' })
  mkdirSync(join(folder, 'later'))
  expect(await write(to, alert)).toEqual({ verdict: 'delivered' })
})

const root = process.getuid?.() === 0
test.skipIf(!root)('on a full disk no half of a line stays, and the alerts are whole when there is room', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder])
  try {
    writeFileSync(join(folder, 'ballast'), Buffer.alloc(8 * 1024))
    const to = receiver()
    const alerts = Array.from({ length: 30 }, () => bareAlert())
    expect(await write(to, ...alerts)).toMatchObject({ verdict: 'failed', reason: 'storage' })
    expect(readFileSync(path(), 'utf8')).toBe('')
    rmSync(join(folder, 'ballast'))
    const few = alerts.slice(0, 20)
    expect(await write(to, ...few)).toEqual({ verdict: 'delivered' })
    expect(idsOf('alerts.jsonl')).toEqual(few.map(({ id }) => id))
    await to.close()
  } finally {
    execFileSync('umount', [folder])
  }
})

test('another format: ECS documents', async () => {
  await write(receiver({ format: 'ecs' }), sampleAlert())
  expect(JSON.parse(linesOf('alerts.jsonl')[0] ?? '')).toMatchObject({ event: { kind: 'alert' } })
})

test('no path, no file; a size that makes no sense is refused', () => {
  expect(file({})).toBeUndefined()
  expect(file({ path: null })).toBeUndefined()
  expect(() => file({ path: '/tmp/x', maxBytes: '10B' })).toThrow('exporters.file: maxBytes: found 10B, expected 1KiB')
})
