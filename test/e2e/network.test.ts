import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Event, EventType } from '../../sensor/event.ts'
import { act, type EventStream, type Journal, kernelTest, watchEvents } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-network-'))
const ring = join(directory, 'ring')
let stream: EventStream
let events: Journal<Event>

beforeAll(async () => {
  chmodSync(directory, 0o755)
  execFileSync('gcc', ['-o', ring, join(import.meta.dirname, 'ring.c')])
  stream = watchEvents(['connect', 'dns', 'listen', 'accept', 'socket', 'stdio', 'exit', 'gap'])
  events = stream.events
  await stream.attached
}, 60_000)
afterAll(async () => {
  await stream?.stop()
  rmSync(directory, { recursive: true })
})

/** Runs a command in a network namespace of its own with loopback up, after `setup`, and gives what it did there. */
async function inNetwork(command: string[], types: EventType[], setup = 'true'): Promise<Event[]> {
  const pid = await act('unshare', [
    '--net',
    '--mount',
    'sh',
    '-ec',
    `ip link set lo up; ${setup}; exec "$@"`,
    'sh',
    ...command,
  ])
  await stream.ended(pid)
  return events.all.filter(({ type, process }) => process?.pid === pid && types.includes(type))
}

const python = (script: string, ...args: string[]) => ['python3', '-c', `import socket,os,sys\n${script}`, ...args]
const brief = ({ type, destination, source, network, dns, error, socket }: Event) =>
  Object.fromEntries(
    Object.entries({ type, destination, source, network, dns, error, socket }).filter(([, value]) => value),
  )

describe('a place that is reached by UDP is told, whatever call sends there', () => {
  const v4 = 'socket.socket(socket.AF_INET,socket.SOCK_DGRAM)'
  const v6 = 'socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)'
  const to = { ip: '127.0.0.1', port: 9999 }
  for (const [how, command, destination] of [
    ['sendto', python(`${v4}.sendto(b"x",("127.0.0.1",9999))`), to],
    ['sendmsg', python(`${v4}.sendmsg([b"x"],[],0,("127.0.0.1",9999))`), to],
    ['connect and write', python(`s=${v4};s.connect(("127.0.0.1",9999));os.write(s.fileno(),b"x")`), to],
    ['connect alone', python(`${v4}.connect(("127.0.0.1",9999))`), to],
    ['a bound socket', python(`s=${v4};s.bind(("127.0.0.1",7));s.sendto(b"x",("127.0.0.1",9999))`), to],
    ['IPv6', python(`${v6}.sendto(b"x",("::1",9999))`), { ip: '::1', port: 9999 }],
    ['IPv4 in an IPv6 socket', python(`${v6}.sendto(b"x",("::ffff:127.0.0.1",9999))`), to],
    [
      'a raw socket',
      python(
        's=socket.socket(socket.AF_INET,socket.SOCK_RAW,17);s.sendto(bytes([0,1,39,15,0,9,0,0,65]),("127.0.0.1",0))',
      ),
      to,
    ],
    ['bash', ['bash', '-c', 'echo x > /dev/udp/127.0.0.1/9999'], to],
    ['io_uring', [ring, '127.0.0.1', '9999', 'send'], to],
  ] as const)
    kernelTest(how, async () => {
      const seen = await inNetwork([...command], ['connect'])
      expect(seen.map(({ destination, network }) => ({ destination, transport: network?.transport }))).toEqual([
        { destination, transport: 'udp' },
      ])
    })

  kernelTest('once for each socket and place, not for each datagram', async () => {
    const script = `s=${v4}
for i in range(50): s.sendto(b"x",("127.0.0.1",9000+i%2))
s=${v4}
s.sendto(b"x",("127.0.0.1",9000))`
    const seen = await inNetwork(python(script), ['connect'])
    expect(seen.map(({ destination }) => destination?.port)).toEqual([9000, 9001, 9000])
  })

  kernelTest('but not what a server answers to the ports of its clients', async () => {
    const seen = await inNetwork(
      python(
        `s=${v4};s.bind(("127.0.0.1",53));c=${v4};c.sendto(b"x",("127.0.0.1",53));s.sendto(b"y",s.recvfrom(9)[1])`,
      ),
      ['connect'],
    )
    expect(seen.map(({ destination }) => destination?.port)).toEqual([53])
  })

  kernelTest(
    'and once where its packet goes through a bridge, and in the name of its sender where it had to wait',
    async () => {
      const setup = `ip link add br0 type bridge; ip link add one type veth peer name other; ip link set one master br0
      ip addr add 10.99.0.1/24 dev br0; ip link set br0 up; ip link set one up
      unshare --net sh -c 'echo $$; exec sleep 60' > ${directory}/peer & sleep=$!
      while ! grep -q . ${directory}/peer; do :; done; ip link set other netns $sleep
      nsenter --target $sleep --net sh -c 'ip addr add 10.99.0.2/24 dev other; ip link set other up'`
      const script = `${v4}.sendto(bytes.fromhex("12340100000100000000000006627269646765076578616d706c650000100001"),("10.99.0.2",53))
os.kill(int(open("${directory}/peer").read()),9)`
      const seen = await inNetwork(python(script), ['connect', 'dns'], setup)
      expect(seen.map(brief)).toEqual([
        expect.objectContaining({ type: 'connect', destination: { ip: '10.99.0.2', port: 53 } }),
        expect.objectContaining({ type: 'dns', dns: { question: { name: 'bridge.example', type: 'TXT' } } }),
      ])
    },
  )

  kernelTest("but in nobody's where it left after its sender had gone to sleep", async () => {
    // The neighbour has its address only after the first request for it; the kernel asks again by a timer. Others are at
    // work then, so that it interrupts one of them.
    const setup = `ip link add one type veth peer name other; ip addr add 10.99.0.1/24 dev one; ip link set one up
      unshare --net sh -c 'echo $$; exec sleep 60' > ${directory}/late & sleep=$!
      while ! grep -q . ${directory}/late; do :; done; ip link set other netns $sleep
      nsenter --target $sleep --net ip link set other up`
    const script = `import subprocess
peer=open("${directory}/late").read().strip()
busy=[subprocess.Popen(["timeout","10","sh","-c","while :; do :; done"]) for _ in range(os.cpu_count())]
s=${v4};s.connect(("10.99.0.2",53))
s.send(bytes.fromhex("123401000001000000000000046c617465076578616d706c650000010001"))
subprocess.run(["nsenter","--target",peer,"--net","ip","addr","add","10.99.0.2/24","dev","other"])
try: s.recv(1)
except OSError: pass
for one in busy: one.terminate();one.wait()
os.kill(int(peer),9)`
    expect(await inNetwork(python(script), ['dns'], setup)).toEqual([])
    const late = events.all.filter(({ dns }) => dns?.question?.name === 'late.example')
    expect(late.map(({ process, destination }) => ({ process, destination }))).toEqual([
      { process: { user: { id: 0 } }, destination: { ip: '10.99.0.2', port: 53 } },
    ])
  })
})

