import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { allOf } from '../../bpf/interest.ts'
import { kprobesOf } from '../../bpf/kprobes.ts'
import { blocksOf } from '../../bpf/omissions.ts'
import { program } from '../../bpf/program.ts'
import { fitting, lostBlocks, type Tracepoints } from '../../bpf/tracepoints.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightjar-kprobes-'))
afterAll(() => rmSync(folder, { recursive: true }))
const events = join(folder, 'kprobe')
const types = join(folder, 'vmlinux')

test('a kernel with kprobes has those of the functions that it names among its types', () => {
  mkdirSync(events)
  writeFileSync(types, 'header\0security_path_unlink\0security_path_rename_more\0')
  const canBeProbed = kprobesOf({ events, types })
  expect(canBeProbed('security_path_unlink')).toBe(true)
  expect(canBeProbed('security_path_rename')).toBe(false)
  expect(kprobesOf({ events, types: join(folder, 'none') })('security_path_unlink')).toBe(false)
})

test('a kernel without them has none, whatever it names', () => {
  writeFileSync(types, '\0security_path_unlink\0')
  expect(kprobesOf({ events: join(folder, 'none'), types })('security_path_unlink')).toBe(false)
})

test('where a function can not be probed, its block alone is left out, and nothing counts as not watched', () => {
  const whole = program(allOf(['rename', 'unlink']))
  const probes = (text: string) => blocksOf(text).flatMap((block) => block.probes)
  expect(probes(whole)).toContain('kprobe:security_path_rename')
  const without: Tracepoints = (name) => (name.startsWith('kprobe:') ? undefined : { has: () => true })
  expect(probes(fitting(whole, without))).toEqual(probes(whole).filter((probe) => !/^k(ret)?probe:/.test(probe)))
  expect(lostBlocks(whole, without)).toEqual([])
})
