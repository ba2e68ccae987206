import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../bpf/records.ts'
import type { Act, Connect, Exec, StdioWired } from '../../sensor/assemble.ts'
import { assembled } from './heard.ts'
import {
  argv,
  bytesOf,
  cgroupLines,
  connectLines,
  execLines,
  type KernelExec,
  type KernelSocket,
  line,
  mount,
  plain,
  printings,
  stdioActLines,
} from './kernel.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const TCP_ESTABLISHED = 1
const TCP_LISTEN = 10
const S_IFSOCK = 0o140777
const S_IFIFO = 0o010600

const only = <A extends Act['act']>(lines: string[], act: A) => {
  const heard = assembled(lines)
  expect(heard).toMatchObject({ incomplete: [], rejected: [], waiting: 0 })
  expect(heard.acts.map(({ act }) => act)).toEqual([act])
  return heard.acts[0] as Extract<Act, { act: A }>
}
const execOf = (exec: KernelExec, printing = plain): Exec => only(execLines(exec, printing), 'exec')
const connectOf = (socket: KernelSocket): Connect => only(connectLines({}, socket), 'connect')

const tcp = (peer: Partial<KernelSocket>): KernelSocket => ({
  type: SOCK_STREAM,
  family: AF_INET,
  state: TCP_ESTABLISHED,
  localPort: 40_000,
  peerPort: 4444,
  ...peer,
})

describe.each(printings)('texts $skip bytes behind a multiple of 8, spaces between bytes: $spaced', (printing) => {
  test.each([1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 4000])('an argument of %i bytes', (length) => {
    const argument = Array.from({ length }, (_, at) => String.fromCharCode(97 + (at % 26))).join('')
    const { args, argsCut } = execOf({ args: ['echo', argument] }, printing)
    expect(args).toEqual(['echo', argument])
    expect(argsCut).toBe(false)
  })

  test.each([1, 63, 64, 65, 128, 254, 255])('a path with names of %i bytes', (length) => {
    const name = 'n'.repeat(length)
    const { path, directory } = execOf({ path: ['srv', name, 'bin', name], directory: [name] }, printing)
    expect(path).toBe(`/srv/${name}/bin/${name}`)
    expect(directory).toBe(`/${name}`)
  })

  test('a character of four bytes across two chunks stays whole', () => {
    const argument = `${'x'.repeat(limits.CHUNK - printing.skip - 2)}\u{1f980}`
    expect(execOf({ args: [argument] }, printing).args).toEqual([argument])
  })

  test('a cgroup is announced with its path, without what lies behind the names in the kernel', () => {
    const path = ['kubepods.slice', `kubepods-pod${'0'.repeat(100)}.slice`, 'cri-containerd-abc.scope']
    const act = only(cgroupLines({ id: '281474976710657', path }, printing), 'cgroup')
    expect(act).toMatchObject({ id: '281474976710657', path: `/${path.join('/')}` })
  })
})

describe('arguments', () => {
  test.each<[string, Buffer, string[]]>([
    ['none at all', Buffer.alloc(0), []],
    ['a single empty one', argv(['']), ['']],
    ['empty ones at the end', argv(['echo', '', '']), ['echo', '', '']],
    ['an empty one first', argv(['', '-c']), ['', '-c']],
    ['the last without its NUL', bytesOf('sh\0-c\0id'), ['sh', '-c', 'id']],
    ['a single one without its NUL', bytesOf('sh'), ['sh']],
    ['newlines, spaces and quotes', argv(['a\nb', ' ', '"\'']), ['a\nb', ' ', '"\'']],
    ['bytes that are not UTF-8', argv([Uint8Array.of(0x61, 0xff, 0x62)]), ['a\ufffdb']],
    ['a byte order mark', argv(['\ufeffsh']), ['\ufeffsh']],
  ])('%s', (_, args, expected) => {
    expect(execOf({ args })).toMatchObject({ args: expected, argsCut: false })
  })

  test(`of exactly ${limits.ARGS_MAX} bytes are whole`, () => {
    const argument = 'a'.repeat(limits.ARGS_MAX - 1)
    expect(execOf({ args: [argument] })).toMatchObject({ args: [argument], argsCut: false })
  })

  test.each([1, 100, 100_000])(`of ${limits.ARGS_MAX} + %i bytes are cut there, and that is said`, (more) => {
    const argument = 'a'.repeat(limits.ARGS_MAX - 3 + more)
    const { args, argsCut } = execOf({ args: ['x', argument] })
    expect(args).toEqual(['x', argument.slice(0, limits.ARGS_MAX - 2)])
    expect(argsCut).toBe(true)
  })

  test('any of them come out as they went in', () => {
    const argument = fc.string({ unit: 'binary', maxLength: 200 }).map((text) => text.replaceAll('\0', ''))
    const args = fc.array(argument, { minLength: 1, maxLength: 10 }).filter((args) => argv(args).length <= 4096)
    fc.assert(
      fc.property(args, fc.constantFrom(...printings), (args, printing) => {
        expect(execOf({ args }, printing).args).toEqual(args)
      }),
    )
  })
})

