import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openPresence } from '../../sensor/presence.ts'
import type { Gap } from '../../sensor/probe.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightjar-presence-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const start = Date.parse('2026-03-01T12:00:00Z')
const seconds = (count: number) => start + count * 1000

/** A sensor that saw at these seconds, and its gaps. */
function sensor(...sees: number[]) {
  let now = 0
  const gaps: Gap[] = []
  const complain = vi.fn()
  const presence = openPresence({
    file: join(folder, 'state/presence'),
    now: () => now,
    gap: (gap) => gaps.push(gap),
    complain,
  })
  for (const second of sees) {
    now = seconds(second)
    presence.seeing()
  }
  return {
    gaps,
    complain,
    leavesAt(second: number) {
      now = seconds(second)
      presence.leaving()
    },
  }
}

test('the first sensor on a node tells of no absence', () => {
  expect(sensor(0, 1, 2, 3).gaps).toEqual([])
})

test('its successor tells once for how long nobody saw: from the moment it left', () => {
  sensor(0, 1).leavesAt(10)
  expect(sensor(25, 26, 27, 40).gaps).toEqual([
    {
      reason: 'sensor_absent',
      seconds: 15,
      detail: expect.stringContaining('from 2026-03-01T12:00:10.000Z to 2026-03-01T12:00:25.000Z'),
    },
  ])
})

test('one that was killed is absent from its last mark, two seconds before its end at the most', () => {
  sensor(0, 1, 2, 3, 4, 5, 6, 7)
  expect(sensor(20).gaps).toMatchObject([{ seconds: 14 }])
})

test('a sensor that takes over from one that still sees tells of no absence', () => {
  sensor(0, 1, 2, 3)
  expect(sensor(4, 5).gaps).toEqual([])
})

test('nor does one that comes when that was about to mark: a timer is never due to the millisecond', () => {
  sensor(0, 1, 1.999)
  expect(sensor(3).gaps).toEqual([])
})

test('a sensor that never saw leaves no mark: the absence goes on', () => {
  sensor(0)
  sensor().leavesAt(30)
  expect(sensor(60).gaps).toMatchObject([{ seconds: 60 }])
  expect(statSync(join(folder, 'state/presence')).mtimeMs).toBe(seconds(60))
})

test('a clock that is set back does not keep it from marking', () => {
  sensor(3600, 3601, 0, 3, 6)
  expect(statSync(join(folder, 'state/presence')).mtimeMs).toBe(seconds(6))
})

test('what stands behind a name that somebody else put there is not written to', () => {
  mkdirSync(join(folder, 'state'))
  symlinkSync('../elsewhere', join(folder, 'state/presence'))
  expect(sensor(0, 5).complain).toHaveBeenCalledOnce()
  expect(existsSync(join(folder, 'elsewhere'))).toBe(false)
})

test('where it can not write it says so once and goes on', () => {
  writeFileSync(join(folder, 'state'), 'a file where the folder should be')
  const { gaps, complain } = sensor(0, 5, 10)
  expect(gaps).toEqual([])
  expect(complain).toHaveBeenCalledOnce()
})

test('without a file nothing is told', () => {
  const gap = vi.fn()
  const presence = openPresence({ file: null, now: Date.now, gap, complain: gap })
  presence.seeing()
  presence.leaving()
  expect(gap).not.toHaveBeenCalled()
})
