/**
 * Judges events by the rules: compiled once, and indexed by event type and by the constants that they test, so that an
 * event is judged by the rules that it could concern. One broken rule never stops the others.
 */
import type { Event, EventType } from '../sensor/event.ts'
import { createIndex, type Index } from './clue-index.ts'
import { cluesOf, commonness } from './clues.ts'
import { compile, type Shared, type Test } from './compile.ts'
import { compileField, type Getter } from './fields.ts'
import { createFold, type Folded } from './fold.ts'
import { keyOf } from './key.ts'
import { compileMessage } from './message.ts'
import { compilePhase, type OnRefused } from './phase.ts'
import type { Exception, Rule, RuleSet } from './rule.ts'
import { createSequence, type Follower } from './sequence.ts'
import { createSteadyTime, mostLate } from './steady-time.ts'
import { type Count, createThreshold } from './threshold.ts'

/** An alert to be: which rule, on which event, and how many matches it stands for. */
export interface Match extends Folded {
  readonly rule: Rule
  readonly event: Event
  /** Of a sequence: the events of the steps before, oldest first. */
  readonly earlier: readonly Event[]
  readonly message: string
  /** The values of what the rule groups by, as a key; absent where it groups by nothing. */
  readonly group?: string
}

export interface EngineOptions {
  /** A rule threw. It's disabled from then on; the others go on. Called once for each rule. */
  readonly onError: (ruleId: string, error: unknown) => void
  /** A match that raised no alert: it was counted into an earlier one, or an exception of the rule held. */
  readonly onSuppressed: (ruleId: string, reason: 'folded' | 'exception') => void
  /**
   * An exception of an enabled rule has come to its end: from this event's time on the rule alerts where it held.
   * Called once for each exception, with the first event that it no longer holds for, whether or not the rule matches.
   */
  readonly onExpired?: (ruleId: string, exception: Exception) => void
  /**
   * A pod asks for break-glass by an annotation that has expired or can't be read, and a rule or an exception that
   * would have held does not. Called each time.
   */
  readonly onRefused?: OnRefused
  /** The memory of a rule was full, and a key forgotten that a sequence or a threshold might still have needed. */
  readonly onEvicted?: (ruleId: string, what: 'sequence' | 'threshold') => void
}

export interface Engine {
  /** The alerts that the event raises. Events should come in the order of their time. */
  readonly judge: (event: Event) => Match[]
  /**
   * The alerts on what was awaited and did not come, when it is that time (Unix, milliseconds): those whose end is
   * `mostLate` before it. Each event says its own time.
   */
  readonly advance: (time: number) => Match[]
  /** The counts of folded matches that are to be told by that time, as no further match has told them. */
  readonly dueCounts: (time: number) => Match[]
  /** The types that an enabled rule is on: no others need to be judged. */
  readonly eventTypes: ReadonlySet<EventType>
  readonly rules: readonly Rule[]
  /** How many times a rule was asked about an event so far. */
  readonly evaluations: () => number
}

interface Unless {
  readonly holds: Test
  /** Unix time in milliseconds. */
  readonly expires: number
}

interface Compiled {
  readonly rule: Rule
  /** Among the rules: matches come in this order. */
  readonly position: number
  /** The number of the event that it was last found for. */
  foundFor: number
  disabled: boolean
  readonly when: Test
  readonly unless: readonly Unless[]
  readonly isInPhase: Test
  readonly sequence: Follower | undefined
  readonly count: Count | undefined
  readonly message: (event: Event) => string
  readonly groupBy: readonly Getter[]
}

