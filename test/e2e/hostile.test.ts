import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Event } from '../../sensor/event.ts'
import { act, type EventStream, type Journal, kernelTest, watchEvents } from './sensor.ts'

/** What an attacker would write into arguments, names and directories to be read as something else. */
const record = 'E 1 1 0 1 1 1 0 0 1 1'
const hostile = [
  'two\nlines',
  `\n${record}\n`,
  `x\n${record}\nLost 99999 events\n`,
  'tabs\tand "quotes" \'and\' \\ back\\x00slashes',
  '{"type":"exec","time":1}',
  '\u001b[2J\u001b]0;title\u0007',
  'a'.repeat(1000),
  '',
  ' ',
  '%s%rh%n$(id)`id`',
  'ünïcödé \u202e reversed',
]

/** exec with bytes that no JavaScript string can carry: Python passes them through. */
const execBytes = 'import os,sys;os.execve(b"/bin/true",[b"true",b"\\xff\\xfe\\nraw\\x80",sys.argv[1].encode()],{})'

describe('what a process calls itself can not forge, split or hide an event', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-hostile-'))
  let stream: EventStream
  let events: Journal<Event>

  beforeAll(async () => {
    stream = watchEvents(['exec', 'gap'])
    events = stream.events
    await stream.attached
  })
  afterAll(async () => {
    await stream?.stop()
    rmSync(directory, { recursive: true })
  })

  const byPid = (pid: number) => events.all.filter(({ process }) => process?.pid === pid)

  kernelTest('in its arguments', async () => {
    const pid = await act('/bin/true', hostile)
    const event = await events.first(({ process }) => process?.pid === pid)
    expect(event.process?.command_args).toEqual(['/bin/true', ...hostile])
    expect(byPid(pid)).toHaveLength(1)
  })

  kernelTest('in arguments that are not UTF-8', async () => {
    const pid = await act('python3', ['-c', execBytes, 'marker-raw-bytes'])
    const event = await events.first(
      ({ process }) => process?.command_args?.at(-1) === 'marker-raw-bytes' && process.name === 'true',
    )
    expect(event.process?.pid).toBe(pid)
    expect(event.process?.command_args).toEqual(['true', '\ufffd\ufffd\nraw\ufffd', 'marker-raw-bytes'])
  })

  for (const name of [`a\n${record}`, '"; rm -rf . #', '\u001b[2Jx', 'é\u202e', 'n'.repeat(255)])
    kernelTest(`in the name of its file: ${JSON.stringify(name).slice(0, 40)}`, async () => {
      const file = join(directory, name)
      copyFileSync('/bin/true', file)
      const pid = await act(file, [])
      const event = await events.first(({ process }) => process?.pid === pid)
      expect(event.process?.executable).toMatchObject({ path: file, name })
      expect(byPid(pid)).toHaveLength(1)
    })

  kernelTest('in its task name and its directory', async () => {
    const place = mkdtempSync(join(directory, `d\n${record}\n`))
    const rename =
      'open("/proc/self/comm","w").write("x\\nE 1 2 3");import os;os.execv("/bin/true",["true","marker-comm"])'
    await act('python3', ['-c', rename], { cwd: place })
    const event = await events.first(({ process }) => process?.command_args?.[1] === 'marker-comm')
    expect(event.process?.working_directory).toBe(place)
  })

  kernelTest('and none of it was lost, rejected or read as a notice of loss', () => {
    expect(events.all.filter(({ type }) => type === 'gap')).toEqual([])
    expect(stream.log()).not.toContain('is no record')
  })
})
