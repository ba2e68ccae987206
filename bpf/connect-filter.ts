/**
 * Interests in connections -> what the kernel side looks up for each: ports, addresses and programs, to the conditions
 * under which they matter (conditions.ts).
 *
 * What no rule asks for is told all the same if it is news to the process table, which must know whom a process is
 * connected to: the macro filter-peer decides that. `asksFor` is the rest of its decision in TypeScript.
 */
import ipaddr from 'ipaddr.js'
import { addCondition, conditionOf, entriesOf, union } from './conditions.ts'
import { nameKey } from './file-filter.ts'
import type { Interest } from './interest.ts'
import { isMultiCall, multiCallPrefix, multiCallPrograms } from './multi-call.ts'

export interface ConnectFilter {
  /** Conditions under which every connection matters, and every one of unix sockets. */
  readonly any: number
  readonly unix: number
  readonly ports: ReadonlyMap<number, number>
  /** By addressKey. */
  readonly addresses: ReadonlyMap<string, number>
  /** By the key (nameKey) of the executable's file name, and of the directories above it. */
  readonly programs: ReadonlyMap<bigint, number>
  readonly programsWithin: ReadonlyMap<bigint, number>
  /** Conditions under which every connection of such a program matters. */
  readonly upper: number
  readonly deleted: number
}

/** In what the kernel side remembers of a process's program: that it saw the program begin. */
const PROGRAM_KNOWN = 16

/** 63 bits: bpftrace takes no larger number in its text. Two addresses with one key make an interest wider. */
const low63 = 0x7fff_ffff_ffff_ffffn

/**
 * An address as the kernel side has it, two numbers that a little-endian machine reads from its bytes: of IPv4, also
 * mapped into IPv6, all in the first. Undefined for a text that is no address.
 */
export function addressKey(text: string): string | undefined {
  if (!ipaddr.isValid(text)) return undefined
  const bytes = Buffer.from(ipaddr.process(text).toByteArray())
  if (bytes.length === 4) return `${bytes.readUInt32LE()}, 0`
  return `${bytes.readBigUInt64LE(0) & low63}, ${bytes.readBigUInt64LE(8) & low63}`
}

export function connectFilter(interests: readonly Interest[]): ConnectFilter {
  const ports = new Map<number, number>()
  const addresses = new Map<string, number>()
  const programs = new Map<bigint, number>()
  const programsWithin = new Map<bigint, number>()
  const whole = { any: 0, unix: 0, upper: 0, deleted: 0 }
  const add = <K>(table: Map<K, number>, keys: Iterable<K>, condition: number) => {
    for (const key of keys) addCondition(table, key, condition)
  }
  const keysOf = (names: ReadonlySet<string>) => [...names].map(nameKey)
  for (const { inContainer, addresses: places, ...interest } of interests) {
    if (interest.news) continue // which is told anyway
    const condition = conditionOf(inContainer ? { inContainer } : {})
    const known = places && [...places].map(addressKey).filter((key) => key !== undefined)
    if (known && known.length === places?.size) add(addresses, known, condition)
    else if (interest.programs) add(programs, keysOf(interest.programs), condition)
    else if (interest.programsWithin) add(programsWithin, keysOf(interest.programsWithin), condition)
    else if (interest.program) whole[interest.program] |= condition
    else if (interest.ports) add(ports, interest.ports, condition)
    else whole[interest.unix ? 'unix' : 'any'] |= condition
  }
  // A binary that is many programs may be any of them.
  add(programs, programs.size > 0 ? multiCallPrograms.map(nameKey) : [], union(programs))
  return { ...whole, ports, addresses, programs, programsWithin }
}

/** What the kernel side sees of a connection. */
export interface Connecting {
  /** Absent: of unix sockets. */
  readonly to?: { readonly ip: string; readonly port: number }
  /** Absent if the program began before the sensor. `path`: the names in its path, from the root on. */
  readonly program?: { readonly path: readonly string[]; readonly upper: boolean; readonly deleted: boolean }
}

const ofPrograms = ({ programs, programsWithin, upper, deleted }: ConnectFilter) =>
  union(programs) | union(programsWithin) | upper | deleted

/** The conditions under which a connection of this program matters. */
function ofProgram(filter: ConnectFilter, program: Connecting['program']): number {
  if (program === undefined) return ofPrograms(filter)
  const [name = '', ...above] = program.path.toReversed()
  const named = isMultiCall(name) ? union(filter.programs) : (filter.programs.get(nameKey(name)) ?? 0)
  const within = above.map((one) => filter.programsWithin.get(nameKey(one)) ?? 0)
  const made = (program.upper ? filter.upper : 0) | (program.deleted ? filter.deleted : 0)
  return within.reduce((all, one) => all | one, named | made)
}

/** Whether a rule may want a connection; but for those that are news. */
export function asksFor(filter: ConnectFilter, { to, program }: Connecting, conditions: number): boolean {
  const ofPlace = to
    ? (filter.ports.get(to.port) ?? 0) | (filter.addresses.get(addressKey(to.ip) ?? '') ?? 0)
    : filter.unix
  return ((filter.any | ofPlace | ofProgram(filter, program)) & conditions) !== 0
}

/** What the fragments are made with; a table that is empty costs nothing. */
export function connectTables(filter: ConnectFilter): { begin: string[]; constants: Record<string, number | bigint> } {
  return {
    begin: [
      // A table that nothing was ever put into is none, to bpftrace.
      ...['connect_port[0]', 'connect_address[0, 0]', 'connect_program[0]', 'connect_within[0]'].map(
        (entry) => `@${entry} = 0;`,
      ),
      ...entriesOf('connect_port', filter.ports),
      ...entriesOf('connect_address', filter.addresses),
      ...entriesOf('connect_program', filter.programs),
      ...entriesOf('connect_within', filter.programsWithin),
    ],
    constants: {
      CONNECT_ANY: filter.any,
      CONNECT_UNIX: filter.unix,
      CONNECT_PORT: union(filter.ports),
      CONNECT_ADDRESS: union(filter.addresses),
      CONNECT_NAMED: union(filter.programs),
      CONNECT_WITHIN: union(filter.programsWithin),
      CONNECT_UPPER: filter.upper,
      CONNECT_DELETED: filter.deleted,
      CONNECT_PROGRAM: ofPrograms(filter),
      PROGRAM_KNOWN,
      LOW_63: low63,
      MULTI_CALL_PREFIX: Buffer.from(`${multiCallPrefix}\0`).readBigUInt64LE(),
    },
  }
}
