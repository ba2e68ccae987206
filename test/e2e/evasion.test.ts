/** A file that is read, and a peer that is reached, by every way around a look at the arguments of system calls. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { kprobesOf } from '../../bpf/kprobes.ts'
import { act, kernelTest, type Sensor, settled, startSensor } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-evasion-'))
const inside = (...names: string[]) => join(directory, ...names)
const secret = inside('kept/secret')
const port = 9_471

const rule = (id: string, on: string, when: object) => ({
  ...{ id, name: id, description: id, on: [on], when, severity: 'low', message: id },
})
const pack = {
  pack: 'evasion',
  version: '1',
  rules: [
    rule('secret-read', 'open', { 'file.path': secret }),
    rule('secret-linked', 'link', { 'file.target_path': secret }),
    rule('secret-mounted', 'mount', { 'mount.source': secret }),
    rule('peer-reached', 'connect', { 'destination.port': port }),
  ],
}

let sensor: Sensor
beforeAll(async () => {
  chmodSync(directory, 0o755)
  mkdirSync(inside('kept/deeper'), { recursive: true })
  mkdirSync(inside('elsewhere'))
  writeFileSync(secret, 'x')
  writeFileSync(inside('elsewhere/mounted'), '')
  symlinkSync('kept/secret', inside('link'))
  symlinkSync('kept/deeper', inside('way'))
  copyFileSync('/usr/bin/cat', inside('editor'))
  chmodSync(inside('editor'), 0o755)
  for (const program of ['privilege', 'ring'])
    execFileSync('gcc', ['-w', '-o', inside(program), join(import.meta.dirname, `${program}.c`)])
  writeFileSync(inside('pack.json'), JSON.stringify(pack))
  sensor = await startSensor({ args: ['--no-builtin-rules', '--rules', inside('pack.json')], patience: 100_000 })
}, 110_000)
afterAll(async () => {
  await sensor?.stop()
  rmSync(directory, { recursive: true })
})

const raised = (id: string, pid: number) =>
  sensor.alerts.first(({ rule, process }) => rule.id === id && process?.pid === pid)
const python = (script: string, ...args: string[]) => ['python3', '-c', script, ...args]

describe('a file that is read is told by its own path', () => {
  // include/uapi/linux/openat2.h: struct open_how is three numbers of 64 bits. 437 is openat2 on every architecture.
  const openat2 =
    'import ctypes,sys;c=ctypes.CDLL(None);assert c.syscall(437,-100,sys.argv[1].encode(),(ctypes.c_uint64*3)(),24)>=0'
  const ways: Record<string, string[]> = {
    'by its absolute path': ['cat', secret],
    'by a relative path': ['cat', 'kept/secret'],
    'through a symbolic link': ['cat', 'link'],
    // As text this would be another file: `..` is of the directory that the link leads to.
    'through a linked directory and ..': ['cat', 'way/../secret'],
    'from a directory’s descriptor': python('import os;os.open("secret",0,dir_fd=os.open("kept",0))'),
    'through /proc/self/root': ['cat', `/proc/self/root${secret}`],
    'through /proc/self/cwd': ['cat', '/proc/self/cwd/kept/secret'],
    'by openat2': python(openat2, 'way/../secret'),
    'by io_uring': [inside('privilege'), 'ring', 'way/../secret', 'inline'],
    'by io_uring’s worker': [inside('privilege'), 'ring', secret, 'worker'],
    'by its handle': [inside('privilege'), 'handle', secret],
    'by a copy of the reader under another name': [inside('editor'), secret],
    'under more mounts of itself than the kernel’s filter looks through': [
      ...['unshare', '--mount', 'sh', '-ec'],
      'for i in $(seq 30); do mount --bind "$0" "$0"; done; exec head "$0"',
      secret,
    ],
    'by a thread': python(
      'import threading,sys;t=threading.Thread(target=open,args=sys.argv[1:2]);t.start();t.join()',
      secret,
    ),
    'for writing and reading': python('import os,sys;os.open(sys.argv[1],os.O_RDWR)', 'way/../secret'),
  }
  for (const [way, [command = '', ...args]] of Object.entries(ways))
    kernelTest(way, async () => {
      const alert = await raised('secret-read', await act(command, args, { cwd: directory }))
      expect(alert.file?.path).toBe(secret)
    })

  // The tracepoints of system calls leave these out. Where the kernel has no kprobes, that is said in docs/not-seen.md.
  const onX86 = process.arch === 'x64' ? kernelTest : kernelTest.skip
  for (const by of ['a 32-bit program', 'int 0x80'])
    onX86(`by ${by}, if the kernel has kprobes`, async () => {
      const bits = by === 'int 0x80' ? [] : ['-m32', '-nostdlib', '-fno-builtin', '-fno-pie', '-fno-stack-protector']
      const source = join(import.meta.dirname, '../kernels/guest/compat.c')
      execFileSync('gcc', ['-static', '-w', ...bits, '-o', inside('compat'), source])
      const pid = await act(inside('compat'), ['open', 'way/../secret'], { cwd: directory })
      if (kprobesOf()('fd_install')) expect((await raised('secret-read', pid)).file?.path).toBe(secret)
      else {
        await settled(sensor)
        expect(sensor.alerts.all.filter(({ process }) => process?.pid === pid)).toEqual([])
      }
    })

  // Each of these is another name for the file, and the kernel has it opened by that name. The giving of the name shows,
  // and file.inode is the same as the file's.
  kernelTest('not through a hard link: that one is told when it is made', async () => {
    const alert = await raised('secret-linked', await act('ln', [secret, inside('elsewhere/name')]))
    expect(alert.file).toMatchObject({ path: inside('elsewhere/name'), target_path: secret, link_type: 'hard' })
    const pid = await act('cat', [inside('elsewhere/name')])
    await settled(sensor)
    expect(sensor.alerts.all.filter(({ process }) => process?.pid === pid)).toEqual([])
  })

  kernelTest('not through a bind mount: that one is told when it is made', async () => {
    const script = 'mount --bind "$0" "$1"; cat "$1"'
    const pid = await act('unshare', ['--mount', 'sh', '-ec', script, secret, inside('elsewhere/mounted')])
    const alert = await sensor.alerts.first(
      ({ rule, process }) => rule.id === 'secret-mounted' && process?.ppid === pid,
    )
    expect(alert.mount).toMatchObject({ operation: 'bind', source: secret })
    expect(alert.mount?.target).toBe(inside('elsewhere/mounted'))
  })
})

describe('a peer that is reached is told by the address that the kernel used', () => {
  const socket = 'import socket;s=socket.socket()'
  const to = `("127.0.0.1",${port})`
  const ways: Record<string, string[]> = {
    'by connect': python(`${socket};s.connect_ex(${to})`),
    'by a non-blocking connect': python(`${socket};s.setblocking(False);s.connect_ex(${to})`),
    'by a connect of an IPv6 socket': python(
      `import socket;socket.socket(10).connect_ex(("::ffff:127.0.0.1",${port}))`,
    ),
    'by io_uring': [inside('ring'), '127.0.0.1', String(port), 'connect'],
    // MSG_FASTOPEN (include/linux/socket.h): a connect that no connect(2) asks for.
    'by sendto': python(`${socket};s.sendto(b"x",0x20000000,${to})`),
    'by sendto, UDP': python(`import socket;socket.socket(2,2).sendto(b"x",${to})`),
    'by connect, UDP': python(`import socket;socket.socket(2,2).connect(${to})`),
    'by io_uring, UDP': [inside('ring'), '127.0.0.1', String(port), 'send'],
    'by a thread': python(
      `${socket};import threading;t=threading.Thread(target=s.connect_ex,args=(${to},));t.start();t.join()`,
    ),
  }
  for (const [way, command] of Object.entries(ways))
    kernelTest(way, async () => {
      const script = 'ip link set lo up; exec "$@"'
      const alert = await raised('peer-reached', await act('unshare', ['--net', 'sh', '-ec', script, 'sh', ...command]))
      expect(alert.destination).toMatchObject({ ip: '127.0.0.1', port })
    })
})
