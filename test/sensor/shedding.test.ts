import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RecordName } from '../../bpf/records.ts'
import type { Act } from '../../sensor/assemble.ts'
import type { EventType } from '../../sensor/event.ts'
import { type Gap, startProbe } from '../../sensor/probe.ts'
import { createShedding, type Shed, shedInWords } from '../../sensor/shedding.ts'
import { assembled } from './heard.ts'
import { connectLines, execLines, line, plain } from './kernel.ts'
import { machine, networkSocket } from './machine.ts'

const opens = 30_000
const execs = 300
const pidOfExecs = 4242
const pidOfLater = 4343

/**
 * In the place of bpftrace: 100,000 events of the kernel a second, stamped with when they were, and written as fast as
 * the pipe takes them. Then an open now and then, the first by a child of process 1, the second by one of process 2 ...
 */
const flood = (open: string, exec: string, later: string) => `#!${process.execPath}
const { writeSync, readFileSync } = require('node:fs')
readFileSync(0)
const put = (text) => { for (let rest = Buffer.from(text); rest.length > 0; ) {
  try { rest = rest.subarray(writeSync(1, rest)) } catch (error) { if (error.code !== 'EAGAIN') process.exit() }
} }
const now = () => process.hrtime.bigint()
const at = (lines, time) => lines.replaceAll(/^(\\S) TIME/gm, '$1 ' + time)
const wait = (until) => { while (now() < until); }
put('H ' + now() + '\\n')
const start = now()
for (let made = 0; made < ${opens}; made += 100) {
  const time = start + BigInt(made) * 10_000n
  wait(time)
  put(at(${JSON.stringify(open)}.repeat(100) + ${JSON.stringify(exec)}, time))
}
let count = 0
setInterval(() => put(at('H TIME\\n' + ${JSON.stringify(later)}.replace('PARENT', (++count).toString(16).padStart(8, '0')), now())), 20)
`

/** Lines with their time left open. */
const timeless = (lines: string[]) => lines.join('').replaceAll(/^(\S) \d+/gm, '$1 TIME')
const openBy = (pid: number, ppid = 1) => {
  const actor = { pid, ppid, cgroup: '1', uid: 0, gid: 0 }
  return timeless([line('open', { time: 1, tid: pid, parts: 0, ...actor, returned: -2, flags: 0, owner: 0 })])
}