describe('a DNS question is told with its name and its server', () => {
  const question = 'bytes.fromhex("1234010000010000000000000377777707457861-6d706c6500001c0001".replace("-",""))'
  const v4 = 'socket.socket(socket.AF_INET,socket.SOCK_DGRAM)'
  const server = 'socket.create_server(("127.0.0.1",53))'
  const tcp = `import struct;l=${server};s=socket.create_connection(("127.0.0.1",53));q=${question};n=struct.pack("!H",len(q))`
  for (const [how, command, transport] of [
    ['sendto', python(`${v4}.sendto(${question},("127.0.0.1",53))`), 'udp'],
    ['sendmsg', python(`q=${question};${v4}.sendmsg([q[:9],q[9:]],[],0,("127.0.0.1",53))`), 'udp'],
    ['connect and send', python(`s=${v4};s.connect(("127.0.0.1",53));s.send(${question})`), 'udp'],
    ['connect and write', python(`s=${v4};s.connect(("127.0.0.1",53));os.write(s.fileno(),${question})`), 'udp'],
    ['TCP in one write', python(`${tcp};os.write(s.fileno(),n+q)`), 'tcp'],
    ['TCP by sendto', python(`${tcp};s.send(n+q)`), 'tcp'],
    ['TCP by writev', python(`${tcp};os.writev(s.fileno(),[n,q])`), 'tcp'],
    ['TCP by sendmsg', python(`${tcp};s.sendmsg([n,q])`), 'tcp'],
    ['TCP, the length first', python(`${tcp};s.send(n);s.send(q)`), 'tcp'],
  ] as const)
    kernelTest(how, async () => {
      const seen = await inNetwork([...command], ['dns'])
      expect(seen.map(brief)).toEqual([
        {
          type: 'dns',
          dns: { question: { name: 'www.example', type: 'AAAA' } },
          destination: { ip: '127.0.0.1', port: 53 },
          network: { transport, type: 'ipv4' },
        },
      ])
    })

  const onX86 = process.arch === 'x64' ? kernelTest : kernelTest.skip
  onX86('a call as 32-bit programs make it, laid to its process', async () => {
    const compat = join(directory, 'compat')
    execFileSync('gcc', ['-static', '-w', '-o', compat, join(import.meta.dirname, '../kernels/guest/compat.c')])
    const seen = await inNetwork([compat, 'ask', '-'], ['dns'])
    expect(seen.map(({ dns }) => dns?.question)).toEqual([{ name: 'node.example', type: 'AAAA' }])
  })

  kernelTest('io_uring', async () => {
    const [seen] = await inNetwork([ring, '127.0.0.1', '53', 'send'], ['dns'])
    expect(seen?.dns?.question).toEqual({ name: 'ring.example', type: 'A' })
  })

  kernelTest("the system's own resolver, which asks two at once", async () => {
    writeFileSync(join(directory, 'resolv.conf'), 'nameserver 127.0.0.1\noptions attempts:1 timeout:1\n')
    const setup = `mount --bind ${directory}/resolv.conf /etc/resolv.conf`
    const seen = await inNetwork(['getent', 'ahosts', 'Night-Jar.Example.'], ['dns'], setup)
    expect(new Set(seen.map(({ dns }) => `${dns?.question?.name} ${dns?.question?.type}`))).toEqual(
      new Set(['night-jar.example A', 'night-jar.example AAAA']),
    )
  })

  kernelTest(
    'a name made of hostile bytes is escaped; what is no question has none, and is told all the same',
    async () => {
      const hostile = String.raw`b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x0aa.b\n\"\\\xff \0C\2zz\0\0\x10\0\1"`
      const script = `s=${v4}
for data in (${hostile}, b"\\xff"*40, b"", b"x"*1400): s.sendto(data,("127.0.0.1",53))`
      const seen = await inNetwork(python(script), ['dns'])
      expect(seen.map(({ dns }) => dns?.question)).toEqual([
        { name: 'a\\046b\\010"\\092\\255\\032\\000c.zz', type: 'TXT' },
        undefined,
        undefined,
        undefined,
      ])
    },
  )
})

