import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { readCapture } from '../../sensor/capture.ts'
import type { Event } from '../../sensor/event.ts'
import { act, kernelTest, type Sensor, startSensor } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-connects-'))
const file = join(directory, 'capture')
const at = (name: string) => join(directory, name)
const python = realpathSync('/usr/bin/python3')

/** Conditions of rules; none of these is about port 7002 of 127.0.0.1. */
const asked = [
  { 'destination.port': 7001 },
  { 'destination.ip': { in: ['127.0.0.9', '::1'] } },
  { 'process.name': 'caller' },
  { 'process.executable.path': { startsWith: `${at('within')}/` } },
  { 'process.executable.deleted': true },
]
const rule = (id: string, on: string, when: object) => ({
  id,
  name: 'What is asked for',
  on: [on],
  when,
  severity: 'low',
  message: 'm',
})
const pack = {
  pack: 'connects',
  version: '1.0.0',
  rules: [
    ...asked.map((when, index) => rule(`asked-${index}`, 'connect', when)),
    rule('the-last', 'exec', { 'process.command_line': 'true the-last' }),
  ],
}

const attempts = 40
/** Connects so often to the places that its arguments say, one after the other, on every turn. Nobody need listen there. */
const connecting = `
import os, socket, sys
def connect(ip, port):
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one: one.connect_ex((ip, int(port)))
places = [one.rsplit("/", 1) for one in sys.argv[1:]]
for _ in range(${attempts}):
    for place in places: connect(*place)
`
const to = (...places: string[]) => ['-c', connecting, ...places]
const elsewhere = '127.0.0.1/7002'

let sensor: Sensor
/** By pid: how many of its connects came. */
const told = new Map<number, number>()
const acts: { name: string; command: string; args: string[]; children?: true; pid?: number }[] = [
  { name: 'one place', command: python, args: to(elsewhere) },
  { name: 'a port', command: python, args: to('127.0.0.1/7001') },
  { name: 'an address', command: python, args: to('127.0.0.9/7002') },
  { name: 'an address, mapped', command: python, args: to('::ffff:127.0.0.9/7002') },
  { name: 'an address of IPv6', command: python, args: to('::1/7002') },
  { name: 'places in turn', command: python, args: to(elsewhere, '127.0.0.1/7003') },
  { name: 'a program', command: at('caller'), args: to(elsewhere) },
  { name: 'a program by a link', command: at('link'), args: to(elsewhere) },
  { name: 'a program that is many', command: at('busybox-x'), args: to(elsewhere) },
  { name: 'a program in a directory', command: at('within/python'), args: to(elsewhere) },
  {
    name: 'a program by a mount',
    command: 'unshare',
    args: [
      '-m',
      'sh',
      '-c',
      `mount --bind ${python} ${at('mounted/caller')} && exec "$@"`,
      'sh',
      at('mounted/caller'),
      ...to(elsewhere),
    ],
  },
  {
    name: 'a program that was renamed since',
    command: at('moved/caller'),
    args: ['-c', `import os\nos.rename("${at('moved/caller')}", "${at('moved/other')}")${connecting}`, elsewhere],
  },
  {
    name: 'a program without a name',
    command: 'sh',
    args: ['-c', `exec 9< ${at('unlinked')}; rm ${at('unlinked')}; exec /proc/self/fd/9 "$@"`, 'sh', ...to(elsewhere)],
  },
  {
    name: 'a child that began no program',
    command: at('caller'),
    args: ['-c', `import os\nif os.fork(): os.wait(); os._exit(0)${connecting}`, elsewhere],
    children: true,
  },
  {
    name: 'the same place by the next program',
    command: python,
    args: [
      '-c',
      `import os, sys${connecting}os.execv("${python}", ["python3", "-c", "pass"] if len(sys.argv) > 2 else ["python3", "-c", open("${at('again.py')}").read(), "${elsewhere}", "last"])`,
      elsewhere,
    ],
  },
]

beforeAll(async () => {
  writeFileSync(at('rules.json'), JSON.stringify(pack))
  writeFileSync(at('again.py'), connecting.replace('sys.argv[1:]', 'sys.argv[1:2]'))
  for (const name of ['within', 'moved', 'mounted']) mkdirSync(at(name))
  for (const name of ['caller', 'busybox-x', 'within/python', 'moved/caller', 'unlinked'])
    copyFileSync(python, at(name))
  writeFileSync(at('mounted/caller'), '')
  symlinkSync('caller', at('link'))
  sensor = await startSensor({ packs: [], args: ['--no-builtin-rules', '--rules', at('rules.json'), '--record', file] })
  for (const one of acts) one.pid = await act(one.command, one.args)
  await act('true', ['the-last'])
  await sensor.alerts.first(({ rule }) => rule.id === 'the-last')
  await sensor.stop()
  await readCapture(file, (event: Event) => {
    if (event.type !== 'connect') return
    for (const pid of [event.process?.pid ?? 0, -(event.process?.ppid ?? 0)]) told.set(pid, (told.get(pid) ?? 0) + 1)
  })
}, 90_000)
afterAll(async () => {
  await sensor?.stop()
  rmSync(directory, { recursive: true })
})

const of = (name: string): number => {
  const { pid = 0, children } = acts.find((one) => one.name === name) ?? {}
  return told.get(children ? -pid : pid) ?? 0
}

describe('of connections the kernel sends what a rule asks for, each', () => {
  for (const name of [
    'a port',
    'an address',
    'an address, mapped',
    'an address of IPv6',
    'a program',
    'a program by a link',
    'a program that is many',
    'a program in a directory',
    'a program by a mount',
    'a program that was renamed since',
    'a program without a name',
    'a child that began no program',
  ])
    kernelTest(name, () => expect(of(name)).toBe(attempts))
})

describe('of others, whom a process is connected to', () => {
  kernelTest('once, and no more than once a second again', () => {
    expect(of('one place')).toBeGreaterThan(0)
    expect(of('one place')).toBeLessThan(attempts / 2)
  })
  kernelTest('each time that it is another place than the last', () => {
    expect(of('places in turn')).toBe(2 * attempts)
  })
  kernelTest('once more by the next program of the same process', () => {
    expect(of('the same place by the next program')).toBeGreaterThan(1)
    expect(of('the same place by the next program')).toBeLessThan(attempts / 2)
  })
})
