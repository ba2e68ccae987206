import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { layoutOf } from '../../bpf/architecture.ts'
import { offsetOf, parametersIn } from '../../bpf/btf.ts'
import { btf } from './types.ts'

describe("the names of a function's parameters are what the kernel says of them", () => {
  const functions = btf(60)

  test('in their order', () => {
    expect(parametersIn(functions)('open')).toEqual(['usage', 'other'])
  })

  test('nothing is made up: of what is no function, or of what are no types', () => {
    expect(parametersIn(functions)('cred')).toBeUndefined()
    expect(parametersIn(functions)('ope')).toBeUndefined()
    for (let length = 0; length < functions.length; length += 7)
      expect([undefined, ['usage', 'other']]).toContainEqual(parametersIn(functions.subarray(0, length))('open'))
    expect(parametersIn(Buffer.alloc(1000, 0xff))('open')).toBeUndefined()
  })
})

describe('the place of a field is what the kernel says of it', () => {
  test.each([56, 60, 64])('%d bytes on', (bytes) => {
    expect(offsetOf(btf(bytes), 'cred', 'cap_effective')).toBe(bytes)
    expect(layoutOf(btf(bytes)).CRED_EFFECTIVE).toBe(bytes)
  })

  test('also where the structure has bit fields', () => {
    expect(offsetOf(btf(60, true), 'cred', 'cap_effective')).toBe(60)
  })

  test('nothing is made up: of a field or a structure that is not there, or of what are no types', () => {
    expect(offsetOf(btf(60), 'cred', 'cap')).toBeUndefined()
    expect(offsetOf(btf(60), 'credit', 'usage')).toBeUndefined()
    const whole = btf(60)
    for (let length = 0; length < whole.length; length += 7)
      expect([undefined, 60]).toContain(offsetOf(whole.subarray(0, length), 'cred', 'cap_effective'))
    expect(offsetOf(Buffer.alloc(1000, 0xff), 'cred', 'usage')).toBeUndefined()
  })
})

const own = '/sys/kernel/btf/vmlinux'
describe.skipIf(!existsSync(own))('what the macros take for granted holds on this kernel', () => {
  const types = existsSync(own) ? readFileSync(own) : Buffer.alloc(0)
  test.each([
    ['mount', 'mnt', 32], // MOUNT_OFFSET
    ['xa_node', 'slots', 40], // macros/task.bt
    ['proc_inode', 'pid', 0], // macros/proc-owner.bt
    ['cgroup', 'self', 0], // macros/cgroup.bt
    ['upid', 'ns', 8], // macros/task.bt
  ])('struct %s has %s at %d', (structure, field, bytes) => {
    expect(offsetOf(types, structure, field)).toBe(bytes)
  })
})