function compileRule(rule: Rule, position: number, shared: Shared, options: EngineOptions): Compiled {
  const { onEvicted, onRefused = () => undefined } = options
  const { id, sequence, threshold } = rule
  return {
    rule,
    position,
    foundFor: 0,
    disabled: false,
    when: compile(rule.when, shared),
    unless: rule.unless.map(({ when, expires = Infinity, phase }) => {
      const [asked, isInPhase] = [compile(when, shared), compilePhase(phase, onRefused)]
      return { holds: phase ? (event) => asked(event) && isInPhase(event) : asked, expires }
    }),
    isInPhase: compilePhase(rule.phase, onRefused),
    sequence: sequence && createSequence(sequence, () => onEvicted?.(id, 'sequence'), shared),
    count: threshold && createThreshold(threshold, () => onEvicted?.(id, 'threshold')),
    message: compileMessage(rule.message),
    groupBy: rule.groupBy.map(compileField),
  }
}

/** Of one event type: the rules that a clue leads to, and those that must always be asked. */
interface Rules {
  readonly index: Index<Compiled>
  readonly always: Compiled[]
}

interface Gathered extends Folded {
  readonly earlier: readonly Event[]
}

/** What an alert is about, whatever the number of matches that it stands for. */
interface Told {
  readonly compiled: Compiled
  readonly event: Event
  readonly earlier: readonly Event[]
  readonly group?: string
}

const none: readonly Event[] = []

const gatheredOf = (event: Event, earlier: readonly Event[]): Gathered => {
  return { earlier, count: 1, firstSeen: Math.min(event.time, earlier[0]?.time ?? event.time), lastSeen: event.time }
}

/** Tells of each exception whose end has come by the time of an event; costs one comparison while there is none. */
function tellExpired(
  rules: readonly Rule[],
  onExpired: (ruleId: string, exception: Exception) => void,
): (time: number) => void {
  const ends = rules
    .filter(({ enabled }) => enabled)
    .flatMap(({ id, unless }) => unless.map((exception) => ({ id, exception, at: exception.expires ?? Infinity })))
    .filter(({ at }) => at < Infinity)
    .sort((one, other) => one.at - other.at)
  let told = 0
  let next = ends[0]?.at ?? Infinity
  return (time) => {
    while (time >= next) {
      const end = ends[told]
      if (end) onExpired(end.id, end.exception)
      told++
      next = ends[told]?.at ?? Infinity
    }
  }
}

const matchOf = ({ compiled: { rule, message }, ...told }: Told, folded: Folded): Match => {
  return { rule, ...told, message: message(told.event), ...folded }
}

