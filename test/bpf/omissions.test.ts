import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { architectureOf } from '../../bpf/architecture.ts'
import { allOf } from '../../bpf/interest.ts'
import { blocksOf, nameOf, refusedBlock, without } from '../../bpf/omissions.ts'
import { program } from '../../bpf/program.ts'
import { lostBlocks } from '../../bpf/tracepoints.ts'
import { eventTypes } from '../../sensor/event.ts'
import { createKernelProgram } from '../../sensor/kernel-program.ts'

const all = allOf(eventTypes)
const whole = program(all)
const lineOf = (text: string) => whole.split('\n').findIndex((line) => line.includes(text)) + 1
const refused = (...complaint: string[]) => {
  const block = refusedBlock(whole, complaint)
  return block && nameOf(block)
}

describe('what bpftrace refuses is found in what it says', () => {
  test.each([
    ['by 0.17, by the verifier', 'ERROR: Error loading program: tracepoint:io_uring:io_uring_complete (try -v)'],
    [
      'by 0.23, by the verifier',
      'ERROR: Error loading BPF program for tracepoint_io_uring_io_uring_complete_31. Use -v for full kernel error log.',
    ],
    ['by both, a type', `stdin:${lineOf('(struct io_open *)')}:5-20: ERROR: Unknown struct/union: 'struct io_open'`],
  ])('%s', (_, line) => {
    expect(refused('stdin:1:1-2: WARNING: comparison of integers of different signs', line)).toBe(
      'open-ring (tracepoint:io_uring:io_uring_complete)',
    )
  })

  test('of two blocks at one probe the later one, then the one before', () => {
    const line = 'ERROR: Error loading program: tracepoint:syscalls:sys_exit_openat (try -v)'
    const last = refused(line) ?? ''
    expect(last).toBe('open-failed (tracepoint:syscalls:sys_exit_open)')
    const next = refusedBlock(without(whole, new Set([last])), [line])
    expect(next && nameOf(next)).toBe('open (tracepoint:syscalls:sys_exit_open)')
  })

  test('one whose name is the beginning of another is not meant by it', () => {
    expect(refused('ERROR: Error loading program: tracepoint:syscalls:sys_exit_open_by_handle_at (try -v)')).toMatch(
      /open_by_handle_at/,
    )
  })

  test('a probe with a wildcard is found by what it stands for', () => {
    expect(refused('ERROR: Error loading program: tracepoint:syscalls:sys_exit_dup2 (try -v)')).toMatch(/^stdio /)
  })

  test.each([
    ['without which nothing works', 'ERROR: Error loading program: tracepoint:sched:sched_process_exec (try -v)'],
    ['that is not named', 'ERROR: something else went wrong'],
  ])('nothing is left out %s', (_, line) => {
    expect(refused(line)).toBeUndefined()
  })
})

describe('blocks', () => {
  test('are counted as those of their own fragment', () => {
    const fragments = readdirSync(join(import.meta.dirname, '../../bpf')).filter((file) => file.endsWith('.bt'))
    const counted = blocksOf(program(all, undefined, architectureOf('x64'))).map(({ fragment }) => `${fragment}.bt`)
    expect(new Set(counted)).toEqual(new Set(fragments))
  })

  test('have names of their own', () => {
    const names = blocksOf(whole).map(nameOf)
    expect(new Set(names).size).toBe(names.length)
  })

  test('cover the program: without all of them no probe is left', () => {
    const nothing = without(whole, new Set(blocksOf(whole).map(nameOf)))
    expect(nothing).not.toMatch(/^(tracepoint|BEGIN|interval)|^[{}]/m)
  })

  test('are needed where no rule asks for them', () => {
    const needed = blocksOf(whole).filter((block) => block.needed)
    expect(needed).toEqual(expect.arrayContaining([expect.objectContaining({ fragment: 'exec' })]))
    expect(new Set(needed.map(({ fragment }) => fragment))).toEqual(
      new Set(blocksOf(program(allOf([]))).map(({ fragment }) => fragment)),
    )
  })
})

describe('what a kernel can not show', () => {
  const kernel = (lacks: (name: string) => boolean) => (name: string) => (lacks(name) ? undefined : { has: () => true })

  test('is told: a tracepoint that it has under no name', () => {
    const lost = lostBlocks(
      whole,
      kernel((name) => name === 'io_uring:io_uring_complete'),
    ).map(nameOf)
    expect(lost).toEqual(['open-ring (tracepoint:io_uring:io_uring_complete)'])
    expect(
      lostBlocks(
        whole,
        kernel((name) => name === 'io_uring:io_uring_submit_req'),
      ),
    ).toEqual([])
  })

  test('is not told of calls that it has not', () => {
    expect(
      lostBlocks(
        whole,
        kernel((name) => name.endsWith('_module') || name.endsWith('mount_setattr')),
      ),
    ).toEqual([])
  })

  test('but of calls that it has no tracepoints for at all', () => {
    const lost = lostBlocks(
      whole,
      kernel((name) => name.startsWith('syscalls:')),
    ).map(({ fragment }) => fragment)
    expect(lost).toEqual(expect.arrayContaining(['open', 'mount', 'chmod', 'credentials']))
    expect(lost).not.toContain('exec')
  })

  test('stays out of the program from then on, and is told as long as it is wanted', () => {
    const told: string[] = []
    const kernelProgram = createKernelProgram({ tracepoints: () => undefined, onRefused: (name) => told.push(name) })
    const line = 'ERROR: Error loading program: tracepoint:task:task_newtask (try -v)'
    expect(kernelProgram.refused(kernelProgram.text(all), [line])).toBe(true)
    expect(told).toEqual(['namespace (tracepoint:task:task_newtask)'])
    expect(kernelProgram.missing(all)).toEqual(told)
    expect(kernelProgram.missing(allOf(['connect']))).toEqual([])
    // What is left at that probe is the fork, without which nothing works.
    expect(kernelProgram.refused(kernelProgram.text(all), [line])).toBe(false)
    expect(kernelProgram.text(all)).not.toContain(
      '---- namespace\n// namespace: a process makes new namespaces\ntracepoint:task',
    )
  })

  test('where one kprobe is refused all are left out at once: each would cost another start', () => {
    const told: string[] = []
    const kernelProgram = createKernelProgram({ tracepoints: () => undefined, onRefused: (name) => told.push(name) })
    expect(kernelProgram.backend(all)).toBe('tracepoint,kprobe')
    const line = 'ERROR: Unable to attach probe: kprobe:security_path_link'
    expect(kernelProgram.refused(kernelProgram.text(all), [line])).toBe(true)
    expect(kernelProgram.backend(all)).toBe('tracepoint')
    expect(told).toEqual(['link (kprobe:security_path_link)'])
    expect(kernelProgram.missing(all)).toContain('rename (kprobe:security_path_rename)')
    expect(kernelProgram.text(all)).toContain('tracepoint:syscalls:sys_exit_renameat2')
  })

  test('where the return of a function is refused those of all are left out, and what is seen at their beginning stays', () => {
    const kernelProgram = createKernelProgram({ tracepoints: () => undefined, onRefused: () => {} })
    const line = 'ERROR: Error attaching probe: kretprobe:__ia32_sys_setns'
    expect(kernelProgram.refused(kernelProgram.text(all), [line])).toBe(true)
    expect(kernelProgram.text(all)).not.toContain('kretprobe:')
    expect(kernelProgram.text(all)).toContain('kprobe:security_path_rename')
  })
})
