import { describe, expect, test } from 'vitest'
import type { Descriptor, Socket } from '../../sensor/parts.ts'
import { stdioOf } from '../../sensor/stdio.ts'

const unknown = () => undefined
const descriptor = (mode: number, changes: Partial<Descriptor> = {}): Descriptor => {
  return { mode, inode: '15:7', node: 0, ...changes }
}
/** dev_t as the kernel keeps it: twelve bits of major, twenty of minor. */
const device = (major: number, minor: number) => (major << 20) | minor
const characterDevice = (major: number, minor: number) =>
  stdioOf(descriptor(0o020666, { node: device(major, minor) }), unknown)

const socket = (changes: Partial<Socket> = {}): Descriptor =>
  descriptor(0o140777, {
    socket: {
      family: 'ipv4',
      stream: true,
      listening: false,
      ip: '203.0.113.9',
      port: 4444,
      localPort: 40_000,
      ...changes,
    },
  })

test.each([
  ['a pipe, named or not', 0o010600, 'pipe'],
  ['a regular file', 0o100644, 'file'],
  ['a regular file with every permission bit', 0o107777, 'file'],
  ['a directory', 0o040755, 'directory'],
  ['a block device', 0o060660, 'device'],
])('%s is known by its mode, with its inode', (_, mode, type) => {
  expect(stdioOf(descriptor(mode), unknown)).toEqual({ type, inode: '15:7' })
})

test('an anonymous inode (eventfd, epoll) has no type in its mode: other', () => {
  expect(stdioOf(descriptor(0o000600), unknown)).toMatchObject({ type: 'other' })
})

test('what is not there is closed', () => {
  expect(stdioOf(undefined, unknown)).toEqual({ type: 'closed' })
})

describe('character devices', () => {
  test.each([
    ['/dev/pts/0', 136, 0],
    ['/dev/pts/3', 136, 3],
    ['/dev/pts/2047', 143, 255],
    ['/dev/tty1', 4, 1],
    ['/dev/ttyS0', 4, 64],
    ['/dev/tty', 5, 0],
    ['/dev/console', 5, 1],
  ])('%s is a terminal', (_, major, minor) => {
    expect(characterDevice(major, minor)).toEqual({ type: 'tty' })
  })

  test('/dev/null is null', () => {
    expect(characterDevice(1, 3)).toEqual({ type: 'null' })
  })

  test.each([
    ['/dev/zero', 1, 5],
    ['/dev/urandom', 1, 9],
    ['/dev/ptmx', 5, 2],
    ['/dev/fuse', 10, 229],
    ['minor 3 of another major', 10, 3],
    ['the highest major', 4095, 1_048_575],
  ])('%s is a device', (_, major, minor) => {
    expect(characterDevice(major, minor)).toEqual({ type: 'device' })
  })
})

describe('sockets', () => {
  test('a connected one has its peer', () => {
    expect(stdioOf(socket(), unknown)).toEqual({ type: 'socket', peer: { ip: '203.0.113.9', port: 4444 } })
  })

  test('IPv6 as well', () => {
    const peer = { ip: '2001:db8::9', port: 443 }
    expect(stdioOf(socket({ family: 'ipv6', ...peer }), unknown)).toEqual({ type: 'socket', peer })
  })

  test.each([
    [true, 'outbound'],
    [false, 'inbound'],
  ])('opened by us: %s, so its direction is %s', (outbound, direction) => {
    expect(stdioOf(socket(), () => outbound)).toMatchObject({ type: 'socket', direction })
  })

  test('a direction that is not known is absent', () => {
    expect(stdioOf(socket(), unknown)).not.toHaveProperty('direction')
  })

  test('one without a peer is a socket all the same', () => {
    const { ip: _, ...unconnected } = socket().socket as Socket
    expect(stdioOf(descriptor(0o140777, { socket: { ...unconnected, port: 0 } }), unknown)).toEqual({ type: 'socket' })
  })

  test('a unix socket is unix, without peer or inode', () => {
    expect(stdioOf(socket({ family: 'unix' }), () => true)).toEqual({ type: 'unix' })
  })

  test.each([
    ['of another family', socket({ family: 'other' })],
    ['whose line was lost', descriptor(0o140777)],
  ])('one %s is other', (_, descriptor) => {
    expect(stdioOf(descriptor, () => true)).toEqual({ type: 'other' })
  })
})
