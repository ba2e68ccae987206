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
export function textOf(chunks: readonly RecordOf<'text'>[]): { bytes: Buffer; length: number } {
  const [first] = chunks
  const length = chunks.at(-1)?.length ?? 0
  if (!first || first.at > 0) return { bytes: Buffer.alloc(0), length }
  let came = 1
  while (came < chunks.length && chunks[came]?.at === first.at + came * limits.CHUNK) came++
  const bytes = came === 1 ? first.bytes : Buffer.concat(chunks.slice(0, came).map((chunk) => chunk.bytes))
  return { bytes: bytes.subarray(-first.at, length - first.at), length }
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

/** Where the names of a path are put together, the last one at its end: one text is made of all, not one of each. */
const desk = Buffer.alloc(65_536)
const slash = 0x2f

/** Puts a name, up to its first NUL, with a slash before it in front of what is on the desk from `begin` on. */
function putName(begin: number, bytes: Buffer, start: number, end: number): number {
  let length = 0
  while (start + length < end && bytes[start + length] !== 0) length++
  const first = begin - length
  for (let at = 0; at < length; at++) desk[first + at] = bytes[start + at] ?? 0
  desk[first - 1] = slash
  return first - 1
}

const isMoreOf = (part: RecordOf<'text'>, next: Part | undefined): boolean =>
  next?.record === 'text' && next.section === part.section && next.index === part.index

/**
 * Path components, last first -> the path; undefined without any. A path begins with `…` if it is too deep to be sent,
 * or if it is not known to be `whole`: then its last name is right, and any other may be missing.
 */
export function pathOf(parts: readonly Part[], section: number, whole: boolean): string | undefined {
  let begin = desk.length
  let any = false
  let deep = false
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at]
    if (part?.record !== 'text' || part.section !== section) continue
    any = true
    const first = at
    while (isMoreOf(part, parts[at + 1])) at++ // the chunks of one name stand together
    const text = at === first ? undefined : textOf(parts.slice(first, at + 1).filter(inSection(section)))
    const { bytes } = text ?? part
    const start = text ? 0 : -part.at
    const end = text ? bytes.length : Math.min(bytes.length, start + part.length)
    const cut = text ? end < text.length : part.at > 0 || end - start < part.length
    if (!whole && begin === desk.length && (part.index !== 0 || cut)) return undefined
    if (part.index >= limits.PATH_DEPTH || begin <= bytes.length) deep = true
    else begin = putName(begin, bytes, part.at > 0 ? end : start, end)
  }
  if (!any) return undefined
  const path = begin === desk.length ? '/' : desk.toString('utf8', begin)
  return !whole || deep ? `…${path}` : path
}

/** The descriptors 0, 1, 2. */
export function stdioOf(parts: readonly Part[]): (Descriptor | undefined)[] {
  const files = parts.find((part) => part.record === 'stdio_files')
  if (files?.record !== 'stdio_files') return [undefined, undefined, undefined]
  const descriptor = (at: number, mode: number, device: number, inode: string, node: number) => {
    if (mode === 0) return undefined // closed
    const socket = parts.find((part) => part.record === 'socket' && part.at === at)
    return { mode, inode: `${device}:${inode}`, node, ...(socket?.record === 'socket' && { socket: socketOf(socket) }) }
  }
  return [
    descriptor(0, files.mode0, files.device0, files.inode0, files.node0),
    descriptor(1, files.mode1, files.device1, files.inode1, files.node1),
    descriptor(2, files.mode2, files.device2, files.inode2, files.node2),
  ]
}

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

/** A byte order mark stays: dropped, it would make one name look like another. */
export const decode = (bytes: Buffer) => bytes.toString('utf8')

export function cutAtNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}
