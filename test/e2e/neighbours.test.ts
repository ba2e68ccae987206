/** Two sensors on one node, as while a new version takes over from the old: each sees what the other does. */
import { afterAll, beforeAll, expect } from 'vitest'
import { act, type EventStream, kernelTest, watchEvents } from './sensor.ts'

let streams: EventStream[] = []
beforeAll(async () => {
  streams = [watchEvents(['open', 'exec', 'exit']), watchEvents(['open', 'exec', 'exit'])]
  await Promise.all(streams.map(({ attached }) => attached))
}, 90_000)
afterAll(() => Promise.all(streams.map((stream) => stream.stop())))

const opens = 1000
// With a pause after each: two sensors that fall behind shed opens first.
const opening = `import time
for _ in range(${opens}): open('/etc/hostname').close(); time.sleep(0.002)`
kernelTest('what the one does for an event is no event that makes the other do the like', async () => {
  const python = await act('/usr/bin/python3', ['-ISc', opening])
  for (const { events } of streams) {
    const { time } = await events.first(({ type, process }) => type === 'exit' && process?.pid === python, 30_000)
    const begun = events.all.find(({ type, process }) => type === 'exec' && process?.pid === python)?.time ?? time
    const meanwhile = events.all.filter((event) => event.type === 'open' && event.time >= begun && event.time <= time)
    expect(meanwhile.filter(({ process }) => process?.pid === python).length).toBeGreaterThanOrEqual(opens)
    // At its start each reads once of every process what /proc says.
    const ofSensors = meanwhile.filter(({ process }) => streams.some(({ pid }) => process?.pid === pid))
    const files = new Set(ofSensors.map(({ process, file }) => `${process?.pid} ${file?.path}`))
    expect(ofSensors.length - files.size).toBeLessThan(10)
  }
})
