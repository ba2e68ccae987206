import { describe, expect, test } from 'vitest'
import { type RecordName, type RecordOf, sections } from '../../bpf/records.ts'
import type { Act } from '../../sensor/assemble.ts'
import { callNumber } from '../../sensor/calls.ts'
import { assembled } from './heard.ts'
import { bytesOf, line, type Printing, plain, printings, textLines } from './kernel.ts'

const EPERM = -1
const call = (name: string) => callNumber(name) ?? Number.NaN

type Texts = Partial<Record<keyof typeof sections, string | string[]>>
type OwnFields<N extends RecordName> = Omit<
  RecordOf<N>,
  'record' | 'time' | 'tid' | 'parts' | 'pid' | 'ppid' | 'cgroup' | 'uid' | 'gid'
>

/** What one record with its texts is told as. A text given as a list is a path, from the root on. */
function deed<N extends RecordName>(record: N, own: OwnFields<N>, texts: Texts = {}, printing: Printing = plain) {
  const head = { time: 1000, tid: 7 }
  const lines = Object.entries(texts).flatMap(([name, text]) => {
    const section = sections[name as keyof typeof sections]
    const components = (typeof text === 'string' ? [text] : text.toReversed()).map(bytesOf)
    return components.flatMap((bytes, index) => textLines(head, { section, index, bytes }, printing))
  })
  const actor = { parts: lines.length, pid: 100, ppid: 99, cgroup: '1', uid: 0, gid: 0 }
  const fields = { ...head, ...actor, ...own } as unknown as Parameters<typeof line<N>>[1]
  const heard = assembled([...lines, line(record, fields, printing)])
  expect(heard).toMatchObject({ incomplete: [], rejected: [], waiting: 0 })
  const [act] = heard.acts as Extract<Act, { act: 'deed' }>[]
  return act && { type: act.type, ...act.about, ...(act.target !== undefined && { target: act.target }) }
}

describe('ptrace', () => {
  test.each([
    [0, 'traceme'],
    [1, 'peek'],
    [5, 'poke'],
    [13, 'set_registers'],
    [16, 'attach'],
    [0x4205, 'set_registers'],
    [0x4206, 'seize'],
    [0x4207, '16903'],
  ])('request %i is %s', (request, name) => {
    expect(deed('ptrace', { call: call('ptrace'), request, target: 55, returned: 0 })).toEqual({
      type: 'ptrace',
      ptrace: { request: name },
      target: 55,
    })
  })

  test.each(['process_vm_readv', 'process_vm_writev'])('%s is told by its own name', (name) => {
    expect(deed('ptrace', { call: call(name), request: 0, target: 55, returned: 8 })).toEqual({
      type: 'ptrace',
      ptrace: { request: name },
      target: 55,
    })
  })

  test('that was refused says so; of a process that is not there no target is told', () => {
    expect(deed('ptrace', { call: call('ptrace'), request: 16, target: 55, returned: EPERM })).toMatchObject({
      error: { code: 'EPERM' },
      target: 55,
    })
    expect(deed('ptrace', { call: call('ptrace'), request: 16, target: 0, returned: -3 })).toEqual({
      type: 'ptrace',
      ptrace: { request: 'attach' },
      error: { code: 'ESRCH' },
    })
  })
})

