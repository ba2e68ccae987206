import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, uptime } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RunningProcess, runningProcesses } from '../../sensor/proc.ts'
import { asNobody, canBeNobody } from './nobody.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightjar-proc-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Files {
  stat: string | Uint8Array
  status: string
  cmdline: string | Uint8Array
  exe?: string
}
/** The fields of /proc/<pid>/stat behind the name, as proc(5) numbers them: 3 state, 4 ppid ... 22 starttime, 52. */
const statOf = (pid: number, comm: string, ppid: number, startTicks: number) => {
  const fields = ['S', ppid, ...Array.from({ length: 17 }, (_, at) => at), startTicks, ...Array<number>(30).fill(0)]
  return `${pid} (${comm}) ${fields.join(' ')}\n`
}
const status = (uid = 0, gid = 0, name = 'x') =>
  `Name:\t${name}\nUmask:\t0022\nState:\tS (sleeping)\nPid:\t7\nUid:\t1\t${uid}\t1\t1\nGid:\t2\t${gid}\t2\t2\n`

/** Puts a process into the folder, as a procfs would show it. */
const put = (pid: number, files: Partial<Files>) => {
  mkdirSync(join(folder, String(pid)))
  const { exe, ...texts } = { stat: statOf(pid, 'x', 1, 100), status: status(), cmdline: 'x\0', ...files }
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, String(pid), name), text)
  if (exe !== undefined) symlinkSync(exe, join(folder, String(pid), 'exe'))
}
const only = (): RunningProcess => {
  const [process, ...others] = runningProcesses(folder)
  expect(others).toEqual([])
  if (!process) throw new Error('no process')
  return process
}

test('a process is read with all that is known of it', () => {
  put(4711, {
    stat: statOf(4711, 'nginx', 4700, 12_345),
    status: status(33, 34),
    cmdline: 'nginx: worker\0-g\0\0',
    exe: '/usr/sbin/nginx',
  })
  expect(only()).toEqual({
    pid: 4711,
    ppid: 4700,
    started: 123_450_000_000,
    comm: 'nginx',
    args: ['nginx: worker', '-g', ''],
    uid: 33,
    gid: 34,
    executable: '/usr/sbin/nginx',
  })
})

test.each([
  ['spaces', 'tmux: server'],
  ['parentheses', '(sd-pam)'],
  ['a parenthesis that closes', 'a) S 1 2 3'],
  ['one that looks like all the rest', ') R 666 0 0'],
  ['newlines', 'a\nb) S 5\n'],
  ['only a parenthesis', ')'],
  ['nothing', ''],
])('a name of %s is a name', (_, comm) => {
  put(7, { stat: statOf(7, comm, 42, 100) })
  expect(only()).toMatchObject({ comm, ppid: 42, started: 1_000_000_000 })
})

test('a name that is not UTF-8 shifts no field', () => {
  put(7, {
    stat: Buffer.concat([
      Buffer.from('7 ('),
      Buffer.of(0xff, 0x29, 0xfe),
      Buffer.from(statOf(7, '', 42, 100).slice(3)),
    ]),
  })
  expect(only()).toMatchObject({ comm: '\ufffd)\ufffd', ppid: 42, started: 1_000_000_000 })
})

test('a name that looks like a line of status gives nobody another user', () => {
  put(7, { status: status(33, 33, 'Uid:\t0\t0') })
  expect(only()).toMatchObject({ uid: 33, gid: 33 })
})

test.each<[string, string | Uint8Array, string[]]>([
  ['none: a kernel thread or a zombie', '', []],
  ['a single empty one', '\0', ['']],
  ['several empty ones', '\0\0\0', ['', '', '']],
  ['one that the program wrote over, without a NUL', 'sshd: user [priv]', ['sshd: user [priv]']],
  ['newlines and spaces', 'a b\0c\nd\0', ['a b', 'c\nd']],
  ['bytes that are not UTF-8', Buffer.of(0x61, 0xff, 0), ['a\ufffd']],
])('arguments: %s', (_, cmdline, args) => {
  put(7, { cmdline })
  expect(only().args).toEqual(args)
})

