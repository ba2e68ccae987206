import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { byFentry, functionsOf } from '../../bpf/functions.ts'
import { allOf } from '../../bpf/interest.ts'
import { blocksOf } from '../../bpf/omissions.ts'
import { program } from '../../bpf/program.ts'
import { fitting, lostBlocks, type Tracepoints } from '../../bpf/tracepoints.ts'
import { btf } from './types.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightjar-functions-'))
afterAll(() => rmSync(folder, { recursive: true }))
const events = join(folder, 'kprobe')
const types = join(folder, 'vmlinux')

test('a kernel with kprobes has those of the functions among its types, whatever else it names', () => {
  mkdirSync(events)
  writeFileSync(types, btf(60))
  const functions = functionsOf({ events, types })
  expect(functions('open')).toEqual(['usage', 'other'])
  expect(functions('openat')).toBeUndefined()
  expect(functions('cred')).toBeUndefined()
  expect(functionsOf({ events, types: join(folder, 'none') })('open')).toBeUndefined()
})

test('a kernel without them has none, whatever it names', () => {
  writeFileSync(types, btf(60))
  expect(functionsOf({ events: join(folder, 'none'), types })('open')).toBeUndefined()
})

test('where a function can not be probed, its block alone is left out, and nothing counts as not watched', () => {
  const whole = program(allOf(['rename', 'unlink']))
  const probes = (text: string) => blocksOf(text).flatMap((block) => block.probes)
  expect(probes(whole)).toContain('kprobe:security_path_rename')
  const without: Tracepoints = (name) => (name.startsWith('kprobe:') ? undefined : { has: () => true })
  expect(probes(fitting(whole, without))).toEqual(probes(whole).filter((probe) => !/^k(ret)?probe:/.test(probe)))
  expect(lostBlocks(whole, without)).toEqual([])
})

describe('by fentry', () => {
  const parameters: Record<string, string[]> = {
    security_path_rename: ['old_dir', 'old_dentry', 'new_dir', 'new_dentry', 'flags'],
    security_path_unlink: ['dir', 'dentry'],
    security_path_rmdir: ['way', 'last'],
    __ia32_sys_setns: ['regs'],
    __ia32_sys_unshare: ['regs'],
  }
  const kernel: Tracepoints = (name) => {
    const [kind, own = ''] = name.split(':')
    return { has: () => true, ...(kind === 'kprobe' && parameters[own] && { parameters: parameters[own] }) }
  }
  const whole = program(allOf(['rename', 'unlink', 'chmod', 'namespace']), kernel)
  const made = byFentry(whole, kernel)
  const block = (probe: string) => {
    const found = blocksOf(made).find(({ probes }) => probes.includes(probe))
    return made
      .split('\n')
      .slice((found?.firstLine ?? 0) - 1, found?.lastLine)
      .join('\n')
  }

  test('what a function is given is read by the names of its own parameters', () => {
    const rename = block('kfunc:security_path_rename')
    const read = [...rename.matchAll(/args->(\w+)/g)].map(([, name]) => name)
    expect(new Set(read)).toEqual(new Set(['old_dir', 'old_dentry', 'new_dir', 'new_dentry']))
    expect(block('kfunc:security_path_unlink')).toContain('(struct dentry *)((uint64)args->dentry)')
    expect(block('kfunc:security_path_rmdir')).toContain('(struct dentry *)((uint64)args->last)')
    expect(made.match(/^kfunc:(?:.*\n)*?\}$/gm)?.join('')).not.toMatch(/\barg\d/)
  })

  test('the end of a function is one of fexit, with what it returned', () => {
    expect(block('kretfunc:__ia32_sys_setns')).toContain('(int64)retval')
    expect(block('kretfunc:__ia32_sys_setns')).toContain('$call = (uint64)308;')
  })

  test('a function of which the kernel does not tell what it is given stays with its kprobe', () => {
    expect(block('kprobe:security_path_chmod')).toContain('arg0')
  })

  test('no probe is lost, and what hangs on tracepoints stays as it is', () => {
    const probes = (text: string) => blocksOf(text).flatMap((one) => one.probes)
    expect(probes(made).map((probe) => probe.replace(/^k(ret)?func:/, 'k$1probe:'))).toEqual(probes(whole))
    const tracepoints = (text: string) => text.match(/^tracepoint:(?:.*\n)*?\}$/gm)
    expect(tracepoints(made)).toEqual(tracepoints(whole))
  })
})
