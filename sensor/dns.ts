/** The question of a DNS message (RFC 1035, 4.1), from its raw bytes: whoever sent it may have written anything there. */

export interface Question {
  /** Lower case, without the dot at its end; `.` is the root. A byte that is no plain character of a name is \ddd. */
  name: string
  type: string
}

/** https://www.iana.org/assignments/dns-parameters: the types that are asked for; others are TYPEn (RFC 3597). */
const types: Record<number, string> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  10: 'NULL',
  12: 'PTR',
  13: 'HINFO',
  15: 'MX',
  16: 'TXT',
  17: 'RP',
  24: 'SIG',
  25: 'KEY',
  28: 'AAAA',
  29: 'LOC',
  33: 'SRV',
  35: 'NAPTR',
  37: 'CERT',
  39: 'DNAME',
  41: 'OPT',
  43: 'DS',
  44: 'SSHFP',
  46: 'RRSIG',
  47: 'NSEC',
  48: 'DNSKEY',
  50: 'NSEC3',
  52: 'TLSA',
  64: 'SVCB',
  65: 'HTTPS',
  99: 'SPF',
  249: 'TKEY',
  250: 'TSIG',
  251: 'IXFR',
  252: 'AXFR',
  255: 'ANY',
  256: 'URI',
  257: 'CAA',
}

const headerLength = 12
const longestName = 255
const isPointer = 0xc0

/** The first question of a message; undefined if it is an answer, or none can be read. */
export function questionIn(message: Uint8Array): Question | undefined {
  const data = Buffer.from(message.buffer, message.byteOffset, message.length)
  if (data.length < headerLength || (data.readUInt8(2) & 0x80) !== 0 || data.readUInt16BE(4) === 0) return undefined
  const read = nameAt(data, headerLength)
  if (!read || read.end + 2 > data.length) return undefined
  const type = data.readUInt16BE(read.end)
  return { name: read.name, type: types[type] ?? `TYPE${type}` }
}

/** Over TCP the length of the message comes first (RFC 1035, 4.2.2); a program may have sent that on its own before. */
export function questionInStream(sent: Uint8Array): Question | undefined {
  const length = ((sent[0] ?? 0) << 8) | (sent[1] ?? 0)
  return (length >= headerLength ? questionIn(sent.subarray(2, 2 + length)) : undefined) ?? questionIn(sent)
}

/** The name that begins at `start`, and where what follows it begins. Pointers lead back only, so that they end. */
function nameAt(data: Buffer, start: number): { name: string; end: number } | undefined {
  const labels: string[] = []
  let [at, earliest, length] = [start, start, 1]
  let end: number | undefined
  while (true) {
    const size = data[at]
    if (size === undefined) return undefined
    if (size === 0) return { name: labels.join('.') || '.', end: end ?? at + 1 }
    if ((size & isPointer) === isPointer) {
      if (at + 1 >= data.length) return undefined
      end ??= at + 2
      at = data.readUInt16BE(at) & 0x3fff
      if (at >= earliest) return undefined
      earliest = at
      continue
    }
    length += size + 1
    if (size >= 64 || length > longestName || at + 1 + size > data.length) return undefined
    labels.push(labelOf(data.subarray(at + 1, at + 1 + size)))
    at += 1 + size
  }
}

/** RFC 1035, 5.1: \ddd for what would not read as itself, a dot within a label among it. */
const labelOf = (bytes: Uint8Array): string =>
  [...bytes]
    .map((byte) => {
      const plain = byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c
      return plain ? String.fromCharCode(byte).toLowerCase() : `\\${String(byte).padStart(3, '0')}`
    })
    .join('')
