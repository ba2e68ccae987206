/** A rule, ready to be compiled: read from its pack, its fields, operators and lists resolved. */
import type { Severity } from '../sensor/alert.ts'
import type { Event, EventType } from '../sensor/event.ts'
import type { Condition } from './condition.ts'
import type { Field } from './fields.ts'
import type { Template } from './message.ts'
import type { Phase } from './phase.ts'
import type { JsonPath, Problem } from './problem.ts'

/** When it holds, what the rule matched is expected and raises no alert. */
export interface Exception {
  readonly when: Condition
  readonly reason: string
  /** Whom to ask about it. */
  readonly owner?: string
  /** From this moment on (Unix time in milliseconds, compared with the event's) it no longer holds. */
  readonly expires?: number
  /** It holds in this phase alone. */
  readonly phase?: Phase
  /** Where it stands: in the file of its rule, or of the pack that overrides it. */
  readonly file: string
  readonly path: JsonPath
}

/** What events have in common that belong to one sequence: the values of fields, or the tree of processes. */
export type Join = { readonly fields: readonly Field[] } | 'process_tree'

export interface Step {
  readonly on: readonly EventType[]
  readonly when: Condition
  /**
   * No such event may come between the step before and the step after: of the first step, in the time before the second;
   * of the last, in what is left of the time.
   */
  readonly negated: boolean
}

/** Events one after the other, the last no later than `within` milliseconds after the first. */
export interface Sequence {
  /** Two at least, of which one is not negated. */
  readonly steps: readonly Step[]
  readonly by: Join
  readonly within: number
}

/** So many matches, or distinct values of a field in them, with equal values of `by`, within so many milliseconds. */
export interface Threshold {
  readonly count: number
  readonly distinct?: Field
  readonly by: readonly Field[]
  readonly within: number
}

/** A claim that the rule makes about itself: these events, judged in order, raise so many alerts. */
export interface RuleTest {
  readonly name: string
  readonly events: readonly Partial<Event>[]
  readonly alerts: number
}

export interface Rule {
  readonly id: string
  readonly name: string
  readonly description?: string
  readonly falsePositives: readonly string[]
  /** The types of event that matter to the rule: of a sequence, those of all its steps. */
  readonly on: readonly EventType[]
  /** The types of the event that raises the alert: the message, the exceptions and the groups speak of it. */
  readonly completedOn: readonly EventType[]
  /** Which events matter to the rule; of a sequence, those that any of its steps asks for. */
  readonly when: Condition
  readonly sequence?: Sequence
  readonly threshold?: Threshold
  readonly unless: readonly Exception[]
  /** It matches in this phase alone: asked of the event that the alert is about. */
  readonly phase?: Phase
  readonly severity: Severity
  readonly message: Template
  /** Framework (`mitre`, `owasp_nhi`, `nist_csf`, `maestro`) to the identifiers in it. */
  readonly tags: Readonly<Record<string, string[]>>
  readonly runbook?: string
  readonly enabled: boolean
  /** Matches with equal values of these fields are folded into one alert; none: each match is an alert. */
  readonly groupBy: readonly Field[]
  /** For how long, in milliseconds of event time; 0 where groupBy is empty. */
  readonly window: number
  readonly tests: readonly RuleTest[]
  readonly pack: string
  readonly version: string
  /** Where it stands: the file, and the path in it. */
  readonly file: string
  readonly path: JsonPath
  /** The files of the packs whose overrides changed it, in their order. */
  readonly changedBy: readonly string[]
}

export interface RuleSet {
  readonly rules: readonly Rule[]
  /** What is odd about the packs and yet no reason to refuse them. */
  readonly remarks: readonly Problem[]
}
