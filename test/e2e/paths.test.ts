import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import type { Event } from '../../sensor/event.ts'
import { act, type EventStream, type Journal, kernelTest, watchEvents } from './sensor.ts'

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'nightjar-paths-')))
const at = (...names: string[]) => join(directory, ...names)
let stream: EventStream
let events: Journal<Event>

beforeAll(async () => {
  for (const name of ['a', 'room']) mkdirSync(at(name))
  copyFileSync('/bin/true', at('a', 'program'))
  stream = watchEvents(['exec', 'exit', 'gap'])
  events = stream.events
  await stream.attached
}, 60_000)
afterAll(async () => {
  await stream?.stop()
  rmSync(directory, { recursive: true })
})

/** What the children of a shell that runs this script executed, and where, in order. */
async function executed(script: string): Promise<(string | undefined)[][]> {
  const pid = await act('sh', ['-ec', script], { cwd: directory })
  await stream.ended(pid)
  return events.all
    .filter(({ type, process }) => type === 'exec' && process?.ppid === pid)
    .map(({ process }) => [process?.executable?.path, process?.working_directory])
}

kernelTest('again and again the same program, each time by its whole path', async () => {
  const seen = await executed('for i in 1 2 3 4 5 6 7 8 9 10; do a/program; cd room; ../a/program; cd ..; done')
  expect(seen).toEqual(
    Array.from({ length: 10 }, () => [
      [at('a', 'program'), directory],
      [at('a', 'program'), at('room')],
    ]).flat(),
  )
})

kernelTest('a path that changes while it is known is told as it is now', async () => {
  // Names of the same length, and one that begins alike: whatever is remembered of the one must not pass for the other.
  const names = ['b', 'c', 'a-name-of-more-than-eight-bytes-1', 'a-name-of-more-than-eight-bytes-2', 'a']
  const moves = ['a', ...names].slice(0, -1).map((from, index) => `mv ${from} ${names[index]}; ${names[index]}/program`)
  const seen = await executed(`PATH=/nowhere; mv() { /bin/mv "$@"; }; ${moves.join('; ')}; ${moves.join('; ')}`)
  const programs = seen.map(([path]) => path).filter((path) => path?.endsWith('/program'))
  expect(programs).toEqual([...names, ...names].map((name) => at(name, 'program')))
})

kernelTest('the same file by two mounts, and seen from another root', async () => {
  const seen = await executed(`exec unshare -m sh -ec '
    mount --bind a room
    for i in 1 2 3; do a/program; room/program; done'`)
  expect(seen.map(([path]) => path).filter((path) => path?.endsWith('/program'))).toEqual(
    [1, 2, 3].flatMap(() => [at('a', 'program'), at('room', 'program')]),
  )
})

kernelTest(
  'a file that has no path is no other one, whatever was told before: runc begins its containers from such a file',
  async () => {
    const seen = await executed(`exec unshare -m sh -ec '
    : > room/file; mount --bind a/program room/file
    exec 9< room/file; umount --lazy room/file; rm room/file
    cd /
    for i in 1 2 3; do /bin/true; /proc/self/fd/9; done'`)
    const places = seen.filter(([, place]) => place === '/').map(([path]) => path?.replace(/^.*\/true$/, 'true'))
    expect(places).toEqual([1, 2, 3].flatMap(() => ['true', undefined]))
  },
)