test('a kernel thread has no executable', () => {
  put(2, { stat: statOf(2, 'kthreadd', 0, 0), cmdline: '' })
  const process = only()
  expect(process).toMatchObject({ pid: 2, ppid: 0, comm: 'kthreadd', args: [], started: 0 })
  expect(process).not.toHaveProperty('executable')
})

test('a deleted executable is told as the kernel tells it', () => {
  put(7, { exe: '/tmp/x (deleted)' })
  expect(only().executable).toBe('/tmp/x (deleted)')
})

test.each(['stat', 'status', 'cmdline'])('a process that ends before its %s is read is left out', (file) => {
  put(7, {})
  put(8, {})
  rmSync(join(folder, '7', file))
  expect(runningProcesses(folder).map(({ pid }) => pid)).toEqual([8])
})

test('what is no process is passed over', () => {
  put(7, {})
  for (const name of ['self', 'sys', '12a', 'net']) mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'uptime'), '1.00 1.00\n')
  expect(only().pid).toBe(7)
})

test('a folder that is not there is an error with its name', () => {
  expect(() => runningProcesses(join(folder, 'none'))).toThrow(join(folder, 'none'))
})

test.skipIf(!canBeNobody)(
  'a process that we may not look at is left out: hidepid (needs root, to become nobody)',
  () => {
    chmodSync(folder, 0o755)
    put(7, {})
    put(8, {})
    chmodSync(join(folder, '7'), 0o700)
    const proc = join(import.meta.dirname, '../../sensor/proc.ts')
    const script = `import { runningProcesses } from ${JSON.stringify(proc)}
    process.stdout.write(JSON.stringify(runningProcesses(${JSON.stringify(folder)}).map(({ pid }) => pid)))`
    const [setpriv = '', ...options] = asNobody
    const command = [...options, process.execPath, '--input-type=module', '-e', script]
    expect(execFileSync(setpriv, command, { encoding: 'utf8' })).toBe('[8]')
  },
)

describe('the real /proc', () => {
  const find = (pid: number) => runningProcesses().find((process) => process.pid === pid)
  let child: ChildProcess | undefined
  afterEach(async () => {
    if (!child) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    child = undefined
  })

  test('has this very process in it', () => {
    const own = find(process.pid)
    expect(own).toMatchObject({
      pid: process.pid,
      ppid: process.ppid,
      uid: process.geteuid?.(),
      gid: process.getegid?.(),
      args: readFileSync('/proc/self/cmdline', 'utf8').replace(/\0$/, '').split('\0'),
    })
    expect(own?.executable).toBe(process.execPath)
  })

  test('says when a process was forked: in this boot, and not after now', () => {
    const started = (find(process.pid)?.started ?? 0) / 1e9
    expect(started).toBeGreaterThan(0)
    expect(started).toBeLessThanOrEqual(uptime() + 1)
  })

  test('shows a process with the most hostile name that a file can have, as it is', async () => {
    const name = 'a) R 1 (\nb c'
    const program = join(folder, name)
    copyFileSync('/bin/sleep', program)
    const argv0 = ') S 666\n\t'
    child = spawn(program, ['1000'], { argv0 })
    await once(child, 'spawn')
    expect(find(child.pid ?? 0)).toMatchObject({
      ppid: process.pid,
      comm: name,
      args: [argv0, '1000'],
      executable: program,
    })
  })

  test('every process has a parent that is there, or none', () => {
    const all = runningProcesses()
    expect(all.length).toBeGreaterThan(1)
    for (const { pid, ppid, started, uid, gid } of all) {
      expect(Number.isInteger(ppid), `ppid of ${pid}`).toBe(true)
      expect(started, `start of ${pid}`).toBeGreaterThanOrEqual(0)
      expect(Number.isInteger(uid) && Number.isInteger(gid), `user of ${pid}`).toBe(true)
    }
  })
})
