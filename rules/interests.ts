/**
 * What the kernel side must send for a set of rules. Read from the conditions alone: an exception only takes away.
 *
 * A condition becomes alternatives, each a conjunction of facts that the kernel can tell (bpf/interest.ts). Whatever
 * it can't tell is left out, which makes an interest wider; `not` is one such thing.
 */
import type { Interest, Interests } from '../bpf/interest.ts'
import type { EventType } from '../sensor/event.ts'
import { type Condition, testsIn } from './condition.ts'
import { canHold } from './dead.ts'
import type { Rule } from './rule.ts'

type Test = Extract<Condition, { kind: 'test' }>
/** Alternatives; none of them: it never holds. */
type Alternatives = readonly Interest[]

const anything: Alternatives = [{}]
/** More alternatives than this in one rule cost more to keep apart than they save. */
const most = 64

const changing = new Set(['write', 'create', 'truncate', 'append'])
const isWhole = ({ operator }: Test) => operator.name === 'equals' || operator.name === 'in'
const textsOf = ({ operands }: Test): string[] => operands.map(String)
const exists = ({ operator, operands }: Test) => operator.name === 'exists' && operands[0] === true
/** An operator that an absent field satisfies asks nothing of the event. */
const asks = (test: Test) => test.operator.name !== 'exists' || exists(test)

/** Where a path must lie: its names from the last one on, as far as the text says them. Undefined: it doesn't. */
type Place = Pick<Interest, 'names' | 'parents' | 'within'>

const lastName = (path: string) => path.slice(path.lastIndexOf('/') + 1)
const isLiteral = (component: string) => component !== '' && !/[*?\\]/.test(component)

const asName = (name: string): Place => ({ names: new Set([name]) })

/** The place of a whole path. */
const atPath = (path: string): Place | undefined =>
  lastName(path) === '' ? undefined : { names: new Set([lastName(path)]) }

/** The deepest directory that is whole in a text that a path begins with. */
function belowStart(text: string): Place | undefined {
  const directory = lastName(text.slice(0, Math.max(text.lastIndexOf('/'), 0)))
  return text.startsWith('/') && directory !== '' ? { within: new Set([directory]) } : undefined
}

/** The end of a path from its last slash on; without one it is the end of a name, which is no name. */
const atEnd = (text: string): Place | undefined => (text.includes('/') ? atPath(text) : undefined)

function atGlob(glob: string): Place | undefined {
  const components = glob.split('/')
  const last = components.at(-1) ?? ''
  // `*` runs over slashes: what stands before a literal end may still be the middle of a name.
  if (components.length > 1 && isLiteral(last)) return { names: new Set([last]) }
  const literal = components.slice(1, -1).findLast(isLiteral)
  return literal === undefined ? undefined : { within: new Set([literal]) }
}

const asDirectory = (path: string): Place | undefined =>
  lastName(path) === '' ? undefined : { parents: new Set([lastName(path)]) }
/** A directory's own path is a file's up to its last name: what is a name there is a directory here. */
function asDirectories(place: Place | undefined): Place | undefined {
  if (place?.names) return { parents: place.names }
  return place && { within: new Set([...(place.within ?? []), ...(place.parents ?? [])]) }
}

const pathPlaces: Readonly<Record<string, (text: string) => Place | undefined>> = {
  equals: atPath,
  in: atPath,
  startsWith: belowStart,
  endsWith: atEnd,
  glob: atGlob,
}
const directoryPlaces: Readonly<Record<string, (text: string) => Place | undefined>> = {
  equals: asDirectory,
  in: asDirectory,
  startsWith: belowStart,
  endsWith: (text) => asDirectories(atEnd(text)),
  glob: (glob) => asDirectories(atGlob(glob)),
}

const wholeName = { equals: asName, in: asName }

/** One interest for all operands of a test, or for each kind of place one. */
function places(test: Test, of: Readonly<Record<string, (text: string) => Place | undefined>>): Alternatives {
  if (test.operands.length === 0) return []
  const found = of[test.operator.name]
  // Bytes that are no text look alike here, but not in the kernel.
  const all = found ? textsOf(test).map((text) => (text.includes('\ufffd') ? undefined : found(text))) : []
  const known = all.filter((place) => place !== undefined)
  if (known.length === 0 || known.length < all.length) return anything
  const kinds = ['names', 'parents', 'within'] as const
  return kinds.flatMap((kind) => {
    const names = new Set(known.flatMap((place) => [...(place[kind] ?? [])]))
    return names.size > 0 ? [{ [kind]: names }] : []
  })
}

/** Where an executable lies: in what a connection's process is known by. */
const programAt = ({ names, within }: Interest): Interest => ({
  ...(names && { programs: names }),
  ...(within && { programsWithin: within }),
})
const isTrue = (test: Test) => test.operator.name === 'equals' && test.operands[0] === true

const success = { outcome: 'success' } as const