describe('namespace', () => {
  const CLONE_NEWNS = 0x20000
  const CLONE_NEWUTS = 0x4000000
  const CLONE_NEWUSER = 0x10000000
  const CLONE_NEWPID = 0x20000000
  const CLONE_NEWNET = 0x40000000
  const plain = { flags: 0, host: 0, target: 0, returned: 0 }

  test('unshare tells what was made', () => {
    expect(deed('namespace', { ...plain, call: call('unshare'), flags: CLONE_NEWUSER | CLONE_NEWNET })).toEqual({
      type: 'namespace',
      namespace: { operation: 'unshare', types: ['network', 'user'] },
    })
  })

  test('clone tells the child', () => {
    expect(deed('namespace', { ...plain, call: -1, flags: CLONE_NEWPID | 0x80, target: 56 })).toEqual({
      type: 'namespace',
      namespace: { operation: 'clone', types: ['pid', 'time'] },
      target: 56,
    })
  })

  test.each([
    ['mnt', CLONE_NEWNS, 'mount'],
    ['pid_for_children', CLONE_NEWPID, 'pid'],
    ['net', CLONE_NEWNET, 'network'],
    ['uts', CLONE_NEWUTS, 'uts'],
  ])('setns to a descriptor of kind %s is known by that, without flags', (NAME, host, type) => {
    const entered = { type: 'namespace', namespace: { operation: 'setns', types: [type], host: true } }
    expect(deed('namespace', { ...plain, call: call('setns'), host }, { NAME })).toEqual(entered)
  })

  test('that the process has another namespace in common with the machine does not make the entered one the host’s', () => {
    expect(
      deed('namespace', { ...plain, call: call('setns'), host: CLONE_NEWNET | CLONE_NEWUSER }, { NAME: 'mnt' }),
    ).toMatchObject({ namespace: { types: ['mount'], host: false } })
  })

  test('setns to a process enters what its flags say', () => {
    const flags = CLONE_NEWNS | CLONE_NEWPID
    expect(deed('namespace', { ...plain, call: call('setns'), flags, host: CLONE_NEWPID, target: 1 })).toEqual({
      type: 'namespace',
      namespace: { operation: 'setns', types: ['mount', 'pid'], host: true },
      target: 1,
    })
  })

  test('what was refused entered nothing', () => {
    expect(deed('namespace', { ...plain, call: call('setns'), flags: CLONE_NEWNS, returned: EPERM })).toEqual({
      type: 'namespace',
      namespace: { operation: 'setns', types: ['mount'] },
      error: { code: 'EPERM' },
    })
  })
})

describe('mount', () => {
  const mount = (flags: number, texts: Texts = {}, returned = 0) =>
    deed('mount', { call: call('mount'), flags, returned }, texts)

  test.each(printings)('tells source, target and kind, $skip bytes behind a multiple of 8', (printing) => {
    const target = `/mnt/${'t'.repeat(300)}`
    const texts = { OTHER: '/dev/sda1', REQUESTED: target, NAME: 'ext4' }
    expect(deed('mount', { call: call('mount'), flags: 1 | 2, returned: 0 }, texts, printing)).toEqual({
      type: 'mount',
      mount: { operation: 'mount', source: '/dev/sda1', target, filesystem: 'ext4', flags: ['MS_RDONLY', 'MS_NOSUID'] },
    })
  })

  test.each([
    [4096, 'bind', ['MS_BIND']],
    [4096 | 32 | 1, 'remount', ['MS_RDONLY', 'MS_REMOUNT', 'MS_BIND']],
    [8192, 'move', ['MS_MOVE']],
    [(1 << 18) | 16384, 'propagation', ['MS_REC', 'MS_PRIVATE']],
    [0xc0ed0000 | 4096, 'bind', ['MS_BIND']],
  ])('flags 0x%i are %s', (flags, operation, names) => {
    expect(mount(flags, { REQUESTED: '/x', NAME: 'nonsense' })).toEqual({
      type: 'mount',
      mount: { operation, target: '/x', flags: names },
    })
  })

  test('a name with a newline and one that looks like a record stay one name', () => {
    const REQUESTED = '/a\nO 1 2 3\n%s'
    expect(mount(0, { REQUESTED })).toMatchObject({ mount: { target: REQUESTED } })
  })

  test('where the kernel knows the target, it is told instead of what the program said', () => {
    const texts = { REQUESTED: 'm', FILE: ['srv', 'true', 'place'], NAME: 'tmpfs' }
    expect(deed('mount', { call: call('move_mount'), flags: 4, returned: 0 }, texts)).toEqual({
      type: 'mount',
      mount: { operation: 'move', target: '/srv/true/place', filesystem: 'tmpfs' },
    })
  })

  test('a text that did not come whole is not told', () => {
    const head = { time: 1000, tid: 7 }
    const piece = { ...head, section: sections.REQUESTED, index: 0, length: 100, at: 0, bytes: bytesOf('/half') }
    const fields = {
      parts: 2,
      pid: 1,
      ppid: 0,
      cgroup: '1',
      uid: 0,
      gid: 0,
      call: call('umount'),
      flags: 2,
      returned: 0,
    }
    const { acts } = assembled([line('text', piece), line('mount', { ...head, ...fields })])
    expect(acts).toMatchObject([{ about: { mount: { operation: 'umount', flags: ['MNT_DETACH'] } } }])
    expect(JSON.stringify(acts)).not.toContain('half')
  })

  test.each([
    ['umount', 'umount'],
    ['pivot_root', 'pivot_root'],
    ['fsmount', 'mount'],
    ['open_tree', 'bind'],
    ['mount_setattr', 'remount'],
  ])('%s is told as %s', (name, operation) => {
    expect(deed('mount', { call: call(name), flags: 0, returned: 3 })).toEqual({ type: 'mount', mount: { operation } })
  })
})

