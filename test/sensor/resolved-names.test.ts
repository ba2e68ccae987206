/** Names that a kprobe sends while a call is under way, and the call's end that takes them up. */
import { expect, test } from 'vitest'
import { type RecordName, sections } from '../../bpf/records.ts'
import type { Act } from '../../sensor/assemble.ts'
import { assembled } from './heard.ts'
import { bytesOf, line, textLines } from './kernel.ts'

const seconds = 1e9
const tid = 7
const ended = 2000

type Section = keyof typeof sections
/** A path from the root on, last component first as it is walked; or a text. */
const texts = (time: number, section: Section, text: string[] | string): string[] =>
  (typeof text === 'string' ? [text] : text.toReversed())
    .map(bytesOf)
    .flatMap((bytes, index) => textLines({ time, tid }, { section: sections[section], index, bytes }))

const actor = { tid, pid: 7, ppid: 1, cgroup: '1', uid: 0, gid: 0 }
const rename = (resolved: number, own: string[], returned = 0) => [
  ...own,
  line('rename', { time: ended, ...actor, parts: own.length, returned, flags: 0, resolved }),
]
/** What the program passed: `rename("way/old", "way/new")` in /tmp. */
const passed = [
  ...texts(ended, 'OTHER', 'way/old'),
  ...texts(ended, 'OTHER_BASE', ['tmp']),
  ...texts(ended, 'REQUESTED', 'way/new'),
  ...texts(ended, 'FILE', ['tmp']),
]
const passedAndResolved = [...texts(ended, 'OTHER', 'way/old'), ...texts(ended, 'REQUESTED', 'way/new')]
const found = (time: number, directory: string) => [
  ...texts(time, 'RESOLVED_OTHER', ['srv', directory, 'old']),
  ...texts(time, 'RESOLVED', ['srv', directory, 'new']),
]
const fileOf = (acts: Act[]) => acts.flatMap((act) => (act.act === 'deed' ? [act.about.file] : []))

test('are the names of the event, and what the program passed stands beside them', () => {
  const names = found(1000, 'kept')
  const heard = assembled([...names, ...rename(names.length, passedAndResolved)])
  expect(heard).toMatchObject({ incomplete: [], rejected: [], waiting: 0 })
  expect(fileOf(heard.acts)).toEqual([
    {
      path: '/srv/kept/new',
      name: 'new',
      directory: '/srv/kept',
      previous_path: '/srv/kept/old',
      requested_path: 'way/new',
      path_source: 'kernel',
    },
  ])
})

test('without them the names are those that the program passed, and say so', () => {
  const heard = assembled(rename(0, passed))
  expect(heard).toMatchObject({ incomplete: [], waiting: 0 })
  expect(fileOf(heard.acts)).toMatchObject([
    { path: '/tmp/way/new', previous_path: '/tmp/way/old', path_source: 'requested' },
  ])
})

test('those of a call that failed go to no other call of the thread, and are no loss', () => {
  const failed = found(900, 'elsewhere')
  const names = found(1000, 'kept')
  const heard = assembled([
    ...failed,
    ...names,
    ...rename(names.length, passedAndResolved),
    line('heartbeat', { time: 3 * seconds }),
  ])
  expect(heard).toMatchObject({ incomplete: [], waiting: 0 })
  expect(fileOf(heard.acts)).toMatchObject([{ path: '/srv/kept/new', previous_path: '/srv/kept/old' }])
})

test('a call that was refused before its names were found has none of those of an earlier one', () => {
  const heard = assembled([...found(900, 'elsewhere'), ...rename(0, passed, -13)])
  expect(fileOf(heard.acts)).toMatchObject([{ path: '/tmp/way/new', path_source: 'requested' }])
})

test('where some of them were lost the event says that it is not whole, and nothing is taken for a whole path', () => {
  const names = found(1000, 'kept')
  const heard = assembled([...names.slice(0, -1), ...rename(names.length, passedAndResolved)])
  expect(heard.incomplete).toEqual<RecordName[]>(['rename'])
  expect(fileOf(heard.acts)).toMatchObject([{ path: '…/kept/new', previous_path: '…/srv/kept/old' }])
})