/** An engine for these rules, with a memory of its own. A new set of rules wants a new engine. */
export function createEngine({ rules }: RuleSet, options: EngineOptions): Engine {
  const { onError, onSuppressed, onExpired } = options
  const fold = createFold<Told>()
  const steady = createSteadyTime()
  const enabled = rules.filter((rule) => rule.enabled)
  const weigh = commonness(enabled.map(({ when }) => when))
  const shared: Shared = new Map()
  const byType = new Map<EventType, Rules>()
  /** Those that may have something to tell without an event of theirs. */
  const awaiting: Compiled[] = []
  let evaluations = 0
  let judged = 0

  for (const [position, rule] of enabled.entries()) {
    try {
      const compiled = compileRule(rule, position, shared, options)
      if (compiled.sequence?.awaits) awaiting.push(compiled)
      for (const type of new Set(rule.on)) {
        const { index, always } = byType.get(type) ?? { index: createIndex<Compiled>(), always: [] }
        byType.set(type, { index, always })
        const clues = cluesOf(rule.when, type, weigh)
        if (clues === 'unknown' || clues === 'always') always.push(compiled)
        else if (clues !== 'never') index.add(compiled, clues)
      }
    } catch (error) {
      onError(rule.id, error)
    }
  }

  /** One array for all events: few of them concern any rule. */
  const candidates: Compiled[] = []
  const addCandidate = (compiled: Compiled): void => {
    if (compiled.foundFor === judged || compiled.disabled) return
    compiled.foundFor = judged
    candidates.push(compiled)
  }
  /** Gathers the rules that the event could concern, in their order. */
  const findCandidates = (event: Event): void => {
    candidates.length = 0
    const ofType = byType.get(event.type)
    if (ofType === undefined) return
    judged++
    for (const compiled of ofType.always) addCandidate(compiled)
    ofType.index.find(event, addCandidate)
    if (candidates.length > 1) candidates.sort((one, other) => one.position - other.position)
  }

  const expire = onExpired && tellExpired(rules, onExpired)

  /** Does what the rule found on this event count: is it the rule's phase, and no exception's case? */
  const counts = ({ rule, unless, isInPhase }: Compiled, event: Event): boolean => {
    if (!isInPhase(event)) return false
    if (!unless.some(({ holds, expires }) => event.time < expires && holds(event))) return true
    onSuppressed(rule.id, 'exception')
    return false
  }

  /** What has come together with this event: it alone, or with those that a threshold counted or a sequence followed. */
  const gather = (compiled: Compiled, event: Event, steadyTime: number): Gathered | undefined => {
    const { when, sequence, count } = compiled
    const { time } = event
    if (sequence) {
      const earlier = sequence.follow(event, steadyTime, () => counts(compiled, event))
      return earlier && gatheredOf(event, earlier)
    }
    if (!when(event) || !counts(compiled, event)) return undefined
    if (count === undefined) return { earlier: none, count: 1, firstSeen: time, lastSeen: time }
    const counted = count(event, steadyTime)
    if (counted === undefined) return undefined
    const ahead = steady.ahead()
    return {
      earlier: none,
      count: counted.count,
      firstSeen: counted.firstSeen - ahead,
      lastSeen: counted.lastSeen - ahead,
    }
  }

  /** `time` is when it is told: of what was awaited, the end of that. */
  const tell = (compiled: Compiled, event: Event, gathered: Gathered, time: number): Match | undefined => {
    const { rule, groupBy } = compiled
    const { earlier, ...match } = gathered
    if (groupBy.length === 0) return matchOf({ compiled, event, earlier }, match)
    const told = { compiled, event, earlier, group: keyOf(groupBy, event) }
    const folded = fold.add(`${rule.id} ${told.group}`, time, rule.window, told, match)
    if (folded === undefined) {
      onSuppressed(rule.id, 'folded')
      return undefined
    }
    return matchOf(told, folded)
  }

  /** One broken rule never stops the others. */
  const disable = (compiled: Compiled, error: unknown): void => {
    compiled.disabled = true
    onError(compiled.rule.id, error)
  }

  const advance = (time: number): Match[] => {
    const matches: Match[] = []
    const ahead = steady.ahead()
    for (const compiled of awaiting) {
      if (compiled.disabled) continue
      for (const { event, earlier, end } of compiled.sequence?.due(time + ahead - mostLate) ?? []) {
        try {
          const match = tell(compiled, event, gatheredOf(event, earlier), end - ahead)
          if (match) matches.push(match)
        } catch (error) {
          disable(compiled, error)
        }
      }
    }
    return matches
  }

  const dueCounts = (time: number): Match[] =>
    fold.due(time).flatMap(([told, folded]) => {
      try {
        return matchOf(told, folded)
      } catch (error) {
        disable(told.compiled, error)
        return []
      }
    })

  return {
    rules,
    eventTypes: new Set(byType.keys()),
    evaluations: () => evaluations,
    advance,
    dueCounts,
    judge: (event) => {
      expire?.(event.time)
      const steadyTime = steady.of(event.time)
      const matches = awaiting.length > 0 ? advance(event.time) : []
      findCandidates(event)
      evaluations += candidates.length
      for (const compiled of candidates) {
        try {
          const gathered = gather(compiled, event, steadyTime)
          const match = gathered && tell(compiled, event, gathered, event.time)
          if (match) matches.push(match)
        } catch (error) {
          disable(compiled, error)
        }
      }
      return matches
    },
  }
}