describe('paths', () => {
  test('a mount point on the way takes a place but no name', () => {
    expect(execOf({ path: ['run', 'secrets', mount, 'token'] }).path).toBe('/run/secrets/token')
  })

  test('a process at its root is in /', () => {
    expect(execOf({ directory: [] }).directory).toBe('/')
  })

  test('of a file without a parent is its name: a memfd', () => {
    expect(execOf({ path: ['memfd:x'], links: 0 })).toMatchObject({ path: '/memfd:x', deleted: true })
  })

  test('the file itself can be a mount point: a file mounted into a container', () => {
    expect(execOf({ path: ['etc', 'hosts', mount] }).path).toBe('/etc/hosts')
  })

  test('a name that is not UTF-8 has U+FFFD for each byte that is wrong', () => {
    expect(execOf({ path: ['bin', Uint8Array.of(0xff, 0x78, 0xfe)] }).path).toBe('/bin/\ufffdx\ufffd')
  })

  test('names of newlines and spaces are names', () => {
    expect(execOf({ path: ['\n', 'E 1 2 3', '\n'] }).path).toBe('/\n/E 1 2 3/\n')
  })

  test(`of ${limits.PATH_STEPS} names is whole; a deeper one says with … that its beginning is missing`, () => {
    const names = (count: number) => Array.from({ length: count }, (_, at) => `d${at}`)
    const whole = names(limits.PATH_STEPS)
    expect(execOf({ directory: whole }).directory).toBe(`/${whole.join('/')}`)
    const deep = names(limits.PATH_STEPS + 10)
    expect(execOf({ directory: deep }).directory).toBe(`…/${deep.slice(-limits.PATH_STEPS).join('/')}`)
  })
})

