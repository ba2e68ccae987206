/** IP addresses and networks, compared by value: `fd00:EC2::254` is `fd00:ec2:0::254`, `::ffff:10.0.0.1` is `10.0.0.1`. */
import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/**
 * The address, or undefined if the text is none. IPv4 has four decimal parts and nothing else: the old notations
 * (`127.1`, octal, hexadecimal) are refused, for they hide what they mean. An address mapped into IPv6 (RFC 4291,
 * 2.5.5.2) becomes the IPv4 address it stands for. A zone (`%eth0`) is dropped: the kernel's addresses carry none.
 */
function parse(text: string): Address | undefined {
  if (!text.includes(':')) {
    return ipaddr.IPv4.isValidFourPartDecimal(text) ? ipaddr.IPv4.parse(text) : undefined
  }
  const bare = text.split('%', 1)[0] ?? ''
  return ipaddr.IPv6.isValid(bare) ? ipaddr.process(bare) : undefined
}

/** Addresses that were asked for lately: a node talks to the same ones again and again. */
const mostKnown = 4096
const known = new Map<string, string | undefined>()

/** The one way to write an address (RFC 5952), so that equal addresses are equal strings; undefined if it's none. */
export function canonicalAddress(text: string): string | undefined {
  if (known.has(text)) return known.get(text)
  if (known.size >= mostKnown) known.clear()
  const found = parse(text)?.toString()
  if (text.length <= 64) known.set(text, found)
  return found
}

interface Network {
  address: Address
  bits: number
}

const mappedBits = 96

function parseNetwork(text: string): Network | undefined {
  const [head = '', tail = '', ...rest] = text.split('/')
  const address = parse(head)
  if (address === undefined || rest.length > 0 || head.includes('%') || !/^(0|[1-9]\d{0,2})$/.test(tail))
    return undefined
  const isMapped = address.kind() === 'ipv4' && head.includes(':')
  const bits = Number(tail) - (isMapped ? mappedBits : 0)
  return bits >= 0 && bits <= (address.kind() === 'ipv4' ? 32 : 128) ? { address, bits } : undefined
}

/** Is the text a network such as 10.0.0.0/8 or fd00::/8? */
export const isNetwork = (text: string): boolean => parseNetwork(text) !== undefined

/** Compiles networks to a test of one address. An IPv6 network holds IPv6 addresses alone: `::/0` is not all of IPv4. */
export function compileNetworks(texts: readonly string[]): (address: string) => boolean {
  const networks = texts.flatMap((text) => parseNetwork(text) ?? [])
  return (text) => {
    const address = parse(text)
    if (address === undefined) return false
    return networks.some(
      (network) => network.address.kind() === address.kind() && address.match([network.address, network.bits]),
    )
  }
}
