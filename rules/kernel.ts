/**
 * What the kernel side sends for one rule, and what that costs, in words: from the same interests that its program is
 * made of (interests.ts, bpf/interest.ts).
 */
import type { Interest } from '../bpf/interest.ts'
import type { EventType } from '../sensor/event.ts'
import { interestsOf } from './interests.ts'
import type { Rule } from './rule.ts'
import { listed } from './words.ts'

/** From nothing more than what is sent anyway to the dearest there is. */
export type Cost = 'none' | 'own' | 'events' | 'failures' | 'connections' | 'packets' | 'look-up' | 'every open'

/** For people. The figures: a loop of open and close, 1.7 us bare; a loop of sends and receives on loopback. */
const costs: Readonly<Record<Cost, string>> = {
  none: 'nothing more: the sensor follows all processes by these events',
  own: "nothing: the sensor's own",
  events: 'one event for each such call; ordinary programs make few of them',
  failures: 'a test for each open that failed; programs look for many files that are not there',
  connections:
    'a look-up for each connection, one event for each that is asked for, and a test for each packet: a send and receive takes 1.1 to 1.2 times as long',
  packets: 'a test for each packet, one event for each conversation: a send and receive takes 1.1 to 1.2 times as long',
  'look-up':
    'a look-up for each open, one event for each that is asked for: open and close take 1.4 to 2.2 times as long',
  'every open': 'an event for each of these opens: open and close take about 5 times as long',
}

interface Family {
  readonly cost: Cost
  /** What the kernel side tells apart before it sends an event. */
  readonly told: 'nothing' | 'containers' | 'files' | 'connections'
}

const sent: Family = { cost: 'events', told: 'nothing' }
const filtered: Family = { cost: 'events', told: 'containers' }

/** Of those that aren't here each event is sent. */
const families: Readonly<Partial<Record<EventType, Family>>> = {
  exec: { cost: 'none', told: 'nothing' },
  exit: { cost: 'none', told: 'nothing' },
  gap: { cost: 'own', told: 'nothing' },
  posture: { cost: 'own', told: 'nothing' },
  connect: { cost: 'connections', told: 'connections' },
  dns: { cost: 'packets', told: 'nothing' },
  open: { cost: 'every open', told: 'files' },
  chmod: filtered,
  chown: filtered,
  link: filtered,
  rename: filtered,
  unlink: filtered,
  mkdir: filtered,
}

/** What a rule makes the kernel do, for one type of event. */
export interface Sent {
  readonly type: EventType
  /** Of which one must hold; empty objects hold always. As in bpf/interest.ts, but only what the kernel side tells apart. */
  readonly interests: readonly Interest[]
  /** An alternative each. */
  readonly words: readonly string[]
  readonly cost: Cost
  readonly cost_words: string
}

const listOf = (set: ReadonlySet<string | number>) => listed([...set].map(String))

/** Which files, by the most that is known of their place: the order is that of fileFilter. */
const places: readonly (readonly [keyof Interest & ('names' | 'parents' | 'within'), (list: string) => string])[] = [
  ['names', (list) => `files named ${list}`],
  ['parents', (list) => `files in a directory named ${list}`],
  ['within', (list) => `files below a directory named ${list}`],
]

const placeOf = (interest: Interest): string | undefined => {
  for (const [key, say] of places) {
    const set = interest[key]
    if (set) return say(listOf(set))
  }
  return undefined
}

function openInWords(interest: Interest): string {
  const { changing, inContainer, outcome, requested } = interest
  const place = placeOf(interest)
  const verb = changing ? 'opens that change' : 'opens of'
  const whole = changing ? 'every open that changes a file' : 'every open'
  const succeeded = place ? `${verb} ${place}` : whole
  const failed = requested ? `opens of ${listOf(requested)} that fail` : 'every open that fails'
  const parts = [outcome !== 'failure' && succeeded, outcome !== 'success' && failed].filter((part) => part !== false)
  return `${parts.join(', ')}${inContainer ? '; in containers only' : ''}`
}

/** Which connections, by what is looked up of them: the order is that of connectFilter. */
function connectInWords({
  addresses,
  programs,
  programsWithin,
  program,
  ports,
  unix,
  news,
  inContainer,
}: Interest): string {
  const which = () => {
    if (news) return 'connections to another place than the last of the same process, or a second later'
    if (addresses) return `connections to ${listOf(addresses)}`
    if (programs) return `connections by programs named ${listOf(programs)}`
    if (programsWithin) return `connections by programs below a directory named ${listOf(programsWithin)}`
    if (program === 'upper') return 'connections by programs that were made since the image'
    if (program === 'deleted') return 'connections by programs that are deleted'
    if (ports) return `connections to port ${listOf(ports)}`
    return unix ? 'connections of unix sockets' : 'every connection'
  }
  return `${which()}${inContainer ? '; in containers only' : ''}`
}

function costOfOpen(interest: Interest): Cost {
  if (interest.outcome === 'failure') return 'failures'
  return placeOf(interest) === undefined && !interest.changing ? 'every open' : 'look-up'
}

const byCost = Object.keys(costs)
const dearest = (all: readonly Cost[]): Cost =>
  all.reduce<Cost>((one, other) => (byCost.indexOf(other) > byCost.indexOf(one) ? other : one), 'none')

function sentFor(type: EventType, interests: readonly Interest[]): Sent {
  const { cost, told } = families[type] ?? sent
  if (told === 'files') {
    const dear = dearest(interests.map(costOfOpen))
    const words = [...new Set(interests.map(openInWords))]
    return { type, interests, words, cost: dear, cost_words: costs[dear] }
  }
  if (told === 'connections') {
    const words = [...new Set(interests.map(connectInWords))]
    return { type, interests, words, cost, cost_words: costs[cost] }
  }
  const inContainer = told === 'containers' && interests.every((one) => one.inContainer)
  const only: Interest = inContainer ? { inContainer: true } : {}
  const words = [`every ${type} event${inContainer ? '; in containers only' : ''}`]
  return { type, interests: [only], words, cost, cost_words: costs[cost] }
}

/** Of each type that the rule is on and could match. The kernel sends the union of this over all rules. */
export function sentForRule(rule: Rule): Sent[] {
  return rule.on.flatMap((type) => {
    const interests = interestsOf(rule, type)
    return interests.length > 0 ? [sentFor(type, interests)] : []
  })
}

/** Lines for people: what is sent, an alternative a line, and below it what that costs. */
export const inLines = ({ words, cost_words }: Sent): string[] => [
  ...words.map((one, index) => (index === 0 ? one : `or ${one}`)),
  `  costs ${cost_words}`,
]

/** Sets are arrays in JSON. */
export const inJson = ({ interests, ...rest }: Sent) => ({
  ...rest,
  interests: interests.map((interest) =>
    Object.fromEntries(
      Object.entries(interest).map(([key, value]) => [key, value instanceof Set ? [...value] : value]),
    ),
  ),
})
