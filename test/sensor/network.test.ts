import { describe, expect, test } from 'vitest'
import { sections } from '../../bpf/records.ts'
import type { Event } from '../../sensor/event.ts'
import { sockaddrOf } from '../../sensor/sockaddr.ts'
import { assembled } from './heard.ts'
import { line, type Printing, plain, printings, textLines } from './kernel.ts'

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const IPPROTO_UDP = 17
const IPPROTO_TCP = 6

const head = { time: 7, tid: 100 }
const actor = { ...head, pid: 100, ppid: 99, cgroup: '1', uid: 0, gid: 0 }

const text = (section: number, bytes: Buffer, printing: Printing = plain, index = 0) =>
  textLines(head, { section, index, bytes }, printing)
const words = (octets: number[]) => {
  const bytes = Buffer.from([...octets, ...Array<number>(16 - octets.length).fill(0)])
  return {
    ip4: bytes.readUInt32LE(0),
    ip6_0: bytes.readUInt32LE(0),
    ip6_1: bytes.readUInt32LE(4),
    ip6_2: bytes.readUInt32LE(8),
    ip6_3: bytes.readUInt32LE(12),
  }
}
const address = (family: number, octets: number[], port: number) =>
  line('address', { ...head, family, port, ...words(octets) })

/** What the one event of these lines tells. */
function told(lines: string[]): Partial<Event> {
  const { acts, incomplete, rejected } = assembled(lines)
  expect({ acts: acts.length, incomplete, rejected }).toEqual({ acts: 1, incomplete: [], rejected: [] })
  const [act] = acts
  if (act?.act !== 'deed') throw new Error(`a ${act?.act}`)
  return { type: act.type, ...act.about }
}

const unix = (name: string) => Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(name)])
const inet = (port: number, octets: number[]) =>
  Buffer.from([AF_INET, 0, port >> 8, port & 0xff, ...octets, 0, 0, 0, 0, 0, 0, 0, 0])
const inet6 = (port: number, octets: number[]) =>
  Buffer.from([AF_INET6, 0, port >> 8, port & 0xff, 0, 0, 0, 0, ...octets, 0, 0, 0, 0])
const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]

describe('a socket address', () => {
  test.each([
    ['IPv4', inet(4660, [192, 0, 2, 1]), { family: 'ipv4', ip: '192.0.2.1', port: 4660 }],
    [
      'IPv6',
      inet6(443, [0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 1]),
      { family: 'ipv6', ip: '2001:db8::1', port: 443 },
    ],
    ['IPv4 within IPv6', inet6(1, mapped), { family: 'ipv6', ip: '192.0.2.1', port: 1 }],
    ['a path', unix('/run/x.sock\0'), { family: 'unix', path: '/run/x.sock' }],
    ['a path without its NUL', unix('/run/x.sock'), { family: 'unix', path: '/run/x.sock' }],
    ['an abstract name, NULs and all', unix('\0a\0b'), { family: 'unix', path: '@a@b' }],
    ['no name', unix(''), { family: 'unix' }],
  ])('%s', (_, bytes, expected) => {
    expect(sockaddrOf(bytes)).toEqual(expected)
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte', Buffer.of(2)],
    ['IPv4 too short', inet(1, [1, 2, 3, 4]).subarray(0, 7)],
    ['IPv6 too short', inet6(1, mapped).subarray(0, 23)],
    ['another family', Buffer.of(16, 0, 0, 0, 0, 0, 0, 0)],
  ])('none in %s', (_, bytes) => {
    expect(sockaddrOf(bytes)).toBeUndefined()
  })
})

describe('a connect that only its system call tells of', () => {
  const connect = (returned: number, type: number, bytes: Buffer, printing = plain) => {
    const parts = text(sections.ADDRESS, bytes, printing)
    return [...parts, line('connect_to', { ...actor, parts: parts.length, returned, type }, printing)]
  }

  test.each(printings)('a unix socket with the longest name, $skip bytes behind a multiple of 8', (printing) => {
    const path = `/${'n'.repeat(107)}`
    expect(told(connect(0, SOCK_STREAM, unix(path), printing))).toEqual({
      type: 'connect',
      destination: { path },
      network: { transport: 'unix' },
    })
  })

  test('one that was refused says where to, and why not', () => {
    expect(told(connect(-13, SOCK_DGRAM, inet(53, [192, 0, 2, 1])))).toEqual({
      type: 'connect',
      destination: { ip: '192.0.2.1', port: 53 },
      network: { transport: 'udp', type: 'ipv4' },
      error: { code: 'EACCES' },
    })
  })

  test('half an address is none', () => {
    const [, ...rest] = connect(0, SOCK_STREAM, unix(`/${'n'.repeat(107)}`))
    const { acts, incomplete } = assembled(rest)
    expect(incomplete).toEqual(['connect_to'])
    expect(acts[0]).not.toHaveProperty('about.destination')
  })
})