describe('a sensor that can not keep up', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-shedding-'))
  const command = join(directory, 'bpftrace')
  beforeAll(() => {
    const exec = timeless(execLines({ pid: pidOfExecs, args: ['true'] }, plain))
    writeFileSync(command, flood(openBy(1), exec, openBy(pidOfLater, 0x77).replace('00000077 ', 'PARENT ')))
    chmodSync(command, 0o755)
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  test('drops opens and no exec, counts each, says so once, and takes opens again when it has caught up', async () => {
    const acts: Act[] = []
    const lost = new Map<string, number>()
    const said: string[] = []
    const gap = Promise.withResolvers<Gap>()
    const recovered = Promise.withResolvers<void>()
    let over = false
    const log = { info() {}, debug() {}, warn: (_: object, text: string) => said.push(text) }
    const probe = startProbe({
      command,
      program: () => '',
      log,
      onAct(act) {
        acts.push(act)
        if (over && act.act === 'deed' && act.pid === pidOfLater) recovered.resolve()
        // The consumer that is too slow: 10,000 acts a second.
        for (const until = performance.now() + 0.1; performance.now() < until; );
      },
      now: () => Number(process.hrtime.bigint()),
      onTold() {},
      onUp() {},
      onDown() {},
      onGap(found) {
        over = true
        gap.resolve(found)
      },
      onLoss(stage, count, type) {
        const key = `${stage} ${type}`
        lost.set(key, (lost.get(key) ?? 0) + count)
      },
      onHeartbeat() {},
      onRestart() {},
    })
    try {
      const { reason, lostEvents = 0, detail } = await gap.promise
      await recovered.promise
      const flooded = acts.filter((act) => act.act === 'deed' && act.pid === 1)
      const later = acts.flatMap((act) => (act.act === 'deed' && act.pid === pidOfLater ? [act.ppid] : []))
      expect(acts.filter(({ act }) => act === 'exec')).toHaveLength(execs)
      expect(reason).toBe('events_shed')
      expect(lostEvents).toBeGreaterThan(opens / 2)
      expect([...lost]).toEqual([['shed open', lostEvents]])
      // The first of those afterwards were dropped, too, while it was calming down.
      const [first = 0] = later
      expect(flooded.length + lostEvents).toBe(opens + first - 1)
      expect(detail).toMatch(/^for [\d.]+ s events came faster than they were judged; dropped: \d+ open$/)
      expect(said).toEqual([
        'events come faster than they are judged: the least of them are dropped',
        'caught up: all events are judged again',
      ])
    } finally {
      await probe.stop()
    }
  })
})

/** A pipe that is full, and one that is nearly empty. */
const [full, little] = [65_536, 4_096]

describe('what is dropped', () => {
  const ended: Shed[] = []
  const dropped: EventType[] = []
  const shedding = () => {
    ended.length = 0
    dropped.length = 0
    return createShedding({ began() {}, dropped: (type) => dropped.push(type), ended: (shed) => ended.push(shed) })
  }
  const droppedOf = (late: number, bytes = full) => {
    const one = shedding()
    one.read(bytes, late, 0)
    one.read(bytes, late, 200)
    const records: RecordName[] = ['exec', 'exit', 'fork', 'credentials', 'kill', 'ptrace', 'mount', 'stdio']
    for (const record of [...records, 'open', 'rename', 'connect', 'dns', 'memfd'] as const) one.drops(record)
    return dropped
  }

  test.each<[number, EventType[]]>([
    [249, []],
    [250, ['open']],
    [400, ['open', 'rename']],
    [550, ['open', 'rename', 'connect', 'dns']],
    [60_000, ['open', 'rename', 'connect', 'dns', 'memfd']],
  ])('%i ms behind: %j, and never what says who did what to the machine', (late, types) => {
    expect(droppedOf(late)).toEqual(types)
  })

  test('nothing where the pipe is not full: then it is bpftrace that is late, and dropping would not help', () => {
    expect(droppedOf(5_000, little)).toEqual([])
  })

  test('nothing of what waits where the sensor was stopped for a while: it catches up before it need be dropped', () => {
    const one = shedding()
    one.read(full, 3_000, 0)
    one.read(full, 3_000, 150)
    expect(one.drops('open')).toBe(false)
    one.read(little, 20, 180)
    one.read(full, 300, 400)
    expect(one.drops('open')).toBe(false)
  })

  test('is taken again a second after it has caught up, and told by type', () => {
    const one = shedding()
    one.read(full, 400, 800)
    one.read(full, 600, 1_000)
    for (const record of ['open', 'open', 'connect'] as const) one.drops(record)
    one.read(full, 300, 2_500)
    one.read(little, 2, 3_499)
    expect(ended).toEqual([])
    expect(one.drops('open')).toBe(true)
    one.read(little, 2, 3_500)
    expect(ended.map((shed) => [shed.seconds, shed.total, shedInWords(shed)])).toEqual([[2.5, 4, '3 open, 1 connect']])
    expect(one.drops('open')).toBe(false)
  })

  test('is told also where bpftrace ends meanwhile', () => {
    const one = shedding()
    one.read(full, 300, -200)
    one.read(full, 300, 0)
    one.drops('open')
    one.end(500)
    expect(ended.map(({ seconds, total }) => ({ seconds, total }))).toEqual([{ seconds: 0.5, total: 1 }])
  })
})

describe('a connection whose event is dropped', () => {
  const attacker = { ip: '203.0.113.9', port: 4444 }
  const tcpSocket = { family: 2, type: 1, state: 2, localPort: 40_000, peerPort: 4444, peer4: [203, 0, 113, 9] }

  test('is an act all the same, which says so; of an open that is dropped nothing is left', () => {
    const actor = { pid: 7, ppid: 1, cgroup: '1', uid: 0, gid: 0 }
    const opened = line('open', { time: 1, tid: 7, parts: 0, ...actor, returned: -2, flags: 0, owner: 0 })
    const lines = [opened, ...connectLines({}, tcpSocket)]
    expect(assembled(lines, () => true).acts).toMatchObject([{ act: 'connect', shed: true }])
    expect(assembled(lines, () => false).acts).toMatchObject([{ act: 'deed' }, { act: 'connect' }])
  })

  test('is known of a shell that is wired to it: the reverse shell shows in the middle of a flood', () => {
    const { exec, connect, events, last } = machine()
    exec(10, 'payload')
    const socket = networkSocket(connect(10, attacker, { shed: true }))
    exec(10, 'own-shell', { stdio: [socket, socket, socket] })
    expect(last(10).process?.stdin).toMatchObject({ peer: attacker, direction: 'outbound' })
    expect(events.map(({ type }) => type)).toEqual(['exec', 'exec'])
  })
})