describe('sockets', () => {
  const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7]
  const v6 = (text: string) => text.split(':').flatMap((group) => [...Buffer.from(group.padStart(4, '0'), 'hex')])

  test.each<[string, Partial<KernelSocket>, string]>([
    ['IPv4', { peer4: [203, 0, 113, 9] }, '203.0.113.9'],
    ['IPv4 with a high first byte', { peer4: [255, 254, 253, 252] }, '255.254.253.252'],
    ['IPv6', { family: AF_INET6, peer6: v6('2001:db8:0:0:0:0:0:9') }, '2001:db8::9'],
    [
      'the longest zero run is the one that is shortened',
      { family: AF_INET6, peer6: v6('1:0:0:2:0:0:0:3') },
      '1:0:0:2::3',
    ],
    ['IPv6 without zeros', { family: AF_INET6, peer6: v6('fe80:1:2:3:4:5:6:ffff') }, 'fe80:1:2:3:4:5:6:ffff'],
    ['IPv6 loopback', { family: AF_INET6, peer6: v6('0:0:0:0:0:0:0:1') }, '::1'],
    ['IPv4 through an IPv6 socket', { family: AF_INET6, peer6: mapped }, '192.0.2.7'],
    [
      'not the IPv4 words of an IPv6 socket',
      { family: AF_INET6, peer6: v6('2001:db8:0:0:0:0:0:1'), peer4: [9, 9, 9, 9] },
      '2001:db8::1',
    ],
  ])('%s', (_, peer, ip) => {
    expect(connectOf(tcp(peer)).socket).toMatchObject({ ip, port: 4444, stream: true, listening: false })
  })

  test.each([1, 255, 256, 443, 4444, 65_280, 65_535])(
    'port %i, which the kernel keeps in network order',
    (peerPort) => {
      expect(connectOf(tcp({ peerPort })).socket.port).toBe(peerPort)
    },
  )

  test('every IPv4 address', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 1, max: 65_535 }), (ip, peerPort) => {
        expect(connectOf(tcp({ peer4: ip.split('.').map(Number), peerPort })).socket).toMatchObject({
          ip,
          port: peerPort,
        })
      }),
    )
  })

  test('a listening socket has a local port and no peer', () => {
    const listener = { ...tcp({ state: TCP_LISTEN, localPort: 8080, peerPort: 0 }) }
    const { parentSockets } = execOf({ parentSockets: [listener] })
    expect(parentSockets).toEqual([{ family: 'ipv4', stream: true, listening: true, port: 0, localPort: 8080 }])
  })

  test('a datagram socket is no stream', () => {
    const { parentSockets } = execOf({ parentSockets: [tcp({ type: SOCK_DGRAM, peer4: [192, 0, 2, 1] })] })
    expect(parentSockets).toMatchObject([{ stream: false, ip: '192.0.2.1' }])
  })

  test('of the parent are those of the parent, in their order, and none of the process', () => {
    const [a, b] = [tcp({ peer4: [192, 0, 2, 1] }), tcp({ peer4: [192, 0, 2, 2] })]
    const { parentSockets, stdio } = execOf({ parentSockets: [a, b], stdio: [{ mode: 0o100644 }] })
    expect(parentSockets.map(({ ip }) => ip)).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(stdio[0]).not.toHaveProperty('socket')
  })

  test('a unix socket has neither address nor port', () => {
    const unix = tcp({ family: 1, peer4: [1, 2, 3, 4], localPort: 7 })
    expect(execOf({ stdio: [{ mode: S_IFSOCK, socket: unix }] }).stdio[0]?.socket).toEqual({
      family: 'unix',
      stream: true,
      listening: false,
      port: 0,
      localPort: 0,
    })
  })

  test('of another family (netlink, vsock) is other', () => {
    const netlink = tcp({ family: 16, type: 3 })
    expect(execOf({ stdio: [{ mode: S_IFSOCK, socket: netlink }] }).stdio[0]?.socket).toMatchObject({ family: 'other' })
  })
})

describe('descriptors', () => {
  const pipe = { mode: S_IFIFO, inode: '18446744073709551615', device: 15 }

  test('0, 1 and 2 each have their own; a closed one is undefined', () => {
    const { stdio } = execOf({ stdio: [pipe, undefined, { mode: 0o020620, inode: '5', device: 25, node: 0x8800003 }] })
    expect(stdio).toEqual([
      { mode: S_IFIFO, inode: '15:18446744073709551615', node: 0 },
      undefined,
      { mode: 0o020620, inode: '25:5', node: 0x8800003 },
    ])
  })

  test('all three closed', () => {
    expect(execOf({ stdio: [] }).stdio).toEqual([undefined, undefined, undefined])
  })

  test('a socket comes with its peer, on the descriptor that it is on', () => {
    const socket = tcp({ peer4: [203, 0, 113, 9] })
    const { stdio } = execOf({ stdio: [pipe, { mode: S_IFSOCK, socket }, pipe] })
    expect(stdio.map((descriptor) => descriptor?.socket?.ip)).toEqual([undefined, '203.0.113.9', undefined])
  })

  test('wired up later: a stdio act', () => {
    const socket = tcp({ peer4: [203, 0, 113, 9] })
    const file = { mode: S_IFSOCK, socket }
    const act: StdioWired = only(stdioActLines({ pid: 7, uid: 33 }, [file, file, file]), 'stdio')
    expect(act).toMatchObject({ pid: 7, uid: 33 })
    expect(act.stdio.map((descriptor) => descriptor?.socket?.port)).toEqual([4444, 4444, 4444])
  })
})

