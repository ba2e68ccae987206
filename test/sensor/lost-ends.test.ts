import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { followLostEnds } from '../../sensor/lost-ends.ts'

test('after a loss there are two looks at what runs, and then none', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  const looks: boolean[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const ends = followLostEnds({
    every: 5,
    sweep(running) {
      looks.push(running.has(child.pid ?? 0))
      expect(running.has(process.pid)).toBe(true)
      if (looks.length === 2) resolve()
      else child.kill()
    },
  })
  ends.lost()
  await Promise.all([promise, once(child, 'exit')])
  expect(looks).toHaveLength(2)
  expect(looks[0]).toBe(true)
  ends.close()
})

test('where processes of others are hidden, nothing is taken for gone', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let asked = 0
  const swept: unknown[] = []
  const ends = followLostEnds({
    every: 1,
    running() {
      if (++asked === 2) resolve()
      return new Set([process.pid])
    },
    sweep: (running) => swept.push(running),
  })
  ends.lost()
  await promise
  ends.close()
  expect(swept).toEqual([])
})
