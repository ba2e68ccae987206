/** What a rule means, what it needs to see, and what it costs, in words. */
import type { EventType } from '../sensor/event.ts'
import { type Clue, cluesOf } from './clues.ts'
import { type Condition, testsIn } from './condition.ts'
import { canHold } from './dead.ts'
import type { Field } from './fields.ts'
import { inLines, sentForRule } from './kernel.ts'
import { phaseInWords } from './phase.ts'
import type { Rule } from './rule.ts'
import { inWords, listed } from './words.ts'

/** What the sensor has to see for a rule, of one type of event. */
export interface Interest {
  readonly type: EventType
  /** Constants of which one must be there; none: every event of the type. */
  readonly clues: readonly {
    readonly field: string
    readonly how: Clue['how']
    readonly constants: readonly string[]
  }[]
}

/** Of each type that the rule is on and could match. */
export function interestOf(rule: Rule): Interest[] {
  return rule.on
    .filter((type) => canHold(rule.when, type, 'open'))
    .map((type) => {
      const clues = cluesOf(rule.when, type)
      const groups = Map.groupBy(typeof clues === 'object' ? clues : [], ({ field, how }) => `${field.name} ${how}`)
      const listOf = ([first, ...rest]: Clue[]) =>
        first
          ? [
              {
                field: first.field.name,
                how: first.how,
                constants: [first, ...rest].map(({ constant }) => String(constant)),
              },
            ]
          : []
      return { type, clues: [...groups.values()].flatMap(listOf) }
    })
}

/** Text that is another each time: what a pattern says of it can't be remembered. */
const isLongText = ({ name }: Field): boolean => /(command_line|command_args)$/.test(name)
const searches = new Set(['regex', 'contains', 'glob'])

/** Does the condition begin with a search through long text, whatever the event is? */
function beginsWithSearch(condition: Condition): Field | undefined {
  if (condition.kind === 'test') {
    return searches.has(condition.operator.name) && isLongText(condition.field) ? condition.field : undefined
  }
  if (condition.kind === 'not') return beginsWithSearch(condition.of)
  const first = condition.kind === 'all' ? condition.of.slice(0, 1) : condition.of
  return first.map(beginsWithSearch).find((field) => field !== undefined)
}

/** What makes the rule dear: it's asked about every event of a type, and searches long text each time. */
export function dearness(rule: Rule): { type: EventType; field: Field } | undefined {
  for (const type of rule.on) {
    const field = cluesOf(rule.when, type) === 'unknown' ? beginsWithSearch(rule.when) : undefined
    if (field) return { type, field }
  }
  return undefined
}

const hows: Readonly<Record<Clue['how'], string>> = { is: 'is', begins: 'begins with', ends: 'ends with' }

function interestInWords({ type, clues }: Interest): string {
  if (clues.length === 0) return `every ${type} event`
  const parts = clues.map(({ field, how, constants }) => {
    return `${field} ${hows[how]} ${listed(constants.map((constant) => JSON.stringify(constant)))}`
  })
  return `${type} events whose ${parts.join(', or whose ')}`
}

/** The fields that the rule asks for, each once. */
export function fieldsOf(rule: Rule): Field[] {
  const conditions = [rule.when, ...rule.unless.map(({ when }) => when)]
  const asked = conditions.flatMap((condition) => [...testsIn(condition)].map(({ field }) => field))
  return [...new Map([...asked, ...rule.groupBy].map((field) => [field.name, field])).values()]
}

/** Milliseconds as people say them. */
function lasting(milliseconds: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const
  const [unit, size] = units.find(([, size]) => milliseconds >= size && milliseconds % size === 0) ?? ['ms', 1]
  return `${milliseconds / size}${unit}`
}

const below = (lines: readonly string[]) => lines.map((line) => `  ${line}`)