test('who acted is told with the act', () => {
  const who = { time: 5_000_000, pid: 70, ppid: 60, cgroup: '281474976710657', uid: 33, gid: 34 }
  expect(execOf({ ...who, tid: 70, started: 4_000_000 })).toMatchObject({ ...who, started: 4_000_000, deleted: false })
  expect(only(connectLines({ ...who, tid: 71 }, tcp({})), 'connect')).toMatchObject(who)
})

test('forks, exits, joined and removed cgroups, and heartbeats are whole in one line', () => {
  const { acts, heartbeats } = assembled([
    line('fork', { time: 1, pid: 2, ppid: 3, cgroup: '4' }),
    line('exit', { time: 5, pid: 2, code: 256 }),
    line('cgroup_removed', { time: 6, id: '4' }),
    line('cgroup_joined', { time: 6, pid: 5 }),
    line('heartbeat', { time: 7 }),
  ])
  expect(acts).toEqual([
    { act: 'fork', time: 1, pid: 2, ppid: 3, cgroup: '4' },
    { act: 'exit', time: 5, pid: 2, code: 256 },
    { act: 'cgroup_removed', time: 6, id: '4' },
    { act: 'cgroup_joined', time: 6, pid: 5 },
  ])
  expect(heartbeats).toEqual([7])
})

describe('a cgroup whose path is not sent as a whole is not announced: half of it would name another container', () => {
  const names = (count: number) => Array.from({ length: count }, (_, at) => `c${at}`)

  test(`one that is ${limits.CGROUP_DEPTH} deep or deeper, as a container can make below its own`, () => {
    const announced = (path: string[]) => assembled(cgroupLines({ id: '5', path })).acts
    expect(announced(names(limits.CGROUP_DEPTH - 1))).toMatchObject([{ path: `/${names(15).join('/')}` }])
    expect(announced(names(limits.CGROUP_DEPTH))).toEqual([])
    expect(announced(names(limits.CGROUP_DEPTH + 5))).toEqual([])
  })

  test.each(printings)('one with a name of 128 bytes or more ($skip bytes behind a multiple of 8)', (printing) => {
    const announced = (length: number) =>
      assembled(cgroupLines({ id: '5', path: ['kubepods', 'n'.repeat(length)] }, printing))
    expect(announced(limits.CGROUP_NAME_MAX - 1).acts).toHaveLength(1)
    expect(announced(limits.CGROUP_NAME_MAX)).toMatchObject({ acts: [], incomplete: [] })
    expect(announced(255)).toMatchObject({ acts: [], incomplete: [] })
  })
})

test('a cgroup that is announced by an exec leaves the exec its parts', () => {
  const announced = cgroupLines({ time: 9, tid: 70, id: '5', path: ['a', 'b'] })
  const heard = assembled([...announced, ...execLines({ time: 9, pid: 70, args: ['id'] })])
  expect(heard.incomplete).toEqual([])
  expect(heard.acts).toMatchObject([
    { act: 'cgroup', path: '/a/b' },
    { act: 'exec', args: ['id'], incomplete: false },
  ])
})

describe('two CPUs at a time', () => {
  const args = fc.array(fc.string({ maxLength: 100 }), { minLength: 1, maxLength: 5 })
  const exec = (pid: number, time: number) =>
    args.map((args) => ({ pid, time, args: args.map((a) => a.replaceAll('\0', '')) }))
  /** How often each takes the next turn. */
  const turns = fc.array(fc.boolean(), { maxLength: 100 })
  const interleaved = (left: string[], right: string[], turns: boolean[]): string[] => {
    const [a, b] = [[...left], [...right]]
    const mixed = turns.map((turn) => (turn ? a.shift() : b.shift())).filter((line) => line !== undefined)
    return [...mixed, ...a, ...b]
  }

  test.each([
    ['at different times', 1000, 2000],
    ['in the same nanosecond', 1000, 1000],
  ])('their lines mix %s, their events do not', (_, first, second) => {
    fc.assert(
      fc.property(exec(10, first), exec(20, second), turns, (left, right, turns) => {
        const heard = assembled(interleaved(execLines(left), execLines(right), turns))
        expect(heard).toMatchObject({ incomplete: [], rejected: [], waiting: 0 })
        expect(new Map(heard.acts.map((act) => [act.act === 'exec' && act.pid, act]))).toEqual(
          new Map([
            [10, expect.objectContaining({ args: left.args, incomplete: false })],
            [20, expect.objectContaining({ args: right.args, incomplete: false })],
          ]),
        )
      }),
    )
  })
})