/** By field: what a test of it needs, if it asks anything at all. A field that isn't here is none of the kernel's. */
const given: Readonly<Record<string, (test: Test) => Alternatives>> = {
  'file.path': (test) => places(test, pathPlaces).map((place) => ({ ...place, ...success })),
  'file.directory': (test) => places(test, directoryPlaces).map((place) => ({ ...place, ...success })),
  'file.name': (test) => places(test, wholeName).map((place) => ({ ...place, ...success })),
  'file.access': (test) => {
    const isChange =
      (isWhole(test) || test.operator.name === 'subset') && textsOf(test).every((one) => changing.has(one))
    return isChange ? [{ changing: true }] : anything
  },
  'file.requested_path': (test) => (isWhole(test) ? [{ requested: new Set(textsOf(test)) }] : anything),
  'error.code': () => [{ outcome: 'failure' }],
  'process.name': (test) => places(test, wholeName).map(programAt),
  'process.executable.name': (test) => places(test, wholeName).map(programAt),
  'process.executable.path': (test) => places(test, pathPlaces).map(programAt),
  'process.executable.upper_layer': (test) => (isTrue(test) ? [{ program: 'upper' }] : anything),
  'process.executable.deleted': (test) => (isTrue(test) ? [{ program: 'deleted' }] : anything),
  'destination.path': () => [{ unix: true }],
  'destination.port': (test) =>
    isWhole(test) ? [{ ports: new Set(test.operands.filter((port) => typeof port === 'number')) }] : anything,
  'destination.ip': (test) => (isWhole(test) ? [{ addresses: new Set(textsOf(test)) }] : anything),
}

/** Fields that only what runs in a container has. */
const ofContainers = /^(container\.|k8s\.(?!node|cluster)|identity\.service_account\.)/

/** Set for opens that succeeded alone: of other types a file is told of also where the call failed. */
const placed = ({ outcome: _, ...rest }: Interest): Interest => rest

function ofTest(test: Test, type: EventType): Alternatives {
  if (!asks(test)) return anything
  const { name } = test.field
  if (ofContainers.test(name)) return [{ inContainer: true }]
  const found = given[name]?.(test) ?? anything
  return type !== 'open' && name.startsWith('file.') ? found.map(placed) : found
}

const smaller = <T>(a: ReadonlySet<T> | undefined, b: ReadonlySet<T> | undefined) =>
  a === undefined || (b !== undefined && b.size < a.size) ? b : a

/** Both hold; undefined where they exclude each other. Of two sets one is enough. */
function both(a: Interest, b: Interest): Interest | undefined {
  const outcome = a.outcome ?? b.outcome
  if (outcome !== (b.outcome ?? outcome)) return undefined
  const program = a.program ?? b.program
  const sets = {
    names: smaller(a.names, b.names),
    parents: smaller(a.parents, b.parents),
    within: smaller(a.within, b.within),
    requested: smaller(a.requested, b.requested),
    programs: smaller(a.programs, b.programs),
    programsWithin: smaller(a.programsWithin, b.programsWithin),
    ports: smaller(a.ports, b.ports),
    addresses: smaller(a.addresses, b.addresses),
  }
  return {
    ...Object.fromEntries(Object.entries(sets).filter(([, set]) => set !== undefined)),
    ...((a.changing || b.changing) && { changing: true as const }),
    ...((a.inContainer || b.inContainer) && { inContainer: true as const }),
    ...((a.unix || b.unix) && { unix: true as const }),
    ...((a.news || b.news) && { news: true as const }),
    ...(program && { program }),
    ...(outcome && { outcome }),
  }
}

function conjunction(a: Alternatives, b: Alternatives): Alternatives {
  if (a.length * b.length > most) return a.length <= b.length ? a : b
  return a.flatMap((one) => b.flatMap((other) => both(one, other) ?? []))
}

function alternativesOf(condition: Condition, type: EventType): Alternatives {
  if (condition.kind === 'test') return ofTest(condition, type)
  if (condition.kind === 'not') return anything
  const members = condition.of.filter((one) => canHold(one, type, 'open')).map((one) => alternativesOf(one, type))
  if (condition.kind === 'any') {
    const all = members.flat()
    return all.length > most ? anything : all
  }
  return members.length < condition.of.length ? [] : members.reduce(conjunction, anything)
}

/** What one rule needs of events of one type; none if it can't match any. */
export function interestsOf(rule: Rule, type: EventType): readonly Interest[] {
  if (!canHold(rule.when, type, 'open')) return []
  const alternatives = alternativesOf(rule.when, type)
  const news: Alternatives = isOfNews(rule) ? [{ news: true }] : anything
  return conjunction(conjunction(alternatives, news), isOfContainers(rule) ? [{ inContainer: true }] : anything)
}

/** These phases are a container's. Of a sequence only the last event is asked, not those that come before. */
const isOfContainers = ({ phase, sequence }: Rule): boolean =>
  phase !== undefined && phase.kind !== 'steady' && sequence === undefined

/** What can't change from one connection of a program to the next, but for its place. */
const lasting = /^(container|k8s|host|destination|network|process\.(name|executable|command_args|command_line))(\.|$)/

/** It counts places: that one process connects to one of them again and again within a second doesn't count. */
function isOfNews({ threshold, when, unless }: Rule): boolean {
  const { name = '' } = threshold?.distinct ?? {}
  if (name !== 'destination.ip' && name !== 'destination.port') return false
  const asked = [when, ...unless.map((exception) => exception.when)].flatMap((one) => [...testsIn(one)])
  const fields = [...asked.map(({ field }) => field.name), ...(threshold?.by ?? []).map((field) => field.name)]
  return fields.every((field) => lasting.test(field))
}

/** What all rules together need. */
export function interests(rules: readonly Rule[]): Interests {
  const found = new Map<EventType, Interest[]>()
  for (const rule of rules) {
    if (!rule.enabled) continue
    for (const type of rule.on) {
      const alternatives = interestsOf(rule, type)
      if (alternatives.length > 0) found.set(type, [...(found.get(type) ?? []), ...alternatives])
    }
  }
  return found
}
