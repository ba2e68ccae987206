import { describe, expect, test } from 'vitest'
import { architectureOf, rowsFor, usesVersion1 } from '../../bpf/architecture.ts'
import { allOf } from '../../bpf/interest.ts'
import { mapKeys } from '../../bpf/numbers.ts'
import { program } from '../../bpf/program.ts'
import { eventTypes } from '../../sensor/event.ts'

const code = (text: string) => text.replaceAll(/^\s*\/\/.*$/gm, '')
const made = (name: string, pageSize?: number) =>
  code(program(allOf(eventTypes), undefined, architectureOf(name, pageSize)))
const calls = (text: string) =>
  new Set([...text.matchAll(/syscalls:sys_(?:enter|exit)_(\w+)/g)].map(([, call]) => call))

describe('the program for arm64', () => {
  const text = made('arm64')

  test('names no register of x86', () => {
    expect(text).not.toMatch(/\$regs->|orig_ax|\b(?:0x)?33\b/)
  })

  test('reads the first argument from orig_x0, which the result does not overwrite, and the number of the call', () => {
    expect(text).toContain('$first = *kptr((uint64 *)((uint64)$regs + 272));')
    expect(text).toContain('$call = (uint64)*kptr((uint32 *)((uint64)$regs + 280));')
  })

  // include/uapi/asm-generic/unistd.h: what has a form with a directory's descriptor is there in that form alone.
  test('attaches to no call that arm64 has not', () => {
    const older = ['open', 'creat', 'chmod', 'chown', 'lchown', 'link', 'symlink', 'rename', 'unlink', 'rmdir', 'mkdir']
    const x86 = ['mknod', 'ioperm', 'iopl', 'modify_ldt']
    const there = calls(text)
    for (const call of [...older, ...x86]) expect(there, call).not.toContain(call)
  })

  test('attaches to all others that the program for x86-64 attaches to', () => {
    const lacking = architectureOf('arm64').lacks
    const shared = [...calls(made('x64'))].filter((call) => !lacking.has(call ?? ''))
    expect(calls(text)).toEqual(new Set([...shared, 'arm64_personality']))
  })

  // arch/arm64/kernel/sys.c: its call table has a function of its own there, after which the tracepoint is named.
  test('watches personality by the name that it has on arm64', () => {
    expect(calls(text)).not.toContain('personality')
    expect(calls(made('x64'))).toContain('personality')
    expect(calls(made('x64'))).not.toContain('arm64_personality')
  })

  test('tells calls apart by its own numbers', () => {
    expect(text).toContain('if ($call == 35) {\n    $fd = $first;') // unlinkat
    expect(made('x64')).toContain('if ($call == 263) {\n    $fd = $first;')
  })

  test('finds the registers at the end of a stack that is a page at least', () => {
    expect(text).toContain('$t->stack + 16384 - sizeof(struct pt_regs)')
    expect(made('arm64', 65536)).toContain('$t->stack + 65536 - sizeof(struct pt_regs)')
  })

  test('holds no placeholder, and no constant by its name', () => {
    expect(text).not.toMatch(/\{\{|\}\}/)
    expect(new Set(text.match(/\b[A-Z][A-Z0-9_]+\b/g))).toEqual(new Set(['BEGIN']))
  })
})

// x86: arch/x86/entry/syscalls/syscall_32.tbl; arm: arch/arm/tools/syscall.tbl. Both: openat2 is 437.
describe('calls of 32-bit programs are told apart, and read, by their own numbers and registers', () => {
  const blocks = (name: string) =>
    made(name)
      .match(/^kprobe:fd_install\n(?:.*\n)*?\}$/gm)
      ?.join('\n') ?? ''

  test('on x86-64 by what the kernel notes of the call, so that int 0x80 of a 64-bit program is one', () => {
    expect(blocks('x64')).toContain('/ (curtask->thread_info.status & 2) != 0 /')
    expect(blocks('x64')).toContain('$call == 5')
    expect(blocks('x64')).toContain('$call != 295')
    expect(blocks('x64')).toContain('$string = ((uint64)$regs->bx & 0xffffffff);')
  })

  test('on arm64 by what the kernel knows of the program', () => {
    expect(blocks('arm64')).toContain('/ (curtask->thread_info.flags & 0x400000) != 0 /')
    expect(blocks('arm64')).toContain('$call != 322')
  })
})

test('the rows of all processors fit into a map, and each is a power of two', () => {
  for (const processors of [1, 2, 3, 64, 96, 511, 512, 1024, 4096, 8192]) {
    const { CPUS = 0, ROW = 0 } = rowsFor(processors)
    expect(CPUS).toBe(processors)
    expect(CPUS * ROW).toBeLessThanOrEqual(mapKeys)
    expect(Number.isInteger(Math.log2(ROW)), String(ROW)).toBe(true)
  }
})

test('control groups of version 1 are in use where one has a controller', () => {
  expect(usesVersion1('4:memory:/\n0::/\n')).toBe(true)
  expect(usesVersion1('0::/user.slice\n')).toBe(false)
  expect(usesVersion1('1:name=systemd:/user.slice\n0::/user.slice\n')).toBe(false)
})