describe('lost lines', () => {
  const long = 'x'.repeat(40)
  const lines = execLines({
    path: ['usr', 'bin', 'n'.repeat(100)],
    directory: ['srv', 'www'],
    args: ['bash', '-c', long, long, long],
    stdio: [{ mode: S_IFSOCK, socket: tcp({ peer4: [203, 0, 113, 9] }) }],
    parentSockets: [tcp({ peer4: [192, 0, 2, 1] })],
  })
  const without = (lost: number) => lines.filter((_, at) => at !== lost)
  const parts = lines.map((_, at) => at).slice(0, -1)

  test.each(parts)('an exec without its part %i is passed on as incomplete, and counted', (lost) => {
    const heard = assembled(without(lost))
    expect(heard.incomplete).toEqual(['exec'])
    expect(heard.acts).toMatchObject([{ act: 'exec', pid: 100, incomplete: true }])
    expect(heard.waiting).toBe(0)
  })

  test.each(parts)('no argument is made of the pieces on both sides of a hole (part %i)', (lost) => {
    const whole = ['bash', '-c', long, long, long]
    const [exec] = assembled(without(lost)).acts
    const { args, argsCut } = exec as Exec
    expect(args.slice(0, -1)).toEqual(whole.slice(0, Math.max(0, args.length - 1)))
    expect(whole[Math.max(0, args.length - 1)]?.startsWith(args.at(-1) ?? '')).toBe(true)
    expect(argsCut).toBe(args.join() !== whole.join())
  })

  test.each(parts)('a path that may have a hole says so, and its last name is right or not there (part %i)', (lost) => {
    const { path, directory } = assembled(without(lost)).acts[0] as Exec
    if (path !== undefined) expect(path).toMatch(/^….*\/n{100}$/)
    if (directory !== undefined) expect(directory).toMatch(/^….*\/www$/)
  })

  test('of all parts: the exec is passed on without path, directory or arguments', () => {
    const heard = assembled(lines.slice(-1))
    expect(heard.incomplete).toEqual(['exec'])
    expect(heard.acts[0]).toMatchObject({ act: 'exec', pid: 100, args: [], argsCut: true, incomplete: true })
    expect(heard.acts[0]).not.toHaveProperty('path')
    expect(heard.acts[0]).not.toHaveProperty('directory')
  })

  test('a cgroup with a hole in its path is not announced: its processes would be taken for another container', () => {
    const announced = cgroupLines({ id: '5', path: ['kubepods', 'pod1', 'container'] })
    for (const lost of announced.keys()) {
      const heard = assembled(announced.filter((_, at) => at !== lost))
      expect(heard.acts).toEqual([])
      expect(heard.incomplete).toEqual(lost === announced.length - 1 ? [] : ['cgroup'])
    }
  })

  test('a head that is lost leaves parts; they are dropped and counted two seconds later', () => {
    const orphans = without(lines.length - 1)
    const heartbeat = (time: number) => line('heartbeat', { time })
    expect(assembled([...orphans, heartbeat(1_500_000_000)])).toMatchObject({ waiting: 1, incomplete: [] })
    const heard = assembled([...orphans, heartbeat(1_500_000_000), heartbeat(2_500_000_000)])
    expect(heard).toMatchObject({
      waiting: 0,
      incomplete: ['text'],
      acts: [],
      heartbeats: [1_500_000_000, 2_500_000_000],
    })
  })

  test('orphans of one event are not taken for parts of the next one of the same thread', () => {
    const orphans = execLines({ time: 1000, pid: 7, args: ['lost'] }).slice(0, -1)
    const heard = assembled([...orphans, ...execLines({ time: 2000, pid: 7, args: ['whole'] })])
    expect(heard.acts).toMatchObject([{ args: ['whole'], incomplete: false }])
    expect(heard.waiting).toBe(1)
  })

  test('ten thousand orphans are all dropped: nothing is kept of them', () => {
    const orphans = Array.from({ length: 10_000 }, (_, at) =>
      line('name', { time: at, tid: at, section: 0, bytes: Buffer.alloc(1) }),
    )
    const heard = assembled([...orphans, line('heartbeat', { time: 3e9 })])
    expect(heard.waiting).toBe(0)
    expect(heard.incomplete).toHaveLength(10_000)
  })

  test('whichever lines are lost, nothing throws, every head that came is an event', () => {
    const stream = [
      ...cgroupLines({ time: 1, tid: 5, id: '9', path: ['a', 'b'] }),
      ...execLines({ time: 1, pid: 5, args: ['a', long] }),
      ...connectLines({ time: 2, pid: 5 }, tcp({})),
      ...stdioActLines({ time: 3, pid: 5 }, [{ mode: S_IFSOCK, socket: tcp({}) }]),
    ]
    const kept = fc.array(fc.boolean(), { minLength: stream.length, maxLength: stream.length })
    fc.assert(
      fc.property(kept, (kept) => {
        const lines = stream.filter((_, at) => kept[at])
        const { acts } = assembled(lines)
        const heads = lines.filter((text) => /^[EI]/.test(text)).length
        expect(acts.filter(({ act }) => act === 'exec' || act === 'stdio')).toHaveLength(heads)
      }),
    )
  })
})

