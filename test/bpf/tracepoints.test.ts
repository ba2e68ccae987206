import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { allOf } from '../../bpf/interest.ts'
import { program } from '../../bpf/program.ts'
import { fitting, tracepointsOf } from '../../bpf/tracepoints.ts'
import { eventTypes } from '../../sensor/event.ts'

const kernel = (tracepoints: Record<string, string[]>) => (name: string) =>
  tracepoints[name] && new Set(tracepoints[name])

const two = `tracepoint:syscalls:sys_exit_open,
tracepoint:syscalls:sys_exit_openat
/ args->ret >= 0 /
{
  printf("%lld", args->ret);
}

interval:ms:500
{
  printf("beat");
}
`

describe('a program is made for the tracepoints that the kernel has', () => {
  test('a probe for one that it lacks is left out, and the others of the block stay', () => {
    const text = fitting(two, kernel({ 'syscalls:sys_exit_openat': ['ret'] }))
    expect(text).not.toContain('sys_exit_open,')
    expect(text).toContain('tracepoint:syscalls:sys_exit_openat\n/ args->ret >= 0 /\n{\n')
    expect(text).toContain('interval:ms:500')
  })

  test('a block of which none is left is gone, and only that', () => {
    const text = fitting(two, kernel({}))
    expect(text).not.toContain('tracepoint:')
    expect(text).not.toContain('args')
    expect(text).toContain('interval:ms:500\n{\n  printf("beat");\n}\n')
  })

  test('a record without a field that the block reads counts as none', () => {
    expect(fitting(two, kernel({ 'syscalls:sys_exit_openat': ['result'] }))).not.toContain('tracepoint:')
  })

  test('one that has everything gets everything', () => {
    const all = program(allOf(eventTypes))
    const everything = { has: () => true } as unknown as ReadonlySet<string>
    expect(fitting(all, () => everything)).toBe(all)
  })

  test('one without system calls for modules still gets all that is not about modules', () => {
    const everything = { has: () => true } as unknown as ReadonlySet<string>
    const text = fitting(program(allOf(eventTypes)), (name) => (name.endsWith('_module') ? undefined : everything))
    const code = (source: string) => source.replaceAll(/^\s*(\/\/.*)?\n/gm, '')
    expect(code(text)).toBe(code(program(allOf(eventTypes.filter((type) => type !== 'module')))))
  })
})

describe('what the kernel has is read from tracefs', () => {
  const tracefs = mkdtempSync(join(tmpdir(), 'nightjar-tracefs-'))
  afterAll(() => rmSync(tracefs, { recursive: true }))
  mkdirSync(join(tracefs, 'events/sched/sched_switch'), { recursive: true })
  writeFileSync(
    join(tracefs, 'events/sched/sched_switch/format'),
    `name: sched_switch
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] what;\toffset:28;\tsize:4;\tsigned:0;

print fmt: "%s", REC->prev_comm
`,
  )

  test('with the names of its fields', () => {
    expect(tracepointsOf(tracefs)?.('sched:sched_switch')).toEqual(
      new Set(['common_type', 'prev_comm', 'prev_pid', 'what']),
    )
  })

  test('and what is not there is not known', () => {
    expect(tracepointsOf(tracefs)?.('sched:sched_waking')).toBeUndefined()
  })

  test('where it is not mounted nothing is said, rather than that there is nothing', () => {
    expect(tracepointsOf(join(tracefs, 'nowhere'))).toBeUndefined()
  })
})
