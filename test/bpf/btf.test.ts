import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { layoutOf } from '../../bpf/architecture.ts'
import { offsetOf } from '../../bpf/btf.ts'

const words = (...numbers: number[]) => Buffer.from(new Uint32Array(numbers).buffer)
const texts = '\0int\0cred\0usage\0cap_effective\0other\0fred_frame\0info\0'
const at = (name: string) => texts.indexOf(`\0${name}\0`) + 1
const info = (kind: number, members = 0, bitFields = false) => (kind << 24) + members + (bitFields ? 2 ** 31 : 0)

/** Types as a kernel has them: a number, an enumeration, a function's prototype, then a structure with such a field. */
function btf(fieldAt: number, bitFields = false, [structure, field] = ['cred', 'cap_effective']): Buffer {
  const types = Buffer.concat([
    words(at('int'), info(1), 4, 32),
    words(at('other'), info(6, 2), 4, at('usage'), 0, at('other'), 1),
    words(0, info(13, 1), 1, 0, 1),
    words(at('other'), info(4, 1), 8, at('cap_effective'), 1, 0),
    words(at(structure), info(4, 2, bitFields), 100),
    words(at('usage'), 1, 0, at(field), 1, fieldAt * 8),
  ])
  const header = Buffer.alloc(24)
  header.writeUInt16LE(0xeb9f, 0)
  header.writeUInt8(1, 2)
  const parts = [24, 0, types.length, types.length, texts.length]
  parts.forEach((value, index) => {
    header.writeUInt32LE(value, 4 + index * 4)
  })
  return Buffer.concat([header, types, Buffer.from(texts)])
}

describe('the place of a field is what the kernel says of it', () => {
  test.each([56, 60, 64])('%d bytes on', (bytes) => {
    expect(offsetOf(btf(bytes), 'cred', 'cap_effective')).toBe(bytes)
    expect(layoutOf(btf(bytes)).CRED_EFFECTIVE).toBe(bytes)
  })

  test('also where the structure has bit fields', () => {
    expect(offsetOf(btf(60, true), 'cred', 'cap_effective')).toBe(60)
  })

  test('a kernel that can do FRED has a structure for it, and leaves two words above what a call came with', () => {
    expect(layoutOf(btf(168, false, ['fred_frame', 'info'])).FRAME_PADDING).toBe(16)
    expect(layoutOf(btf(168)).FRAME_PADDING).toBe(0)
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
