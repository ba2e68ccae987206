/**
 * The parts of a record, read: text in chunks, paths in components, descriptors, sockets.
 *
 * The kernel sends them as lines of their own, before the head that they belong to. A part may be lost; nothing here
 * takes half a text for a whole one.
 */
import ipaddr from 'ipaddr.js'
import { limits, type parts as partNames, type RecordOf } from '../bpf/records.ts'

export type Part = RecordOf<(typeof partNames)[number]>

/** The remote end of a socket, as the kernel has it. */
export interface Socket {
  family: 'ipv4' | 'ipv6' | 'unix' | 'other'
  stream: boolean
  listening: boolean
  /** Dotted or colon form; absent for a socket that is not connected. */
  ip?: string
  port: number
  localPort: number
}

/** An address of IP, and a port of it. */
export type Peer = Pick<Socket, 'family' | 'ip' | 'port'>

/** One of the descriptors 0, 1, 2. */
export interface Descriptor {
  /** st_mode of the file. */
  mode: number
  /** `device:inode`: the two ends of a pipe have it in common. */
  inode: string
  /** st_rdev: what a character device is. */
  node: number
  /** Set for a socket. */
  socket?: Socket
}

/** include/linux/socket.h */
const families: Record<number, Socket['family']> = { 1: 'unix', 2: 'ipv4', 10: 'ipv6' }
const TCP_LISTEN = 10
const SOCK_STREAM = 1

export const inSection =
  (section: number) =>
  (part: Part): part is RecordOf<'text'> =>
    part.record === 'text' && part.section === section

/**
 * Chunks of one text -> the text up to the first chunk that was lost, and the length that it has in the kernel, as its
 * last chunk says: where the kernel looks for its end on the way, those before say no more than that there is more.
 * Chunks are read from a multiple of 8 on: of the first, what stands before 0 is no part of the text.
 */
export function textOf(chunks: RecordOf<'text'>[]): { bytes: Buffer; length: number } {
  const [first] = chunks
  const length = chunks.at(-1)?.length ?? 0
  if (!first || first.at > 0) return { bytes: Buffer.alloc(0), length }
  const sent: Uint8Array[] = []
  for (const chunk of chunks) {
    if (chunk.at !== first.at + sent.length * limits.CHUNK) break
    sent.push(chunk.bytes)
  }
  return { bytes: Buffer.concat(sent).subarray(-first.at, length - first.at), length }
}

/**
 * The text of a section up to its first NUL, if there is one and all of it came. One that ends with `…` is longer than
 * is sent.
 */
export function textIn(parts: Part[], section: number): string | undefined {
  const chunks = parts.filter(inSection(section))
  const name = parts.find((part) => part.record === 'name' && part.section === section)
  if (name?.record === 'name') return decode(cutAtNul(name.bytes))
  const { bytes, length } = textOf(chunks)
  if (chunks.length === 0 || bytes.length < length) return undefined
  const text = decode(cutAtNul(bytes))
  return length >= limits.NAMED_MAX && !bytes.includes(0) ? `${text}…` : text
}

/**
 * Path components, last first -> the path; undefined without any. A path begins with `…` if it is too deep to be sent,
 * or if it is not known to be `whole`: then its last name is right, and any other may be missing.
 */
export function pathOf(parts: Part[], section: number, whole: boolean): string | undefined {
  const components = new Map<number, RecordOf<'text'>[]>()
  for (const part of parts.filter(inSection(section))) {
    const chunks = components.get(part.index)
    if (chunks) chunks.push(part)
    else components.set(part.index, [part])
  }
  if (components.size === 0) return undefined
  const texts = [...components].filter(([index]) => index < limits.PATH_DEPTH).map(([, chunks]) => textOf(chunks))
  const last = components.has(0) ? texts[0] : undefined
  if (!whole && (!last || last.bytes.length < last.length)) return undefined
  const path = `/${texts
    .map(({ bytes }) => decode(cutAtNul(bytes)))
    .reverse()
    .join('/')}`
  return !whole || components.has(limits.PATH_DEPTH) ? `…${path}` : path
}

export const stdioOf = (parts: Part[]): (Descriptor | undefined)[] =>
  [0, 1, 2].map((at) => {
    const file = parts.find((part) => part.record === 'fd' && part.at === at)
    const socket = parts.filter((part) => part.record === 'socket').find((part) => part.at === at)
    if (file?.record !== 'fd') return undefined
    const { mode, inode, device, node } = file
    return { mode, inode: `${device}:${inode}`, node, ...(socket && { socket: socketOf(socket) }) }
  })

export function socketOf(part: RecordOf<'socket' | 'parent_socket' | 'connect' | 'accept'>): Socket {
  const listening = part.state === TCP_LISTEN
  const family = families[part.family] ?? 'other'
  if (family === 'unix' || family === 'other')
    return { family, stream: part.type === SOCK_STREAM, listening, port: 0, localPort: 0 }
  const port = swap16(part.peer_port_be)
  const ip = family === 'ipv4' ? ipv4(part.peer4) : ipv6(part.peer6_0, part.peer6_1, part.peer6_2, part.peer6_3)
  return {
    family,
    stream: part.type === SOCK_STREAM,
    listening,
    ...(port !== 0 && { ip }),
    port,
    localPort: part.local_port,
  }
}

/** The address among the parts. */
export function addressIn(parts: Part[]): (Peer & { ip: string }) | undefined {
  const part = parts.find((part) => part.record === 'address')
  if (part?.record !== 'address') return undefined
  const family = families[part.family] ?? 'other'
  if (family !== 'ipv4' && family !== 'ipv6') return undefined
  const ip = family === 'ipv4' ? ipv4(part.ip4) : ipv6(part.ip6_0, part.ip6_1, part.ip6_2, part.ip6_3)
  return { family, ip, port: part.port }
}

const swap16 = (value: number) => ((value & 0xff) << 8) | ((value >> 8) & 0xff)

/** A big-endian address that was read as a little-endian number: its first byte is the lowest. */
const octets = (value: number) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff)
const ipv4 = (value: number) => octets(value).join('.')

/** RFC 5952 text form; an IPv4-mapped address in its IPv4 form. */
function ipv6(...words: number[]): string {
  const address = new ipaddr.IPv6(words.flatMap(octets))
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toString()
}

/** A byte order mark is a character as any other: dropped, it would make one name look like another. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
export const decode = (bytes: Uint8Array) => decoder.decode(bytes)

export function cutAtNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}
