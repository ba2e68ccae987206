/**
 * Where the fields of the kernel's structures are, and what its functions take, by the types that it publishes of itself
 * (Documentation/bpf/btf.rst).
 */

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
const FUNC = 12
const FUNC_PROTO = 13

interface Type {
  kind: number
  /** In the bytes: where it begins, where its members or parameters do, and where the next type does. */
  at: number
  members: number
  next: number
}

/** The types one after the other; the first has the number 1. None where these bytes are not BTF. */
function* typesIn(btf: Buffer): Generator<Type> {
  const header = headerOf(btf)
  if (!header) return
  for (let at = header.types; at + 12 <= header.end; ) {
    const info = btf.readUInt32LE(at + 4)
    const kind = (info >>> 24) & 0x1f
    const [fixed, each] = trailing[kind] ?? [0, 0]
    const members = at + 12 + fixed
    const next = members + each * (info & 0xffff)
    if (next > header.end) return
    yield { kind, at, members, next }
    at = next
  }
}

/** Where the types begin and end, and where the texts begin. */
function headerOf(btf: Buffer): { types: number; end: number; texts: number } | undefined {
  if (btf.length < 24 || btf.readUInt16LE(0) !== MAGIC) return undefined
  const [length, types, typesLength, texts] = [4, 8, 12, 16].map((at) => btf.readUInt32LE(at))
  if (length === undefined || types === undefined || typesLength === undefined || texts === undefined) return undefined
  return { types: length + types, end: Math.min(btf.length, length + types + typesLength), texts: length + texts }
}

/** The text that this number of a type or member stands for. */
const textAt = (btf: Buffer, number: number): string => {
  const at = (headerOf(btf)?.texts ?? 0) + number
  const end = btf.indexOf(0, at)
  return end === -1 ? '' : btf.toString('latin1', at, end)
}

/** The number that stands for a text; undefined if no type has it. Each text is there once. */
const numberOf = (btf: Buffer, text: string): number | undefined => {
  const texts = headerOf(btf)?.texts ?? 0
  const at = btf.indexOf(`\0${text}\0`, texts, 'latin1')
  return at === -1 ? undefined : at + 1 - texts
}

/**
 * Bytes from the beginning of `struct NAME` to its field, as /sys/kernel/btf/vmlinux has it; undefined if there is none, or
 * the types can't be read.
 */
export function offsetOf(btf: Buffer, name: string, field: string): number | undefined {
  const [struct, member] = [numberOf(btf, name), numberOf(btf, field)]
  if (struct === undefined || member === undefined) return undefined
  for (const { kind, at, members, next } of typesIn(btf))
    if (kind === STRUCT && btf.readUInt32LE(at) === struct)
      for (let one = members; one < next; one += 12)
        // In bits; where there are bit fields among the members, the size of one stands in the upper 8 bits.
        if (btf.readUInt32LE(one) === member) return (btf.readUInt32LE(one + 8) & 0xff_ffff) / 8
  return undefined
}

/** The names of the parameters of each function of the kernel, in their order; undefined if it has no such function. */
export function parametersIn(btf: Buffer): (name: string) => string[] | undefined {
  const functions = new Map<number, number>()
  const types = [0]
  for (const { kind, at } of typesIn(btf)) {
    if (kind === FUNC) functions.set(btf.readUInt32LE(at), btf.readUInt32LE(at + 8))
    types.push(at)
  }
  return (name) => {
    const at = types[functions.get(numberOf(btf, name) ?? 0) ?? 0]
    if (at === undefined || at === 0 || ((btf.readUInt32LE(at + 4) >>> 24) & 0x1f) !== FUNC_PROTO) return undefined
    const count = btf.readUInt32LE(at + 4) & 0xffff
    return Array.from({ length: count }, (_, index) => textAt(btf, btf.readUInt32LE(at + 12 + 8 * index)))
  }
}
