import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { architectureOf } from '../../bpf/architecture.ts'
import { allOf } from '../../bpf/interest.ts'
import { program } from '../../bpf/program.ts'
import { limits, parts, records, sections } from '../../bpf/records.ts'
import { decodeLine } from '../../sensor/decoder.ts'
import { type EventType, eventTypes } from '../../sensor/event.ts'

const bpf = join(import.meta.dirname, '../../bpf')
const all = allOf(eventTypes)
const code = (text: string) => text.replaceAll(/^\s*\/\/.*$/gm, '')
const printed = (text: string) => [...code(text).matchAll(/printf\("([^"]*)\\n", (.*)\);/g)]
/** How many arguments a call has: the commas that are in no bracket of their own, and one. */
const argumentsIn = (text: string): number => {
  const outer = text.replaceAll(/\([^()]*\)/g, '')
  return outer === text ? text.split(',').length : argumentsIn(outer)
}
const opens = ['open', 'openat', 'openat2', 'creat'].map((call) => `tracepoint:syscalls:sys_exit_${call}`)
const probes = (text: string) => [...code(text).matchAll(/^(?:BEGIN$|[a-z]+:[\w:*]+)/gm)].map(([probe]) => probe)

describe.each([[[...eventTypes]], [[]]])('the program for %j', (types) => {
  const text = program(allOf(types))

  test('holds no placeholder', () => {
    expect(text).not.toMatch(/\{\{|\}\}/)
    expect(code(text)).not.toMatch(/\{[a-z_]+\}/)
  })

  test('holds no constant by its name', () => {
    expect(new Set(code(text).match(/\b[A-Z][A-Z0-9_]+\b/g))).toEqual(new Set(['BEGIN']))
  })

  test('has as many brackets that open as close', () => {
    const count = (bracket: string) => code(text).split(bracket).length
    expect(count('{')).toBe(count('}'))
    expect(count('(')).toBe(count(')'))
  })

  test('prints nothing but records that the decoder reads', () => {
    const lines = printed(text)
    expect(lines.length).toBe(code(text).split('printf').length - 1)
    for (const [, format = '', values = ''] of lines) {
      const line = format.replaceAll('%rh', '2f 00 ff').replaceAll(/%ll[dux]/g, '7')
      expect(decodeLine(line), format).toBeDefined()
      expect(argumentsIn(values), format).toBe(format.split('%').length - 1)
    }
  })

  test('prints numbers and hex alone: no %s and no %r', () => {
    for (const [, format = ''] of printed(text)) expect(format).toMatch(/^[A-Za-z]( %lld| %llu| %llx| %rh)+$/)
  })

  test('counts each part of an event, and only the parts', () => {
    const partTags = parts.map((name) => records[name].tag as string)
    const counted = code(text).matchAll(/printf\("(\w) .*\);( \$parts = \$parts \+ 1;)?$/gm)
    for (const [line, tag = '', count] of counted) expect(count !== undefined, line).toBe(partTags.includes(tag))
  })
})

test('every probe of a fragment in the folder is in the whole program of an architecture', () => {
  const whole = ['x64', 'arm64'].flatMap((name) => probes(program(all, undefined, architectureOf(name))))
  for (const file of readdirSync(bpf).filter((name) => name.endsWith('.bt'))) {
    const attached = probes(readFileSync(join(bpf, file), 'utf8').replace('FLUSH_MS', '3'))
    expect(attached.length, file).toBeGreaterThan(0)
    expect(whole, file).toEqual(expect.arrayContaining(attached))
  }
})

test('every record of the table is printed by the whole program', () => {
  const tags = printed(program(all)).map(([, format = '']) => format.charAt(0))
  expect(new Set(tags)).toEqual(new Set(Object.values(records).map(({ tag }) => tag)))
})

describe('only what a rule is on is watched', () => {
  const always = probes(program(allOf([]), undefined, architectureOf('x64')))

  test('who the sensor is, forks, execs, exits, cgroups, the heartbeat and the flush always', () => {
    expect(always).toEqual([
      'BEGIN',
      'interval:ms:500',
      'interval:ms:3',
      'tracepoint:cgroup:cgroup_rmdir',
      'tracepoint:cgroup:cgroup_attach_task',
      'tracepoint:task:task_newtask',
      'tracepoint:sched:sched_process_exec',
      'tracepoint:sched:sched_process_exec', // what was remembered of the program before is forgotten
      'tracepoint:sched:sched_process_exit',
    ])
  })

  test.each<[EventType, string[]]>([
    [
      'open',
      [
        'profile:hz:1',
        ...opens,
        'tracepoint:syscalls:sys_exit_open_by_handle_at',
        'tracepoint:io_uring:io_uring_complete',
        'kprobe:fd_install',
        ...opens,
      ],
    ],
    [
      'connect',
      [
        'profile:hz:1',
        'tracepoint:sock:inet_sock_set_state',
        'tracepoint:syscalls:sys_exit_connect',
        'kretprobe:__ia32_sys_connect',
        'kretprobe:__ia32_compat_sys_socketcall',
        'tracepoint:net:net_dev_queue',
      ],
    ],
    ['dns', ['tracepoint:net:net_dev_queue']],
    [
      'listen',
      [
        'tracepoint:sock:inet_sock_set_state',
        'tracepoint:syscalls:sys_exit_listen',
        'tracepoint:syscalls:sys_exit_bind',
        'kretprobe:__ia32_sys_bind',
        'kretprobe:__ia32_compat_sys_socketcall',
      ],
    ],
    ['accept', ['tracepoint:syscalls:sys_exit_accept', 'tracepoint:syscalls:sys_exit_accept4']],
    [
      'socket',
      ['tracepoint:syscalls:sys_exit_socket', 'kretprobe:__ia32_sys_socket', 'kretprobe:__ia32_compat_sys_socketcall'],
    ],
    ['stdio', ['tracepoint:syscalls:sys_exit_dup*', 'tracepoint:syscalls:sys_exit_fcntl']],
    ['exec', []],
    ['exit', []],
    ['gap', []],
    ['posture', []],
  ])('a rule on %s adds %j', (type, added) => {
    expect(probes(program(allOf([type]), undefined, architectureOf('x64'))).toSorted()).toEqual(
      [...always, ...added].toSorted(),
    )
  })
})

// bpftrace 0.17 puts the code of two such blocks one behind the other, which the kernel refuses.
test('two blocks that have a probe in common have all of them in common', () => {
  const lists = [...code(program(all)).matchAll(/^(?:tracepoint:\S+\n)+/gm)].map(([list]) => list)
  for (const list of lists) {
    const ones = list.split(/,?\n/).filter((one) => one !== '')
    for (const other of lists)
      if (ones.some((one) => other.split(/,?\n/).includes(one))) expect(other.trim()).toBe(list.trim())
  }
})

test('no block reads what a system call returned twice: for each `args` bpftrace reads the list of all tracepoints anew', () => {
  const blocks = code(program(all)).split(/^}$/m)
  for (const block of blocks) expect(block.match(/\bargs->(ret|__syscall_nr)\b/g)?.length ?? 0, block).toBeLessThan(2)
})

test('limits and sections that user space reads by are those that the kernel side is made with', () => {
  const text = code(program(all))
  expect(text).toContain(`while ($sent < (uint64)${limits.ARGS_MAX} + 8)`)
  expect(text).toContain(`while ($i < ${limits.PATH_STEPS})`)
  expect(text).toContain(`while ($i < ${limits.CGROUP_DEPTH})`)
  expect(text).toContain(`while ($sent < (uint64)${limits.CGROUP_NAME_MAX} + 8)`)
  const printedSections = [
    ...text.matchAll(/printf\("t [^"]*", \$ts, [^,]*\$tid\) << 32\) \| \(\(uint64\)\((\d+)\)/g),
  ].map(([, section]) => section)
  expect(new Set(printedSections)).toEqual(new Set(Object.values(sections).map(String)))
})

describe('a fragment with a mistake is refused', () => {
  let house: string
  beforeAll(() => {
    house = mkdtempSync(join(tmpdir(), 'nightjar-bpf-'))
    symlinkSync(join(bpf, '../node_modules'), join(house, 'node_modules'))
  })
  afterAll(() => rmSync(house, { recursive: true }))

  /** The assembler over a copy of the fragments in which one text was replaced in one file. */
  const assemble = async (file: string, from: string, to: string): Promise<string> => {
    const folder = mkdtempSync(join(house, 'bpf-'))
    cpSync(bpf, folder, { recursive: true })
    const text = readFileSync(join(folder, file), 'utf8')
    expect(text).toContain(from)
    writeFileSync(join(folder, file), text.replace(from, to))
    const copy: typeof import('../../bpf/program.ts') = await import(pathToFileURL(join(folder, 'program.ts')).href)
    return copy.program(all)
  }

  test('the copy as it is assembles to the same program', async () => {
    await expect(assemble('exit.bt', 'exit', 'exit')).resolves.toBe(program(all))
  })

  test('a record that is not in the table', async () => {
    await expect(assemble('exit.bt', '{{emit exit ', '{{emit exodus ')).rejects.toThrow(
      'bpf/exit.bt: emit exodus: no such record in records.ts',
    )
  })

  test.each([
    ['a field that is missing', 'pid=$t->tgid code=', 'code='],
    ['a field too many', 'pid=$t->tgid code=', 'pid=$t->tgid ppid=0 code='],
    ['fields in another order', 'pid=$t->tgid code=$code', 'code=$code pid=$t->tgid'],
    ['a field by another name', 'pid=$t->tgid code=', 'process=$t->tgid code='],
  ])('%s', async (_, from, to) => {
    await expect(assemble('exit.bt', from, to)).rejects.toThrow(
      /^bpf\/exit\.bt: emit exit: fields .*; records\.ts has time,pid,code$/,
    )
  })

  test('a mistake in a macro, by the name of the macro', async () => {
    await expect(assemble('macros/socket.bt', 'local_port=', 'port=')).rejects.toThrow(
      /^bpf\/macros\/socket\.bt: emit (socket|parent_socket): fields /,
    )
  })

  test('a macro that is not there, by its name', async () => {
    await expect(assemble('stdio.bt', '{{stdio}}', '{{stdin}}')).rejects.toThrow('macros/stdin.bt')
  })
})

test('what is printed whole is flushed: each head marks that something waits, and no part does', () => {
  const lines = program(all)
    .split('\n')
    .filter((line) => line.includes('printf('))
  const isHead = (line: string) => !line.includes('$parts = $parts + 1;')
  /** In the flush itself: what was put off. */
  const isOfFlush = (line: string) => line.includes('$then')
  expect(lines.filter(isOfFlush)).toHaveLength(2)
  expect(lines.filter((line) => line.includes('@unsent = 1;'))).toEqual(
    lines.filter((line) => isHead(line) && !isOfFlush(line)),
  )
})
