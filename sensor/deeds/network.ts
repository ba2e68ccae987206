/** Deeds on the network: connects that were refused or are not IP's, DNS questions, listen, accept, rare sockets. */
import { type RecordOf, sections } from '../../bpf/records.ts'
import type { Readers, Told } from '../deeds.ts'
import { questionIn, questionInStream } from '../dns.ts'
import { errorOf } from '../error-code.ts'
import type { Event } from '../event.ts'
import { addressIn, inSection, type Part, type Peer, socketOf, textOf } from '../parts.ts'
import { sockaddrOf } from '../sockaddr.ts'

/** include/linux/net.h, enum sock_type */
const socketTypes = new Map([
  [1, 'stream'],
  [2, 'datagram'],
  [3, 'raw'],
  [4, 'rdm'],
  [5, 'seqpacket'],
  [10, 'packet'],
])
/** include/linux/socket.h */
const socketFamilies = new Map([
  [1, 'unix'],
  [2, 'ipv4'],
  [10, 'ipv6'],
  [15, 'key'],
  [16, 'netlink'],
  [17, 'packet'],
  [29, 'can'],
  [30, 'tipc'],
  [31, 'bluetooth'],
  [38, 'alg'],
  [40, 'vsock'],
  [44, 'xdp'],
])
const SOCK_STREAM = 1
const IPPROTO_TCP = 6

const endOf = ({ ip, port }: Pick<Peer, 'ip' | 'port'>) => (ip === undefined ? { port } : { ip, port })

function networkOf(family: string, stream: boolean): Event['network'] {
  if (family === 'unix') return { transport: 'unix' }
  return { transport: stream ? 'tcp' : 'udp', ...(family.startsWith('ipv') && { type: family }) }
}

function connectedTo(record: RecordOf<'connect_to'>, parts: Part[], whole: boolean): Told {
  const { bytes } = textOf(parts.filter(inSection(sections.ADDRESS)))
  const { family, ...destination } = (whole && sockaddrOf(bytes)) || { family: undefined }
  const error = errorOf(record.returned)
  return {
    type: 'connect',
    about: {
      ...(Object.keys(destination).length > 0 && { destination }),
      ...(family && { network: networkOf(family, record.type === SOCK_STREAM) }),
      ...(error && { error }),
    },
  }
}

function asked(record: RecordOf<'dns'>, parts: Part[], whole: boolean): Told {
  const stream = record.protocol === IPPROTO_TCP
  const texts = Map.groupBy(parts.filter(inSection(sections.QUESTION)), ({ index }) => index)
  const bytes = Buffer.concat([...texts.values()].map((chunks) => textOf(chunks).bytes))
  const question = whole ? (stream ? questionInStream(bytes) : questionIn(bytes)) : undefined
  const server = peerIn(parts)
  return {
    type: 'dns',
    about: {
      ...(question && { dns: { question } }),
      ...(server && { destination: endOf(server) }),
      network: networkOf(server?.family ?? 'other', stream),
    },
  }
}

/** Where a packet goes: what it was told itself, or what its socket is connected to. */
function peerIn(parts: Part[]): Peer | undefined {
  const socket = parts.find((part) => part.record === 'socket')
  return socket ? socketOf(socket) : addressIn(parts)
}

function listens(record: RecordOf<'listen'>, parts: Part[]): Told | undefined {
  const local = addressIn(parts)
  if (!local) return undefined
  return {
    type: 'listen',
    about: { source: endOf(local), network: networkOf(local.family, record.type === SOCK_STREAM) },
  }
}

function accepted(record: RecordOf<'accept'>, parts: Part[]): Told {
  const peer = socketOf(record)
  const local = addressIn(parts)
  return {
    type: 'accept',
    about: {
      source: endOf(peer),
      destination: local ? endOf(local) : { port: peer.localPort },
      network: networkOf(peer.family, true),
    },
  }
}

function made({ family, type, protocol, returned }: RecordOf<'socket_made'>): Told {
  const error = errorOf(returned)
  return {
    type: 'socket',
    about: {
      socket: {
        family: socketFamilies.get(family) ?? String(family),
        type: socketTypes.get(type) ?? String(type),
        // Of a packet socket it is in network order (packet(7)).
        protocol: family === AF_PACKET ? ((protocol & 0xff) << 8) | (protocol >> 8) : protocol,
      },
      ...(error && { error }),
    },
  }
}
const AF_PACKET = 17

export const networkDeeds: Readers = {
  connect_to: connectedTo,
  dns: asked,
  listen: listens,
  accept: accepted,
  socket_made: made,
}
