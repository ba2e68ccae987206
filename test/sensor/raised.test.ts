import { describe, expect, test } from 'vitest'
import type { Act } from '../../sensor/assemble.ts'
import { machine, plainProgram } from './machine.ts'

const everything = String((1n << 41n) - 1n)
const netRaw = String(1n << 13n)

/** The events of one exec by a user's shell. */
function executed(by: Partial<Extract<Act, { act: 'exec' }>>) {
  const { exec, events } = machine()
  exec(10, 'bash')
  events.length = 0
  exec(10, 'program', { ...plainProgram, ...by })
  return events.map(({ type, credentials }) => ({ type, ...(credentials && { credentials }) }))
}
const program = (mode: number, owner = 0, group = 0) => {
  return { mode: 0o100000 | mode, magic: 0xef53, upper: false, owner, group }
}

describe('a program that raises its user', () => {
  test('a set-user-id program of root’s, run by a user: its user before and the capabilities that it gained', () => {
    const [exec, raised] = executed({
      executable: program(0o4755),
      uid: 0,
      realUid: 1000,
      gid: 1000,
      realGid: 1000,
      capabilities: netRaw,
    })
    expect(exec).toEqual({ type: 'exec' })
    expect(raised).toEqual({
      type: 'credentials',
      credentials: {
        operation: 'exec',
        previous: { user: { id: 1000 }, group: { id: 1000 } },
        gained: ['CAP_NET_RAW'],
      },
    })
  })

  test('a set-user-id program of another user’s gains no capability', () => {
    expect(executed({ executable: program(0o4755, 33), uid: 33, realUid: 1000 })[1]?.credentials).toEqual({
      operation: 'exec',
      previous: { user: { id: 1000 }, group: { id: 0 } },
    })
  })

  test('a set-group-id program', () => {
    expect(
      executed({ executable: program(0o2755, 0, 42), uid: 1000, realUid: 1000, gid: 42, realGid: 1000 })[1],
    ).toEqual({
      type: 'credentials',
      credentials: { operation: 'exec', previous: { user: { id: 1000 }, group: { id: 1000 } } },
    })
  })

  test('a program with file capabilities', () => {
    const [, raised] = executed({ uid: 1000, realUid: 1000, capabilities: netRaw })
    expect(raised?.credentials).toMatchObject({ operation: 'exec', gained: ['CAP_NET_RAW'] })
  })
})

describe('a program that raises nobody', () => {
  test.each<[string, Partial<Extract<Act, { act: 'exec' }>>]>([
    ['an ordinary one, run by root with all capabilities', { capabilities: everything }],
    ['a set-user-id one, run by its owner', { executable: program(0o4755), capabilities: everything }],
    ['a set-user-id one on a mount that ignores the bit', { executable: program(0o4755), uid: 1000, realUid: 1000 }],
    [
      'one with the bit for locking, which is no set-group-id',
      { executable: program(0o2644, 0, 42), gid: 42, realGid: 1 },
    ],
    ['one that inherits ambient capabilities', { uid: 1000, realUid: 1000, capabilities: netRaw, ambient: netRaw }],
    [
      'one run by the root of a user namespace, who has another number outside',
      { uid: 100_000, realUid: 100_000, capabilities: everything, inUserNamespace: true },
    ],
    ['an ordinary one, run by a process whose effective user is another', { uid: 0, realUid: 1000 }],
  ])('%s', (_, by) => {
    expect(executed(by)).toEqual([{ type: 'exec' }])
  })
})

describe('what an exec tells of its program', () => {
  test('file system, layer and bits of the executable, and the capabilities', () => {
    const { exec, last } = machine()
    const executable = { ...program(0o6755), magic: 0x794c7630, upper: true }
    exec(10, 'su', { executable, capabilities: String((1n << 21n) | 1n) })
    expect(last(10).process).toMatchObject({
      capabilities: ['CAP_CHOWN', 'CAP_SYS_ADMIN'],
      executable: { path: '/usr/bin/su', filesystem: 'overlay', upper_layer: true, setuid: true, setgid: true },
    })
  })

  test('a child has its parent’s capabilities; its ancestors are told without theirs', () => {
    const { exec, fork, exit, last } = machine()
    exec(10, 'bash', { capabilities: '1' })
    fork(10, 11)
    exit(11)
    expect(last(11).process?.capabilities).toEqual(['CAP_CHOWN'])
    expect(last(11).process?.ancestors?.[0]).not.toHaveProperty('capabilities')
  })
})