describe('a datagram to a new place', () => {
  const datagram = (pid: number, ...parts: string[]) => [
    ...parts,
    line('datagram', { ...actor, pid, parts: parts.length, local_port: 4000 }),
  ]

  test('is a connect by UDP, to where the packet goes', () => {
    const { acts } = assembled(datagram(100, address(AF_INET, [192, 0, 2, 1], 514)))
    const { time, tid: _, ...who } = actor
    expect(acts).toEqual([
      {
        act: 'connect',
        time,
        ...who,
        socket: { family: 'ipv4', ip: '192.0.2.1', port: 514, localPort: 4000, stream: false, listening: false },
      },
    ])
  })

  test('over IPv6', () => {
    const { acts } = assembled(datagram(100, address(AF_INET6, [0xff, 2, ...Array<number>(13).fill(0), 0xfb], 5353)))
    expect(acts).toMatchObject([{ socket: { family: 'ipv6', ip: 'ff02::fb', port: 5353 } }])
  })

  test('without its address is counted, and nothing is told', () => {
    const lost = assembled([line('datagram', { ...actor, parts: 1, local_port: 4000 })])
    expect(lost).toMatchObject({ acts: [], incomplete: ['datagram'] })
  })
})

describe('a question', () => {
  const message = Buffer.from('123401000001000000000000046e616d65076578616d706c650000100001', 'hex')
  const length = Buffer.of(0, message.length)
  const question = (protocol: number, ...parts: string[]) => [
    ...parts,
    line('dns', { ...actor, parts: parts.length, protocol }),
  ]
  const server = address(AF_INET, [192, 0, 2, 53], 53)
  const whom = { type: 'dns', destination: { ip: '192.0.2.53', port: 53 } }
  const dns = { question: { name: 'name.example', type: 'TXT' } }

  test('by UDP', () => {
    expect(told(question(IPPROTO_UDP, ...text(sections.QUESTION, message), server))).toEqual({
      ...whom,
      dns,
      network: { transport: 'udp', type: 'ipv4' },
    })
  })

  test('by TCP, in pieces of one write', () => {
    const pieces = [length, message.subarray(0, 5), message.subarray(5)].flatMap((bytes, index) =>
      text(sections.QUESTION, bytes, plain, index),
    )
    expect(told(question(IPPROTO_TCP, ...pieces, server))).toEqual({
      ...whom,
      dns,
      network: { transport: 'tcp', type: 'ipv4' },
    })
  })

  test('that is none is told without a name', () => {
    expect(told(question(IPPROTO_UDP, ...text(sections.QUESTION, Buffer.alloc(100, 255)), server))).toEqual({
      ...whom,
      network: { transport: 'udp', type: 'ipv4' },
    })
  })

  test('of which a part was lost is told without a name', () => {
    const { acts, incomplete } = assembled([
      ...text(sections.QUESTION, message),
      server,
      line('dns', { ...actor, parts: 3, protocol: IPPROTO_UDP }),
    ])
    expect(incomplete).toEqual(['dns'])
    expect(acts).toHaveLength(1)
    expect(acts[0]).not.toHaveProperty('about.dns')
  })
})

describe('servers and sockets', () => {
  test('listen tells what is listened on', () => {
    const lines = [address(AF_INET6, [], 443), line('listen', { ...actor, parts: 1, type: SOCK_STREAM })]
    expect(told(lines)).toEqual({
      type: 'listen',
      source: { ip: '::', port: 443 },
      network: { transport: 'tcp', type: 'ipv6' },
    })
  })

  test('accept tells both ends, and of its own the port if the rest was lost', () => {
    const accept = (parts: number) =>
      line('accept', {
        ...actor,
        parts,
        ...{ type: SOCK_STREAM, family: AF_INET, state: 1, local_port: 443, peer_port_be: 0x901f },
        ...{ peer4: words([192, 0, 2, 1]).ip4, peer6_0: 0, peer6_1: 0, peer6_2: 0, peer6_3: 0 },
      })
    const about = {
      source: { ip: '192.0.2.1', port: 8080 },
      destination: { ip: '198.51.100.1', port: 443 },
      network: { transport: 'tcp', type: 'ipv4' },
    }
    expect(told([address(AF_INET, [198, 51, 100, 1], 443), accept(1)])).toEqual({ type: 'accept', ...about })
    expect(assembled([accept(1)])).toMatchObject({
      acts: [{ type: 'accept', about: { ...about, destination: { port: 443 } } }],
      incomplete: ['accept'],
    })
  })

  test.each([
    [17, 3, 0x0300, 0, { socket: { family: 'packet', type: 'raw', protocol: 3 } }],
    [2, 3, 1, -1, { socket: { family: 'ipv4', type: 'raw', protocol: 1 }, error: { code: 'EPERM' } }],
    [38, 5, 0, 5, { socket: { family: 'alg', type: 'seqpacket', protocol: 0 } }],
    [77, 9, 0, -97, { socket: { family: '77', type: '9', protocol: 0 }, error: { code: 'EAFNOSUPPORT' } }],
  ])('socket(%i, %i, %i) -> %i', (family, type, protocol, returned, about) => {
    const made = line('socket_made', { ...actor, parts: 0, returned, family, type, protocol })
    expect(told([made])).toEqual({ type: 'socket', ...about })
  })
})
