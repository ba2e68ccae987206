import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { type Event, type EventType, eventTypes } from '../../sensor/event.ts'
import { act, type EventStream, type Journal, kernelTest, watchEvents } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-privilege-'))
const program = join(directory, 'privilege')
let stream: EventStream
let events: Journal<Event>

beforeAll(async () => {
  chmodSync(directory, 0o755)
  execFileSync('gcc', ['-w', '-o', program, join(import.meta.dirname, 'privilege.c')])
  // Nothing of the file families: what the machine's other programs do there would be most of the stream.
  const types = eventTypes.filter(
    (type) => !['open', 'dns', 'chmod', 'chown', 'link', 'rename', 'unlink', 'mkdir'].includes(type),
  )
  stream = watchEvents(types)
  events = stream.events
  await stream.attached
}, 60_000)
afterAll(async () => {
  await stream?.stop()
  rmSync(directory, { recursive: true })
})

/** Runs it to its end: its number, what it printed, and the events of these types that it made, without who and when. */
async function made(types: EventType[], command: string[], cwd = directory) {
  const [name = '', ...args] = command
  const running = spawn(name, args, { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
  let printed = ''
  running.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  const { pid } = running
  await new Promise((resolve) => running.once('close', resolve))
  await stream.ended(pid)
  const own = events.all.filter(({ type, process }) => process?.pid === pid && types.includes(type))
  const told = own.map(
    ({ type: _, time: __, process: ___, host: ____, identity: _____, container: ______, ...rest }) => rest,
  )
  return { pid, printed, told, own }
}
const does = (types: EventType[], ...args: string[]) => made(types, [program, ...args])

describe('ptrace', () => {
  kernelTest('attaching, a thousand reads, a write: three events, with the traced process', async () => {
    const { told, printed } = await does(['ptrace'], 'trace')
    const target = { pid: Number(printed), name: 'privilege', command_line: `${program} trace` }
    expect(told).toMatchObject(['attach', 'peek', 'poke'].map((request) => ({ ptrace: { request }, target })))
    expect(told).toHaveLength(3)
  })

  kernelTest('memory read and written without attaching', async () => {
    const { told, printed } = await does(['ptrace'], 'memory')
    expect(told).toMatchObject([
      { ptrace: { request: 'process_vm_readv' }, target: { pid: Number(printed) } },
      { ptrace: { request: 'process_vm_writev' }, target: { pid: Number(printed) } },
    ])
  })

  kernelTest('in a PID namespace of its own, the target is the one that is meant there', async () => {
    // The program is number 1 there, its child number 2; the fork of unshare is in between.
    const { pid } = await made(['exit'], ['unshare', '--pid', '--fork', program, 'trace'])
    const inside = events.all.filter(({ type, process }) => type === 'ptrace' && process?.ppid === pid)
    expect(inside.map(({ ptrace }) => ptrace?.request)).toEqual(['attach', 'peek', 'poke'])
    const [first] = inside
    const exits = events.all.filter(({ type, process }) => type === 'exit' && process?.ppid === first?.process?.pid)
    expect(inside.map(({ target }) => target?.pid)).toEqual(Array(3).fill(exits[0]?.process?.pid))
    expect(first?.target?.pid).toBeGreaterThan(2)
  })
})

describe('namespaces', () => {
  kernelTest('made by unshare; the machine’s own entered again, by a descriptor alone', async () => {
    const { told } = await does(['namespace'], 'back')
    expect(told).toEqual([
      { namespace: { operation: 'unshare', types: ['ipc', 'uts'] } },
      { namespace: { operation: 'setns', types: ['uts'], host: true } },
    ])
  })

  kernelTest('another process’s entered, by a descriptor of that process', async () => {
    const { told, printed } = await does(['namespace'], 'join')
    expect(told).toMatchObject([
      { namespace: { operation: 'setns', types: ['ipc', 'uts'], host: false }, target: { pid: Number(printed) } },
    ])
  })

  kernelTest('made for a child by clone, and entering one refused', async () => {
    const clone =
      'import ctypes,os;c=ctypes.CDLL(None);p=c.syscall(56,0x40000000|17,0,0,0,0)\nif p==0: os._exit(0)\nos.wait();c.setns(99,0)'
    const { told } = await made(['namespace'], ['python3', '-c', clone])
    expect(told).toMatchObject([
      { namespace: { operation: 'clone', types: ['network'] }, target: { name: expect.stringMatching(/^python/) } },
      { namespace: { operation: 'setns' }, error: { code: 'EBADF' } },
    ])
  })
})

describe('mounts', () => {
  const place = (name: string) => {
    mkdirSync(join(directory, name))
    return join(directory, name)
  }
  const isPrivate = { mount: { operation: 'propagation', target: '/', flags: ['MS_REC', 'MS_PRIVATE'] } }

  kernelTest('of the older kind: source, target, kind, flags', async () => {
    const target = place('mounts')
    const { told } = await does(['mount'], 'mounts', target)
    expect(told).toEqual([
      isPrivate,
      {
        mount: { operation: 'mount', source: 'none', target, filesystem: 'tmpfs', flags: ['MS_NOSUID', 'MS_NOEXEC'] },
      },
      { mount: { operation: 'bind', source: '/etc', target, flags: ['MS_BIND'] } },
      { mount: { operation: 'umount', target, flags: ['MNT_DETACH'] } },
    ])
  })

  kernelTest('of the newer kind: where the mount is, through .. and a link', async () => {
    const target = place('new')
    symlinkSync(target, join(directory, 'link'))
    const { told } = await does(['mount'], 'new-mounts', place('within'))
    expect(told).toEqual([
      isPrivate,
      { mount: { operation: 'mount', source: 'tmpfs', filesystem: 'tmpfs' } },
      { mount: { operation: 'move', target, filesystem: 'tmpfs' } },
      { mount: { operation: 'bind', source: '/etc' } },
    ])
  })

  kernelTest('names of any length, whatever stands behind them', async () => {
    const { told } = await does(['mount'], 'edges')
    const lengths = [...Array.from({ length: 200 }, (_, at) => at + 1), 4095]
    const names = lengths.map((length) => Array.from({ length }, (_, at) => (at % 100 === 0 ? '/' : 'x')).join(''))
    expect(told.map(({ mount }) => mount?.target)).toEqual(names)
  })

  kernelTest('refused, with a target of 4,000 bytes and newlines in it', async () => {
    const target = `/${'a\nO 1 2 3 4 5\n/'.repeat(286)}`.slice(0, 4000)
    const { told } = await does(['mount'], 'mounts', target)
    expect(told[1]).toEqual({
      mount: { operation: 'mount', source: 'none', target, filesystem: 'tmpfs', flags: ['MS_NOSUID', 'MS_NOEXEC'] },
      error: { code: 'ENOENT' },
    })
  })
})

describe('credentials', () => {
  kernelTest('given up, and asked for again in vain; one that stays as it is is nothing to tell', async () => {
    const { told, own } = await does(['credentials'], 'nobody')
    expect(told).toEqual([
      { credentials: { operation: 'setgid', previous: { user: { id: 0 }, group: { id: 0 } } } },
      { credentials: { operation: 'setuid', previous: { user: { id: 0 }, group: { id: 65534 } } } },
      { credentials: { operation: 'setuid' }, error: { code: 'EPERM' } },
    ])
    expect(own.at(-1)?.process?.user?.id).toBe(65534)
  })

  kernelTest('a capability put away is nothing to tell, taken again it is', async () => {
    const { told } = await does(['credentials'], 'raise')
    expect(told).toMatchObject([{ credentials: { operation: 'capset', gained: ['CAP_NET_RAW'] } }])
    expect(told).toHaveLength(1)
  })

  const asNobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--bounding-set', '-all']
  const copy = (name: string) => {
    copyFileSync(program, join(directory, name))
    chmodSync(join(directory, name), 0o755)
    return join(directory, name)
  }
  const ofExec = ({ credentials }: { credentials?: Event['credentials'] }) => credentials?.operation === 'exec'

  kernelTest('a set-user-id program: its user before, and its bits', async () => {
    const path = copy('setuid')
    chmodSync(path, 0o4755)
    const { told, own } = await made(['credentials', 'exec'], [...asNobody.slice(0, -2), path, 'nothing'])
    expect(told.filter(ofExec)).toEqual([
      {
        credentials: {
          operation: 'exec',
          previous: { user: { id: 65534 }, group: { id: 65534 } },
          gained: expect.arrayContaining(['CAP_SYS_ADMIN', 'CAP_SETUID']),
        },
      },
    ])
    expect(own.find(ofExec)?.process).toMatchObject({ user: { id: 0 }, executable: { path, setuid: true } })
  })

  kernelTest('a program with a capability of its file', async () => {
    const path = copy('capable')
    // struct vfs_cap_data of revision 2, effective, with CAP_NET_RAW: include/uapi/linux/capability.h
    const set =
      'import os,struct,sys;os.setxattr(sys.argv[1],"security.capability",struct.pack("<5I",0x02000001,1<<13,0,0,0))'
    execFileSync('python3', ['-c', set, path])
    const { told, own } = await made(['credentials', 'exec'], [...asNobody.slice(0, -2), path, 'nothing'])
    expect(told.filter(ofExec)).toMatchObject([{ credentials: { operation: 'exec', gained: ['CAP_NET_RAW'] } }])
    expect(own.at(-1)?.process?.capabilities).toEqual(['CAP_NET_RAW'])
  })

  kernelTest('a program of another user’s that has no bits raises nobody', async () => {
    const { told, own } = await made(['credentials', 'exec'], [...asNobody.slice(0, -2), program, 'nothing'])
    expect(told.filter(ofExec)).toEqual([])
    expect(own.at(-1)?.process).not.toHaveProperty('capabilities')
  })
})

describe('the kernel', () => {
  kernelTest('a BPF program with its type and name, and a map; a look into the map is left out', async () => {
    const { told } = await does(['bpf'], 'load')
    expect(told).toEqual([
      { bpf: { operation: 'program_load', type: 'socket_filter', name: 'nightjar_test' } },
      { bpf: { operation: 'map_create' } },
    ])
  })

  kernelTest.for(['plain', 'a b', 'new\nline', '%s\\', 'n'.repeat(249)])('a memfd called %j', async (name) => {
    const { told } = await does(['memfd'], 'memfd', name)
    expect(told).toMatchObject([
      { file: { path: `/memfd:${name}`, name: `memfd:${name}`, filesystem: 'tmpfs', type: 'regular', links: 0 } },
    ])
  })

  kernelTest('a device made; no fifo, and no whiteout', async () => {
    const { told } = await does(['syscall'], 'devices', join(directory, 'device'))
    expect(told).toEqual([{ syscall: { name: expect.stringMatching(/^mknod(at)?$/) } }])
  })

  kernelTest('rare calls with their outcome; the name of a host of its own is nobody’s business', async () => {
    const { told } = await does(['syscall'], 'rare')
    expect(told).toEqual([
      { syscall: { name: 'userfaultfd' } },
      { syscall: { name: 'open_by_handle_at' }, error: { code: 'EFAULT' } },
      { syscall: { name: 'acct' }, error: { code: 'ENOENT' } },
      { syscall: { name: 'personality' } },
    ])
  })

  kernelTest('a ring set up, and what is asked of it, also where a worker does it', async () => {
    for (const how of ['inline', 'worker']) {
      const { told } = await does(['io_uring'], 'ring', '/etc/hostname', how)
      expect(told).toEqual([{ io_uring: { operation: 'setup' } }, { io_uring: { operation: 'openat' } }])
    }
  })
})

describe('the sensor itself', () => {
  kernelTest('is told of as a target: of a signal, and of a look into its memory', async () => {
    const to = String(stream.pid)
    const signal = 'import os,sys;[os.kill(int(sys.argv[1]),int(one)) for one in sys.argv[2:]]'
    // SIGWINCH changes nothing and is left out; SIGPIPE is one that Node ignores.
    const { told } = await made(['kill'], ['python3', '-c', signal, to, '28', '13'])
    expect(told).toMatchObject([{ signal: { name: 'SIGPIPE', number: 13 }, target: { pid: stream.pid, sensor: true } }])
    expect(told).toHaveLength(1)
    const read = await does(['ptrace'], 'memory', to)
    expect(read.told).toMatchObject([
      { ptrace: { request: 'process_vm_readv' }, target: { pid: stream.pid, sensor: true } },
    ])
  })

  kernelTest('raises no events: none of all that were seen is its own or its bpftrace’s', async () => {
    await act('true', [])
    const own = events.all.filter(({ process }) => process?.pid === stream.pid || process?.ppid === stream.pid)
    expect(own).toEqual([])
    expect(events.all.filter(({ type }) => type === 'gap')).toEqual([])
  })
})
