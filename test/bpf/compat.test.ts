/** The calls of 32-bit programs on x86-64: the blocks of the fragments once more, for the functions that these calls pass. */
import { describe, expect, test } from 'vitest'
import { architectureOf } from '../../bpf/architecture.ts'
import { compatBlocks } from '../../bpf/compat.ts'
import { allOf } from '../../bpf/interest.ts'
import { program } from '../../bpf/program.ts'
import { callNumber } from '../../sensor/calls.ts'
import { type EventType, eventTypes } from '../../sensor/event.ts'

const made = (types: readonly EventType[], name = 'x64') => program(allOf(types), undefined, architectureOf(name))
const block = (text: string, probe: string) => text.match(new RegExp(`^${probe},?\\n(?:.*\\n)*?\\}$`, 'm'))?.[0] ?? ''

describe('a call of 32-bit programs', () => {
  const setns = block(made(['namespace']), 'kretprobe:__ia32_sys_setns')

  test('is read from the registers that it passes its arguments in', () => {
    expect(setns).toContain('$first = ((uint64)$regs->bx & 0xffffffff);')
    expect(setns).not.toMatch(/\$regs->(di|si|dx|r10|r8);/)
  })

  test('is told by the number that it has for 64-bit programs', () => {
    expect(setns).toContain('$call = (uint64)308;')
    const rename = block(made(['rename']), 'kretprobe:__ia32_sys_rename')
    expect(rename).toContain('$call = (uint64)82;')
    expect(rename).toContain('if ($compat == 302) { $call = (uint64)264; }')
    expect(rename).toContain('if ($call != 82) {')
  })

  test('has returned what the function returns, as it is not yet among the registers', () => {
    expect(setns).toContain('$returned = (int64)retval;')
    expect(setns).not.toMatch(/args->ret|\$regs->ax/)
  })

  test('that comes by socketcall is told by which one it is, with the arguments that the program lists', () => {
    const [, connect = ''] = made(['connect']).split('kretprobe:__ia32_compat_sys_socketcall\n')
    expect(connect).toContain('if (((uint64)$regs->bx & 0xffffffff) != 3) {')
    expect(connect).toContain('$second = (uint64)*uptr((uint32 *)($list + 4));')
    expect(connect).toContain('$call = (uint64)42;')
  })

  test('about a name is told with the one that the kernel found, and not if it found none', () => {
    const unlink = block(made(['unlink']), 'kretprobe:__ia32_sys_unlink')
    expect(unlink).toMatch(/if \(\$resolved == 0 \|\| .*\) \{/)
    expect(unlink).not.toContain('$t->fs->pwd')
  })
})

test('a call that is not in the table has no block, and none of another kind of probe is made twice', () => {
  const blocks = (text: string) => compatBlocks(architectureOf('x64'), () => text)
  expect(blocks('tracepoint:syscalls:sys_exit_getpid\n{\n  $returned = 1;\n}\n')).toBe('')
  expect(blocks('tracepoint:sched:sched_process_exec\n{\n}\n')).toBe('')
  expect(blocks('tracepoint:syscalls:sys_exit_getpid,\ntracepoint:syscalls:sys_exit_bpf\n{\n}\n')).toBe(
    '\nkretprobe:__ia32_sys_bpf\n{\n}\n',
  )
})

test('the numbers are those by which calls are named', () => {
  // Blocks of one probe, whose first number is that of its call.
  const single = /^\nkretprobe:__ia32_(?:compat_)?sys_(\w+)\n\{\n(?:.*\n)*?\s+\$call = \(uint64\)(\d+);\n/gm
  const found = [...made(eventTypes).matchAll(single)]
  expect(found.length).toBeGreaterThan(5)
  for (const [, name = '', number] of found)
    if (process.arch === 'x64' && callNumber(name) !== undefined) expect(Number(number), name).toBe(callNumber(name))
})

test('arm64 has no functions of its own for them', () => {
  expect(made(eventTypes, 'arm64')).not.toContain('kretprobe:')
})