describe('connects that are not TCP under way', () => {
  const unix = (address: string) =>
    `a=${address};l=socket.socket(socket.AF_UNIX);l.bind(a);l.listen();socket.socket(socket.AF_UNIX).connect`

  kernelTest('a unix socket by the name that it was bound to, reached through a symbolic link', async () => {
    symlinkSync('real.sock', join(directory, 'link.sock'))
    const command = python(
      `${unix('sys.argv[1]')}(sys.argv[2])`,
      join(directory, 'real.sock'),
      join(directory, 'link.sock'),
    )
    expect((await inNetwork(command, ['connect'])).map(brief)).toEqual([
      { type: 'connect', destination: { path: join(directory, 'real.sock') }, network: { transport: 'unix' } },
    ])
  })

  kernelTest('an abstract one', async () => {
    const [seen] = await inNetwork(python(`${unix('b"\\0nightjar\\nC 1"')}(a)`), ['connect'])
    expect(seen?.destination).toEqual({ path: '@nightjar\nC 1' })
  })

  kernelTest('one that its permissions refuse', async () => {
    const path = join(directory, 'shut.sock')
    const script = `${unix('sys.argv[1]')};os.chmod(a,0);os.setuid(65534)
try: socket.socket(socket.AF_UNIX).connect(a)
except PermissionError: pass`
    expect((await inNetwork(python(script, path), ['connect'])).map(brief)).toEqual([
      { type: 'connect', destination: { path }, network: { transport: 'unix' }, error: { code: 'EACCES' } },
    ])
  })

  kernelTest('TCP where there is no route, by both families', async () => {
    const script = `socket.socket().connect_ex(("192.0.2.1",80));socket.socket(socket.AF_INET6).connect_ex(("2001:db8::1",81))`
    const error = { code: 'ENETUNREACH' }
    expect((await inNetwork(python(script), ['connect'])).map(brief)).toEqual([
      {
        type: 'connect',
        destination: { ip: '192.0.2.1', port: 80 },
        network: { transport: 'tcp', type: 'ipv4' },
        error,
      },
      {
        type: 'connect',
        destination: { ip: '2001:db8::1', port: 81 },
        network: { transport: 'tcp', type: 'ipv6' },
        error,
      },
    ])
  })

  kernelTest('TCP that is refused by the other side is one event, of the attempt', async () => {
    const seen = await inNetwork(python('socket.socket().connect_ex(("127.0.0.1",80))'), ['connect'])
    expect(seen.map(({ destination, error }) => ({ destination, error }))).toEqual([
      { destination: { ip: '127.0.0.1', port: 80 }, error: undefined },
    ])
  })

  for (const [how, command] of [
    ['a non-blocking connect', python('s=socket.socket();s.setblocking(False);s.connect_ex(("127.0.0.1",80))')],
    [
      'fast open',
      python('l=socket.create_server(("127.0.0.1",80));socket.socket().sendto(b"x",0x20000000,("127.0.0.1",80))'),
    ],
    ['io_uring', [ring, '127.0.0.1', '80', 'connect']],
  ] as const)
    kernelTest(`TCP by ${how}`, async () => {
      const seen = await inNetwork([...command], ['connect'])
      expect(seen.map(({ destination, network }) => ({ destination, transport: network?.transport }))).toEqual([
        { destination: { ip: '127.0.0.1', port: 80 }, transport: 'tcp' },
      ])
    })
})