describe('the sensor', () => {
  const watched = () => {
    const made = machine()
    made.fork(1, 20, { seen: false })
    made.fork(20, 21, { seen: false })
    made.apply({ act: 'sensor', time: made.now(), pids: [21, 20] })
    made.exec(20, 'node')
    made.exec(21, 'bpftrace')
    made.exec(10, 'bash')
    return made
  }
  const kill = (pid: number, target: number): Act => {
    const actor = { time: 101e9, pid, ppid: 1, cgroup: '1', uid: 0, gid: 0 }
    return { act: 'deed', ...actor, type: 'kill', about: { signal: { name: 'SIGKILL', number: 9 } }, target }
  }

  test('raises no events by what it and its bpftrace do', () => {
    const { events, apply, exit } = watched()
    apply(kill(20, 21))
    exit(21)
    expect(events.map(({ process }) => process?.pid)).toEqual([10])
  })

  test('does not speak of the bpftrace that takes over from the one before', () => {
    const { events, fork, exec } = watched()
    fork(20, 22)
    exec(22, 'bpftrace')
    expect(events.map(({ process }) => process?.pid)).toEqual([10])
  })

  test('does speak of any other program that is started from it', () => {
    const { last, fork, exec } = watched()
    fork(20, 22)
    exec(22, 'sh')
    expect(last(22)).toMatchObject({ type: 'exec', process: { name: 'sh' } })
  })

  /** As /proc shows it. */
  const running = (pid: number, ppid: number, started: number) => {
    return { pid, ppid, started, comm: `p${pid}`, args: [`p${pid}`], uid: 0, gid: 0 }
  }

  test('does not lend its number to the process that gets it after its bpftrace was killed, which nobody has told', () => {
    const { last, fork, exec } = watched()
    fork(1, 21)
    exec(21, 'sh')
    expect(last(21)).toMatchObject({ type: 'exec', process: { name: 'sh' } })
  })

  test('nor where the fork of that process was not seen either, but its program was', () => {
    const { last, fork, exec, wait } = watched()
    wait(1e9)
    fork(1, 21, { seen: false })
    exec(21, 'sh')
    expect(last(21)).toMatchObject({ type: 'exec', process: { name: 'sh' } })
  })

  test('nor where the next bpftrace finds that process running', () => {
    const { table, now, wait, last, events, apply } = watched()
    wait(20e9)
    apply({ act: 'sensor', time: now(), pids: [22, 20] })
    table.prime([running(20, 1, 100e9), running(22, 20, 119e9), running(21, 1, 110e9)])
    apply(kill(21, 99))
    expect(last(21)).toMatchObject({ type: 'kill', process: { name: 'p21' } })
    events.length = 0
    for (const pid of [20, 22]) apply(kill(pid, 99))
    expect(events, 'the sensor and its next bpftrace').toEqual([])
  })

  test.each([
    [
      'the next bpftrace does not find',
      ({ table }: ReturnType<typeof watched>) => table.prime([running(20, 1, 100e9)]),
    ],
    [
      'two looks after a loss do not find',
      ({ table }: ReturnType<typeof watched>) => {
        for (const look of [[20], [20]]) table.sweep(new Set(look))
      },
    ],
  ])('does not hold for its own a number that %s', (_, gone) => {
    const made = watched()
    gone(made)
    made.apply(kill(21, 99))
    expect(made.last(21)).toMatchObject({ type: 'kill' })
  })

  test('does not hold for its own one that has told its end, also where nothing else was known of it', () => {
    const { apply, now, last } = machine()
    apply({ act: 'sensor', time: now(), pids: [21, 20] })
    apply({ act: 'exit', time: now() + 1000, pid: 21, code: 9 })
    apply(kill(21, 99))
    expect(last(21)).toMatchObject({ type: 'kill' })
  })

  test('knows both of its bpftraces while one takes over from the other, however late its fork is told', () => {
    const { table, now, wait, events, apply, fork } = watched()
    events.length = 0
    const forked = now() + 1000
    wait(1e9)
    apply({ act: 'sensor', time: now(), pids: [22, 20] })
    apply({ act: 'fork', time: forked, pid: 22, ppid: 20, cgroup: '1' })
    table.prime([running(20, 1, 100e9), running(21, 20, 100e9), running(22, 20, 100e9)])
    for (const pid of [20, 21, 22]) apply(kill(pid, 99))
    expect(events).toEqual([])
    fork(1, 21)
    apply(kill(21, 99))
    expect(events).toHaveLength(1)
  })

  test('is told as such where it is the target, and others are not', () => {
    const { last, apply } = watched()
    apply(kill(10, 21))
    expect(last(10).target).toMatchObject({ pid: 21, name: 'bpftrace', sensor: true })
    apply(kill(10, 99))
    expect(last(10).target).toEqual({ pid: 99 })
  })
})
