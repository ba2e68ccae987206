/** Judges events by the rules: compiled once, indexed by event type, one broken rule never stops the others. */
import type { Event, EventType } from '../sensor/event.ts'
import { compile, type Test } from './compile.ts'
import { compileField, type Getter } from './fields.ts'
import { createFold, type Fold, type Folded } from './fold.ts'
import { compileMessage } from './message.ts'
import type { Exception, Rule, RuleSet } from './rule.ts'

/** An alert to be: which rule, on which event, and how many matches it stands for. */
export interface Match extends Folded {
  readonly rule: Rule
  readonly event: Event
  readonly message: string
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
}

export interface Engine {
  /** The alerts that the event raises. Events should come in the order of their time. */
  readonly judge: (event: Event) => Match[]
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
  readonly when: Test
  readonly unless: readonly Unless[]
  readonly message: (event: Event) => string
  readonly groupBy: readonly Getter[]
}

function compileRule(rule: Rule): Compiled {
  return {
    rule,
    when: compile(rule.when),
    unless: rule.unless.map(({ when, expires = Infinity }) => ({ holds: compile(when), expires })),
    message: compileMessage(rule.message),
    groupBy: rule.groupBy.map(compileField),
  }
}

function foldMatch({ rule, groupBy }: Compiled, event: Event, fold: Fold): Folded | undefined {
  if (groupBy.length === 0) return { count: 1, firstSeen: event.time, lastSeen: event.time }
  const key = JSON.stringify([rule.id, ...groupBy.map((get) => get(event))])
  return fold(key, event.time, rule.window)
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

/** An engine for these rules, with a memory of its own. A new set of rules wants a new engine. */
export function createEngine({ rules }: RuleSet, { onError, onSuppressed, onExpired }: EngineOptions): Engine {
  const fold = createFold()
  const byType = new Map<EventType, Compiled[]>()
  const disabled = new Set<Compiled>()
  let evaluations = 0

  const disable = (compiled: Compiled, error: unknown): void => {
    disabled.add(compiled)
    for (const [type, others] of byType)
      byType.set(
        type,
        others.filter((other) => other !== compiled),
      )
    onError(compiled.rule.id, error)
  }

  for (const rule of rules) {
    if (!rule.enabled) continue
    try {
      const compiled = compileRule(rule)
      for (const type of new Set(rule.on)) byType.set(type, [...(byType.get(type) ?? []), compiled])
    } catch (error) {
      onError(rule.id, error)
    }
  }

  const expire = onExpired && tellExpired(rules, onExpired)

  const judgeBy = (compiled: Compiled, event: Event): Match | undefined => {
    const { rule, when, unless, message } = compiled
    if (!when(event)) return undefined
    if (unless.some(({ holds, expires }) => event.time < expires && holds(event))) {
      onSuppressed(rule.id, 'exception')
      return undefined
    }
    const folded = foldMatch(compiled, event, fold)
    if (folded === undefined) {
      onSuppressed(rule.id, 'folded')
      return undefined
    }
    return { rule, event, message: message(event), ...folded }
  }

  return {
    rules,
    eventTypes: new Set(byType.keys()),
    evaluations: () => evaluations,
    judge: (event) => {
      expire?.(event.time)
      const matches: Match[] = []
      const candidates = byType.get(event.type) ?? []
      evaluations += candidates.length
      for (const compiled of candidates) {
        try {
          const match = judgeBy(compiled, event)
          if (match) matches.push(match)
        } catch (error) {
          disable(compiled, error)
        }
      }
      return matches
    },
  }
}
