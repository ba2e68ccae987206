/** A struct sockaddr as it lies in memory -> the address that it says. */
import ipaddr from 'ipaddr.js'
import { cutAtNul, decode } from './parts.ts'

/** include/uapi/linux/in.h, in6.h, un.h: the least that connect(2) takes of each. */
const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10

export type Sockaddr = { family: 'unix'; path?: string } | { family: 'ipv4' | 'ipv6'; ip: string; port: number }

/** Undefined for another family, or where it is too short. An unnamed unix address has no path. */
export function sockaddrOf(bytes: Buffer): Sockaddr | undefined {
  if (bytes.length < 2) return undefined
  const family = bytes.readUInt16LE(0)
  if (family === AF_UNIX) return { family: 'unix', ...unixPath(bytes.subarray(2)) }
  if (family === AF_INET && bytes.length >= 8)
    return { family: 'ipv4', ip: new ipaddr.IPv4([...bytes.subarray(4, 8)]).toString(), port: bytes.readUInt16BE(2) }
  if (family === AF_INET6 && bytes.length >= 24) {
    const address = new ipaddr.IPv6([...bytes.subarray(8, 24)])
    const ip = (address.isIPv4MappedAddress() ? address.toIPv4Address() : address).toString()
    return { family: 'ipv6', ip, port: bytes.readUInt16BE(2) }
  }
  return undefined
}

/** A name that begins with a NUL is abstract, and all of its bytes count (unix(7)); each NUL is written as an @. */
function unixPath(name: Buffer): { path?: string } {
  if (name.length === 0) return {}
  return { path: name[0] === 0 ? decode(name).replaceAll('\0', '@') : decode(cutAtNul(name)) }
}
