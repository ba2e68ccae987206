/** Where the fields of the kernel's structures are, by the types that it publishes of itself (Documentation/bpf/btf.rst). */

/** include/uapi/linux/btf.h: bytes behind the 12 of a type, by its kind: so many, and so many for each of its members. */
const trailing: Record<number, [fixed: number, each: number]> = {
  1: [4, 0], // BTF_KIND_INT
  3: [12, 0], // ARRAY
  4: [0, 12], // STRUCT
  5: [0, 12], // UNION
  6: [0, 8], // ENUM
  13: [0, 8], // FUNC_PROTO
  14: [4, 0], // VAR
  15: [0, 12], // DATASEC
  17: [4, 0], // DECL_TAG
  19: [0, 12], // ENUM64
}
const MAGIC = 0xeb9f
const STRUCT = 4

/**
 * Bytes from the beginning of `struct NAME` to its field, as /sys/kernel/btf/vmlinux has it; undefined if there is none, or
 * the types can't be read.
 */
export function offsetOf(btf: Buffer, name: string, field: string): number | undefined {
  if (btf.length < 24 || btf.readUInt16LE(0) !== MAGIC) return undefined
  const [headerLength, typesAt, typesLength, textsAt] = [4, 8, 12, 16].map((at) => btf.readUInt32LE(at))
  if (headerLength === undefined || typesAt === undefined || typesLength === undefined || textsAt === undefined)
    return undefined
  const texts = headerLength + textsAt
  const isText = (at: number, text: string) => {
    const end = texts + at + text.length
    return end < btf.length && btf[end] === 0 && btf.toString('latin1', texts + at, end) === text
  }
  const end = Math.min(btf.length, headerLength + typesAt + typesLength)
  for (let at = headerLength + typesAt; at + 12 <= end; ) {
    const info = btf.readUInt32LE(at + 4)
    const kind = (info >>> 24) & 0x1f
    const members = info & 0xffff
    const [fixed, each] = trailing[kind] ?? [0, 0]
    const next = at + 12 + fixed + each * members
    if (kind === STRUCT && next <= end && isText(btf.readUInt32LE(at), name))
      for (let member = at + 12; member < next; member += 12)
        // In bits; where there are bit fields among the members, the size of one stands in the upper 8 bits.
        if (isText(btf.readUInt32LE(member), field)) return (btf.readUInt32LE(member + 8) & 0xff_ffff) / 8
    at = next
  }
  return undefined
}