describe('a path is told in full once a second, and else by its key', () => {
  const second = 1e9
  const keys = { path: '18446744073709551615', directory: '2' }
  const full = (time: number): KernelExec => ({ time, keys, path: ['usr', 'bin', 'env'], directory: ['srv', 'a'] })
  const known = (time: number): KernelExec => ({ time, keys, told: 3 })
  const paths = (...execs: KernelExec[]) => {
    const heard = assembled(execs.flatMap((exec) => execLines(exec)))
    expect(heard).toMatchObject({ rejected: [], waiting: 0 })
    return { ...heard, paths: heard.acts.map((act) => act.act === 'exec' && [act.path, act.directory]) }
  }
  const both = ['/usr/bin/env', '/srv/a']

  test('by its key it is the one that was told in full before', () => {
    const heard = paths(full(1), known(2), { ...known(3), told: 1, directory: [] }, full(second + 4), known(second + 5))
    expect(heard.paths).toEqual([both, both, ['/usr/bin/env', '/'], both, both])
    expect(heard.incomplete).toEqual([])
  })

  test('what is told by a key is known for as long as the kernel side may say the key', () => {
    const others = Array.from({ length: 40 }, (_, at) => ({ ...full(at * second), keys: { path: `9${at}` } }))
    for (const at of [0, 1, 17, 38]) {
      const before = others.slice(0, at)
      const after = others.slice(at, at + 1)
      const heard = paths(...before, full(at * second), ...after, known((at + 1) * second))
      expect(heard.paths.at(-1)).toEqual(both)
    }
  })

  test('the root has no key, and neither has a file without a path: nothing of it is lost', () => {
    const heard = paths({ time: 1, path: [], directory: [] })
    expect(heard.paths).toEqual([[undefined, '/']])
    expect(heard.incomplete).toEqual([])
  })

  test('where the one that told it was lost, or came in part, it is absent and counted', () => {
    expect(paths(known(1))).toMatchObject({ paths: [[undefined, undefined]], incomplete: ['exec'] })
    const [, ...partly] = execLines(full(1))
    const heard = assembled([...partly, ...execLines(known(2))])
    expect(heard.incomplete).toEqual(['exec', 'exec'])
    expect(heard.acts.at(-1)).not.toHaveProperty('path')
  })

  test('a key of 0 is none', () => {
    expect(paths({ ...full(1), keys: {} }, { ...known(2), keys: {} }).paths.at(-1)).toEqual([undefined, undefined])
  })
})
