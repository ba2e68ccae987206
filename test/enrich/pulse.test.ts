import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createPulse, type Pulse } from '../../enrich/pulse.ts'

let asked = 0
let answer: (problem?: string) => void = () => {}
let given: string[] = []
let pulse: Pulse

beforeEach(() => {
  vi.useFakeTimers()
  asked = 0
  given = []
  pulse = createPulse({
    ask() {
      asked += 1
      const { promise, resolve } = Promise.withResolvers<string | undefined>()
      answer = resolve
      return promise
    },
    silence: { least: 8_000, spread: 4_000 },
    random: () => 0.5,
  })
})
afterEach(() => {
  vi.useRealTimers()
})

const wait = (name: string) => pulse.wait((reason) => given.push(`${name}: ${reason.message}`))
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

test('after a silence it is asked, once for all who wait', async () => {
  wait('pods')
  wait('nodes')
  await pass(9_999)
  expect(asked).toBe(0)
  await pass(1)
  expect(asked).toBe(1)
  await pass(60_000)
  expect(asked).toBe(1)
})

test('who answers is left alone until the next silence', async () => {
  wait('pods')
  await pass(10_000)
  answer()
  await pass(9_999)
  expect(asked).toBe(1)
  await pass(1)
  expect(asked).toBe(2)
  expect(given).toEqual([])
})

test('while there is anything to hear nothing is asked', async () => {
  wait('pods')
  for (let seconds = 0; seconds < 120; seconds += 5) {
    await pass(5_000)
    pulse.heard()
  }
  expect(asked).toBe(0)
  await pass(10_000)
  expect(asked).toBe(1)
})

test('without an answer all who wait are told why, once', async () => {
  wait('pods')
  wait('nodes')
  await pass(10_000)
  answer('no answer')
  await pass(120_000)
  expect(given).toEqual(['pods: no answer', 'nodes: no answer'])
  expect(asked).toBe(1)
})

test('a word that comes while it is asked is an answer, too', async () => {
  wait('pods')
  await pass(10_000)
  await pass(2_000)
  pulse.heard()
  answer('no answer')
  await pass(9_999)
  expect(given).toEqual([])
  expect(asked).toBe(1)
  await pass(1)
  expect(asked).toBe(2)
})

test('where nobody waits any longer nothing is asked, and who comes then has a silence of its own', async () => {
  const stop = wait('pods')
  await pass(9_000)
  stop()
  await pass(60_000)
  expect(asked).toBe(0)
  wait('nodes')
  await pass(9_999)
  expect(asked).toBe(0)
  await pass(1)
  expect(asked).toBe(1)
})

test('who comes while it is asked waits with the others, and nobody asks twice', async () => {
  const stop = wait('pods')
  await pass(10_000)
  stop()
  wait('nodes')
  await pass(30_000)
  expect(asked).toBe(1)
  answer()
  await pass(10_000)
  expect(asked).toBe(2)
  answer('no answer')
  await pass(0)
  expect(given).toEqual(['nodes: no answer'])
})
