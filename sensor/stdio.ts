/** A descriptor as the kernel has it -> what a rule reads about it. */

import type { Stdio } from './event.ts'
import type { Descriptor, Socket } from './parts.ts'

/** include/uapi/linux/stat.h */
const kinds = new Map([
  [0o010000, 'pipe'],
  [0o040000, 'directory'],
  [0o060000, 'device'],
  [0o100000, 'file'],
])
const S_IFMT = 0o170000
const S_IFCHR = 0o020000
const S_IFSOCK = 0o140000
const MINOR_BITS = 20 // the kernel's own dev_t, include/linux/kdev_t.h

/** Character devices by major number, Documentation/admin-guide/devices.txt; 136 to 143 are the Unix 98 ptys. */
const isTerminal = (major: number, minor: number) =>
  (major >= 136 && major <= 143) || major === 4 || (major === 5 && minor < 2)

export function stdioOf(
  descriptor: Descriptor | undefined,
  isOutbound: (socket: Socket) => boolean | undefined,
): Stdio {
  if (!descriptor) return { type: 'closed' }
  const { mode, node, inode, socket } = descriptor
  switch (mode & S_IFMT) {
    case S_IFSOCK:
      return socketStdio(socket, isOutbound)
    case S_IFCHR: {
      const [major, minor] = [node >>> MINOR_BITS, node & ((1 << MINOR_BITS) - 1)]
      if (isTerminal(major, minor)) return { type: 'tty' }
      return { type: major === 1 && minor === 3 ? 'null' : 'device' }
    }
    default:
      return { type: kinds.get(mode & S_IFMT) ?? 'other', inode }
  }
}

function socketStdio(socket: Socket | undefined, isOutbound: (socket: Socket) => boolean | undefined): Stdio {
  if (socket?.family === 'unix') return { type: 'unix' }
  if (!socket || socket.family === 'other') return { type: 'other' }
  const outbound = isOutbound(socket)
  return {
    type: 'socket',
    ...(socket.ip !== undefined && { peer: { ip: socket.ip, port: socket.port } }),
    ...(outbound !== undefined && { direction: outbound ? 'outbound' : 'inbound' }),
  }
}