function conditionLines(rule: Rule): string[] {
  const { sequence, threshold } = rule
  if (sequence) {
    const last = sequence.steps.length - 1
    const by =
      sequence.by === 'process_tree'
        ? 'one tree of processes'
        : `equal ${sequence.by.fields.map(({ name }) => name).join(', ')}`
    return [
      `These events follow one another within ${lasting(sequence.within)}, with ${by}:`,
      ...sequence.steps.flatMap(({ on, when, negated }, index) => {
        const where = index === 0 ? ', in that time before,' : index === last ? ', until that time is over,' : ''
        const lead = `${index + 1}. ${negated ? `no${where} ` : ''}${on.join(' or ')} event with`
        return below([lead, ...below(inWords(when))])
      }),
    ]
  }
  const lines = [`On events of type ${rule.on.join(', ')}:`, ...below(inWords(rule.when))]
  if (threshold === undefined) return lines
  const { count, distinct, by, within } = threshold
  const what = distinct ? `${count} different values of ${distinct.name}` : `${count} matches`
  const of = by.length > 0 ? ` with equal ${by.map(({ name }) => name).join(', ')}` : ''
  return [...lines, `and only when ${what}${of} come together within ${lasting(within)}.`]
}

function exceptionLines({ unless }: Rule): string[] {
  return unless.flatMap(({ when, reason, owner, expires, phase }) => [
    `Not, however, where (${[
      reason,
      owner && `ask ${owner}`,
      expires && `until ${new Date(expires).toISOString()}`,
      phase && `only ${phaseInWords(phase)}`,
    ]
      .filter(Boolean)
      .join('; ')}):`,
    ...below(inWords(when)),
  ])
}

/** The rule for people: what it looks for, when it alerts and when not, what it needs and what it costs. */
export function explain(rule: Rule): string {
  const dear = dearness(rule)
  const interests = interestOf(rule)
  const isAlwaysAsked = interests.filter(({ clues }) => clues.length === 0).map(({ type }) => type)
  const cost =
    isAlwaysAsked.length === 0
      ? 'asked only about events with one of these constants'
      : `asked about every ${isAlwaysAsked.join(', ')} event`
  const tags = Object.entries(rule.tags).filter(([, identifiers]) => identifiers.length > 0)
  const fields = fieldsOf(rule)
  const width = Math.max(0, ...fields.map(({ name }) => name.length))
  const sections: [string, readonly string[]][] = [
    [
      '',
      [
        `${rule.id}: ${rule.name} (${rule.severity}${rule.enabled ? '' : ', not enabled'}; ${rule.pack} ${rule.version})`,
      ],
    ],
    ['', rule.changedBy.map((file) => `Changed by ${file}.`)],
    ['', rule.description ? [rule.description] : []],
    ['Alerts when', conditionLines(rule)],
    ['', rule.phase ? [`Only ${phaseInWords(rule.phase)}.`] : []],
    ['', exceptionLines(rule)],
    [
      'Repeats',
      rule.groupBy.length > 0
        ? [
            `Within ${lasting(rule.window)}, matches with equal ${rule.groupBy.map(({ name }) => name).join(', ')} are one alert.`,
          ]
        : [],
    ],
    ['Fields', fields.map(({ name, description }) => `${name.padEnd(width)}  ${description}`)],
    ['Interest: what the sensor has to see', interests.map(interestInWords)],
    ['Kernel: what it sends for the rule', sentForRule(rule).flatMap(inLines)],
    ['Engine', [`${cost}${dear ? `; searches ${dear.field.name} of each ${dear.type} event` : ''}`]],
    ['False positives', rule.falsePositives],
    ['Tags', tags.map(([framework, identifiers]) => `${framework}: ${identifiers.join(', ')}`)],
    ['Runbook', rule.runbook ? [rule.runbook] : []],
  ]
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => (title === '' ? lines.join('\n') : [`${title}:`, ...below(lines)].join('\n')))
    .join('\n\n')
}
