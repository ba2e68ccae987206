/** The types of a small kernel, in the form in which it publishes them: include/uapi/linux/btf.h. */

const words = (...numbers: number[]) => Buffer.from(new Uint32Array(numbers).buffer)
const texts = '\0int\0cred\0usage\0cap_effective\0other\0open\0'
const at = (name: string) => texts.indexOf(`\0${name}\0`) + 1
const info = (kind: number, members = 0, bitFields = false) => (kind << 24) + members + (bitFields ? 2 ** 31 : 0)

/**
 * Types as a kernel has them: a number, an enumeration, the function `open` of `usage` and `other`, then struct cred with its
 * field `cap_effective` so many bytes from the beginning.
 */
export function btf(effectiveAt: number, bitFields = false): Buffer {
  const types = Buffer.concat([
    words(at('int'), info(1), 4, 32),
    words(at('other'), info(6, 2), 4, at('usage'), 0, at('other'), 1),
    words(0, info(13, 2), 1, at('usage'), 1, at('other'), 1),
    words(at('open'), info(12), 3),
    words(at('other'), info(4, 1), 8, at('cap_effective'), 1, 0),
    words(at('cred'), info(4, 2, bitFields), 100),
    words(at('usage'), 1, 0, at('cap_effective'), 1, effectiveAt * 8),
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