kernelTest('a socket of ICMP that is connected, with a port, is no UDP', async () => {
  const ping = python('socket.socket(socket.AF_INET,socket.SOCK_DGRAM,socket.IPPROTO_ICMP).connect(("127.0.0.1",9))')
  const allowed = 'echo 0 0 >/proc/sys/net/ipv4/ping_group_range'
  expect(await inNetwork(ping, ['connect'], allowed)).toEqual([])
})

describe('servers', () => {
  kernelTest('listen: what is listened on, and by which transport', async () => {
    const script = `socket.create_server(("127.0.0.1",8080))
socket.create_server(("::",8081),family=socket.AF_INET6)
u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);u.bind(("",5353))
v=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);v.bind(("",0))
socket.create_server(sys.argv[1],family=socket.AF_UNIX)`
    const seen = await inNetwork(python(script, join(directory, 'served')), ['listen'])
    expect(seen.map(brief)).toEqual([
      { type: 'listen', source: { ip: '127.0.0.1', port: 8080 }, network: { transport: 'tcp', type: 'ipv4' } },
      { type: 'listen', source: { ip: '::', port: 8081 }, network: { transport: 'tcp', type: 'ipv6' } },
      { type: 'listen', source: { ip: '0.0.0.0', port: 5353 }, network: { transport: 'udp', type: 'ipv4' } },
    ])
  })

  kernelTest('listen on the port that the kernel chose', async () => {
    const port = join(directory, 'port')
    const script = 's=socket.socket();s.listen();open(sys.argv[1],"w").write(str(s.getsockname()[1]))'
    const [seen] = await inNetwork(python(script, port), ['listen'])
    expect(seen?.source).toEqual({ ip: '0.0.0.0', port: Number(execFileSync('cat', [port], { encoding: 'utf8' })) })
  })

  kernelTest('accept: both ends', async () => {
    const script = `l=socket.create_server(("127.0.0.1",8080))
c=socket.socket();c.bind(("127.0.0.2",4000));c.connect(("127.0.0.1",8080));l.accept()`
    expect((await inNetwork(python(script), ['accept'])).map(brief)).toEqual([
      {
        type: 'accept',
        source: { ip: '127.0.0.2', port: 4000 },
        destination: { ip: '127.0.0.1', port: 8080 },
        network: { transport: 'tcp', type: 'ipv4' },
      },
    ])
  })
})

describe('sockets that ordinary programs have no use for', () => {
  // UDP-Lite, which newer kernels leave out; stands for SCTP, DCCP and the like, too.
  const hasUdpLite = spawnSync('python3', ['-c', 'import socket;socket.socket(2,2,136)']).status === 0
  for (const [made, socket] of [
    ['AF_INET,socket.SOCK_RAW,1', { family: 'ipv4', type: 'raw', protocol: 1 }],
    ['AF_PACKET,socket.SOCK_RAW,socket.htons(3)', { family: 'packet', type: 'raw', protocol: 3 }],
    ['AF_NETLINK,socket.SOCK_RAW,12', { family: 'netlink', type: 'raw', protocol: 12 }],
    ...(hasUdpLite
      ? [['AF_INET,socket.SOCK_DGRAM,136', { family: 'ipv4', type: 'datagram', protocol: 136 }] as const]
      : []),
  ] as const)
    kernelTest(`socket(${made})`, async () => {
      const seen = await inNetwork(python(`socket.socket(socket.${made})`), ['socket'])
      expect(seen.map((event) => event.socket)).toEqual([socket])
    })

  kernelTest('are told when they are refused; everyday ones are not told at all', async () => {
    const script = `os.setuid(65534)
for kind in ((2,1),(2,2),(2,1,6),(2,2,17),(10,1),(1,1),(16,3,0)): socket.socket(*kind)
try: socket.socket(17,3,0)
except PermissionError: pass`
    expect((await inNetwork(python(script), ['socket'])).map(brief)).toEqual([
      { type: 'socket', socket: { family: 'packet', type: 'raw', protocol: 0 }, error: { code: 'EPERM' } },
    ])
  })
})

kernelTest('a shell that is wired to a UDP socket is wired outward', async () => {
  const seen = await inNetwork(['bash', '-c', 'exec 0<>/dev/udp/127.0.0.1/53 1>&0; exit'], ['stdio'])
  expect(seen.at(-1)?.process?.stdin).toEqual({
    type: 'socket',
    peer: { ip: '127.0.0.1', port: 53 },
    direction: 'outbound',
  })
})

kernelTest('and nothing of all this was lost or rejected', () => {
  expect(events.all.filter(({ type }) => type === 'gap')).toEqual([])
  expect(stream.log()).not.toContain('is no record')
})