describe('credentials', () => {
  const same = { previous_uid: 0, previous_gid: 0, previous: '0', capabilities: '0', returned: 0 }

  test.each([
    ['setuid', 'setuid'],
    ['setreuid', 'setuid'],
    ['setresuid', 'setuid'],
    ['setgid', 'setgid'],
    ['setregid', 'setgid'],
    ['setresgid', 'setgid'],
    ['capset', 'capset'],
  ])('%s is told as %s', (name, operation) => {
    expect(deed('credentials', { ...same, call: call(name) })).toMatchObject({ credentials: { operation } })
  })

  test('what was gained is what was not there before', () => {
    const admin = String((1n << 21n) | (1n << 40n) | 1n)
    expect(deed('credentials', { ...same, call: call('capset'), previous: '1', capabilities: admin })).toEqual({
      type: 'credentials',
      credentials: {
        operation: 'capset',
        previous: { user: { id: 0 }, group: { id: 0 } },
        gained: ['CAP_SYS_ADMIN', 'CAP_CHECKPOINT_RESTORE'],
      },
    })
  })

  test('what was refused changed nothing', () => {
    expect(deed('credentials', { ...same, call: call('setuid'), returned: EPERM })).toEqual({
      type: 'credentials',
      credentials: { operation: 'setuid' },
      error: { code: 'EPERM' },
    })
  })
})

describe('the kernel itself', () => {
  test.each([
    ['/lib/modules/nf-tables.ko.zst', 'nf_tables'],
    ['/tmp/rootkit.ko', 'rootkit'],
    ['/dev/shm/x', 'x'],
  ])('a module from %s is called %s', (path, name) => {
    const FILE = path.slice(1).split('/')
    expect(deed('module', { call: call('finit_module'), returned: 0 }, { FILE })).toMatchObject({
      module: { operation: 'load', name },
      file: { path },
    })
  })

  test('a module is taken out by its name', () => {
    expect(deed('module', { call: call('delete_module'), returned: -16 }, { NAME: 'ext4' })).toEqual({
      type: 'module',
      module: { operation: 'unload', name: 'ext4' },
      error: { code: 'EBUSY' },
    })
  })

  test('a BPF program with its type and name; a map has neither', () => {
    expect(deed('bpf', { command: 5, type: 29, returned: 7 }, { NAME: 'block_all\0\0\0\0' })).toEqual({
      type: 'bpf',
      bpf: { operation: 'program_load', type: 'lsm', name: 'block_all' },
    })
    expect(deed('bpf', { command: 0, type: -1, returned: 7 })).toEqual({
      type: 'bpf',
      bpf: { operation: 'map_create' },
    })
    expect(deed('bpf', { command: 6, type: 99, returned: 0 })).toEqual({
      type: 'bpf',
      bpf: { operation: 'object_pin', type: '99' },
    })
  })

  test('a ring, and what is asked of it', () => {
    expect(deed('io_uring', { opcode: -1, returned: EPERM })).toMatchObject({
      io_uring: { operation: 'setup' },
      error: { code: 'EPERM' },
    })
    expect(deed('io_uring', { opcode: 18, returned: 0 })).toEqual({
      type: 'io_uring',
      io_uring: { operation: 'openat' },
    })
  })

  test('a rare call, by its name on this architecture', () => {
    expect(deed('syscall', { call: call('userfaultfd'), returned: 5 })).toEqual({
      type: 'syscall',
      syscall: { name: 'userfaultfd' },
    })
  })

  test.each([
    [9, 'SIGKILL'],
    [10, 'SIGUSR1'],
    [40, 'SIGRTMIN+6'],
  ])('signal %i to the sensor is %s', (signal, name) => {
    expect(deed('kill', { signal, target: 12 })).toEqual({ type: 'kill', signal: { name, number: signal }, target: 12 })
  })

  test('a file without a place', () => {
    expect(deed('memfd', { returned: 4 }, { FILE: ['memfd:a/b'] })).toMatchObject({
      type: 'memfd',
      file: { path: '/memfd:a/b' },
    })
  })
})
