/** Forks and exits wait in the kernel for the next flush, in rows (bpf/macros/put-off.bt): each is told, also where rows are full. */
import { afterAll, beforeAll, expect } from 'vitest'
import { act, type EventStream, kernelTest, watchEvents } from './sensor.ts'

let stream: EventStream
beforeAll(async () => {
  stream = watchEvents(['exec', 'exit'])
  await stream.attached
}, 60_000)
afterAll(() => stream?.stop())

const children = 500
const code = 7

kernelTest(
  'each of many processes that one processor makes in a moment is told, with its parent and how it ended',
  async () => {
    const script = `i=0; while [ $i -lt ${children} ]; do (exit ${code}) & i=$((i+1)); done; wait`
    const shell = await act('taskset', ['-c', '0', 'sh', '-c', script])
    await stream.events.first(({ type, process }) => type === 'exit' && process?.pid === shell, 10_000)
    const all = stream.events.all.filter(({ type, process }) => type === 'exit' && process?.ppid === shell)
    expect(new Set(all.map(({ process }) => process?.pid)).size).toBe(children)
    for (const { time, process } of all) {
      expect(process).toMatchObject({ exit_code: code, command_args: ['sh', '-c', script] })
      expect(process?.start_time).toBeLessThanOrEqual(time)
    }
    const begun = stream.events.all.findIndex(({ type, process }) => type === 'exec' && process?.pid === shell)
    const times = stream.events.all.slice(begun).map(({ time }) => time)
    expect(times, 'in the order of time').toEqual(times.toSorted((a, b) => a - b))
  },
)
