/**
 * The shape of a rule pack. One definition gives the type, the check on loading and the published JSON Schema
 * (rules/schema.json), by which an editor completes fields and operators.
 */

import { severities } from '../sensor/alert.ts'
import { durationPattern } from '../sensor/duration.ts'
import { Event, eventTypes } from '../sensor/event.ts'
import { type Static, type TSchema, Type } from '../sensor/schema.ts'
import { listReference } from './condition.ts'
import { expiryPattern } from './expiry.ts'
import { type Field, fields } from './fields.ts'
import { operators, operatorsFor, semantics } from './operators.ts'
import { breakGlassAnnotation, phaseNames, usualStartup } from './phase.ts'
import { typesInWords } from './words.ts'

export const schemaId = 'https://nightjar.dev/rules/v1.json'

/** `title` says in words what is expected, for a message. */
const matching = (pattern: string, title: string, description: string) => Type.String({ pattern, title, description })
const text = (description: string) => Type.String({ minLength: 1, title: 'text', description })
const strict = { additionalProperties: false }
const duration = (description: string) => matching(durationPattern, 'a duration such as 30s, 10m or 1h', description)

/** The parts that are checked closely elsewhere on loading (conditions, fields, events), and spelt out when published. */
interface Parts {
  condition: TSchema
  fieldName: TSchema
  /** What the events of a sequence have in common. */
  join: TSchema
  phase: TSchema
  listEntry: TSchema
  event: TSchema
}

const techniques = Type.Array(matching('^T\\d{4}(\\.\\d{3})?$', 'a technique such as T1059.004', 'ATT&CK technique.'))
const identifiers = (description: string) => Type.Array(text('Its identifier.'), { description })

const ruleIdPattern = '[a-z0-9]+(-[a-z0-9]+)*'

function exceptionOf<T extends Parts>(parts: T) {
  return Type.Object(
    {
      when: parts.condition,
      reason: text('Why that is expected.'),
      owner: Type.Optional(text('Whom to ask about it: a team or a person.')),
      expires: Type.Optional(
        matching(
          expiryPattern,
          'a date such as 2027-03-31, or a time such as 2027-03-31T12:00:00Z',
          'RFC 3339. Until the end of that day in UTC, or until that time, the exception holds; after it the rule alerts again. Compared with the time of the event.',
        ),
      ),
      phase: Type.Optional(parts.phase),
    },
    strict,
  )
}

/** Members that a rule has and that an override may change. */
function changeable<T extends Parts>(parts: T) {
  return {
    severity: Type.Enum([...severities], { description: 'How bad it is if it is true.' }),
    unless: Type.Array(exceptionOf(parts), { description: 'Exceptions: when one of them holds, there is no alert.' }),
    tags: Type.Object(
      {
        mitre: Type.Optional(techniques),
        owasp_nhi: Type.Optional(identifiers('OWASP Non-Human Identities Top 10, such as NHI2:2025.')),
        nist_csf: Type.Optional(identifiers('NIST Cybersecurity Framework 2.0, such as DE.CM-09.')),
        maestro: Type.Optional(identifiers('CSA MAESTRO: the layers concerned, such as L4.')),
      },
      { ...strict, description: 'Where the rule stands in the common frameworks.' },
    ),
    runbook: text('What to do about the alert: a few sentences, or a URL.'),
    enabled: Type.Boolean({ description: 'false: the rule is loaded and tested but never matches.' }),
    groupBy: Type.Array(parts.fieldName, {
      minItems: 1,
      uniqueItems: true,
      description: 'Within the window, matches with equal values of these fields are one alert. Needs "window".',
    }),
    window: duration('For how long after the first match its repeats are folded. Needs "groupBy".'),
    phase: parts.phase,
  }
}

const types = (description: string) =>
  Type.Array(Type.Enum([...eventTypes]), { minItems: 1, uniqueItems: true, description })

function sequenceOf<T extends Parts>(parts: T) {
  const step = Type.Object(
    {
      on: types('The types of event that the step looks at.'),
      when: parts.condition,
      negated: Type.Optional(
        Type.Boolean({
          description:
            'true: no such event comes between the step before and the step after. Of the first step: none within that time before the second. Of the last: none until the end of that time; the alert comes then.',
        }),
      ),
    },
    strict,
  )
  return Type.Object(
    {
      steps: Type.Array(step, {
        minItems: 2,
        maxItems: 6,
        title: 'an array of 2 to 6 steps',
        description: 'One after the other. One at least is not negated; the alert is about the last of these.',
      }),
      by: parts.join,
      within: duration('How long after the first step, in the time of the events, the last may come.'),
    },
    { ...strict, description: 'In place of "on" and "when": several events, one after the other.' },
  )
}

function overrideOf<T extends Parts>(parts: T) {
  const { severity, unless, tags, runbook, enabled, groupBy, window, phase } = changeable(parts)
  return Type.Object(
    {
      rule: matching(
        `^(${ruleIdPattern}/)?${ruleIdPattern}$`,
        'the id of a rule, <rule> or <pack>/<rule>',
        'Which rule: its id, or <pack>/<id>.',
      ),
      severity: Type.Optional(severity),
      enabled: Type.Optional(enabled),
      unless: Type.Optional(Type.Array(unless.items, { description: 'More exceptions, beside those of the rule.' })),
      tags: Type.Optional(Type.Object(tags.properties, { ...strict, description: 'More tags, beside those it has.' })),
      runbook: Type.Optional(runbook),
      groupBy: Type.Optional(groupBy),
      window: Type.Optional(window),
      phase: Type.Optional(phase),
    },
    strict,
  )
}

function packOf<T extends Parts>(parts: T) {
  const { severity, unless, tags, runbook, enabled, groupBy, window, phase } = changeable(parts)
  const rule = Type.Object(
    {
      id: matching(
        '^[a-z0-9]+(-[a-z0-9]+)*$',
        'lower-case words joined by hyphens, such as reverse-shell',
        'Stays the same for the life of the rule: alerts, metrics and exceptions name it.',
      ),
      name: text('A few words for a list of alerts.'),
      description: Type.Optional(text('What the rule detects, and by which facts.')),
      false_positives: Type.Optional(Type.Array(text('A case.'), { description: 'Ordinary work that may match.' })),
      on: Type.Optional(types('The types of event that the rule looks at.')),
      when: Type.Optional(parts.condition),
      sequence: Type.Optional(sequenceOf(parts)),
      threshold: Type.Optional(
        Type.Object(
          {
            count: Type.Integer({
              minimum: 2,
              maximum: 1000,
              title: 'a whole number from 2 to 1000',
              description: 'How many matches raise one alert; with "distinct", how many different values in them.',
            }),
            distinct: Type.Optional(
              Type.Unsafe<string>({
                allOf: [parts.fieldName],
                description: 'Count the different values of this field.',
              }),
            ),
            by: Type.Array(parts.fieldName, {
              uniqueItems: true,
              description: 'Matches with equal values of these fields are counted together; none: all of them.',
            }),
            within: duration('How far apart, in the time of the events, the first and the last may be.'),
          },
          { ...strict, description: 'Alert only when so many matches have come together; the count then begins anew.' },
        ),
      ),
      unless: Type.Optional(unless),
      severity,
      message: text('One sentence, with fields in braces: {process.name}. A literal brace is doubled.'),
      tags: Type.Optional(tags),
      runbook: Type.Optional(runbook),
      enabled: Type.Optional(enabled),
      groupBy: Type.Optional(groupBy),
      window: Type.Optional(window),
      phase: Type.Optional(phase),
      tests: Type.Optional(
        Type.Array(
          Type.Object(
            {
              name: text('What the test claims.'),
              events: Type.Array(parts.event, {
                minItems: 1,
                description:
                  'Events, judged in order. One without a type has the first in "on"; one without a time comes a second after the one before.',
              }),
              alerts: Type.Integer({ minimum: 0, title: 'a whole number', description: 'How many alerts they raise.' }),
            },
            strict,
          ),
          { description: 'The rule proves itself: at least one test that raises an alert, and one that does not.' },
        ),
      ),
    },
    strict,
  )
  return Type.Object(
    {
      $schema: Type.Optional(Type.String({ description: 'This schema, for the editor.' })),
      pack: matching(
        '^[a-z0-9]+(-[a-z0-9]+)*$',
        'lower-case words joined by hyphens, such as my-team',
        'Name of the pack.',
      ),
      version: text('Version of the pack.'),
      lists: Type.Optional(
        Type.Record(
          Type.String({ pattern: '^([a-z0-9]+(-[a-z0-9]+)*/)?[a-z][a-z0-9_]*$' }),
          Type.Array(parts.listEntry),
          {
            ...strict,
            title: 'lower-case list names such as my_agents, or <pack>/<list> to add to the list of another pack',
            description:
              'Values by name; a rule says "@name" where an array may stand. <pack>/<name> adds to a list of another pack.',
          },
        ),
      ),
      macros: Type.Optional(
        Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]*$' }), parts.condition, {
          ...strict,
          title: 'lower-case macro names such as in_container',
          description: 'Conditions by name; a condition says { "macro": "name" }, or "<pack>/<name>" of another pack.',
        }),
      ),
      rules: Type.Array(rule, { description: 'The rules.' }),
      overrides: Type.Optional(
        Type.Array(overrideOf(parts), { description: 'Changes to rules of other packs, which stay where they are.' }),
      ),
    },
    { ...strict, title: 'an object with "pack", "version" and "rules"' },
  )
}

/** A JSON Schema in plain JSON. */
type Plain = { [key: string]: unknown }

/** Makes the schema refuse members that it doesn't know, and drops the field numbers of the capture format. */
function strictly(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strictly)
  if (typeof schema !== 'object' || schema === null) return schema
  const { n: _, ...rest } = Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, strictly(inner)]))
  return 'properties' in rest ? { ...rest, additionalProperties: false } : rest
}

/** Any part of an event: of its required members only a test's author knows which matter. */
function partOfEvent(): Plain {
  const { required: _, ...event } = strictly(JSON.parse(JSON.stringify(Event))) as Plain
  return event
}

const Pack = packOf({
  condition: Type.Unknown(),
  fieldName: Type.String({ title: 'the name of a field' }),
  join: Type.Unknown(),
  phase: Type.Unknown(),
  listEntry: Type.Unknown(),
  event: Type.Unsafe(partOfEvent()),
})
export type PackSource = Static<typeof Pack>
export type RuleSource = PackSource['rules'][number]
export type OverrideSource = NonNullable<PackSource['overrides']>[number]

/** For the check on loading: everything but conditions, field names and list entries. */
export const packSchema: Plain = JSON.parse(JSON.stringify(Pack))

const definition = (name: string): TSchema => Type.Unsafe({ $ref: `#/definitions/${name}` })
const scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean()])
const listName = Type.String({
  pattern: listReference.source,
  description: 'The name of a list of this pack, or @<pack>/<list>.',
})

const kindOf = (field: Pick<Field, 'type' | 'multiple'>) => (field.multiple ? `${field.type}s` : field.type)

/** What may stand behind a field: a value of its type, or operators that it can be asked with. */
function askedOf(field: Field): TSchema {
  const asked = operatorsFor(field).map(({ name, description, takes, operand }) => {
    const one = operand(field.type)
    const many = Type.Union([Type.Array(one, { minItems: 1 }), listName])
    const schema = { one, many, 'one or many': Type.Union([one, many]) }[takes]
    return [name, Type.Optional(Type.Union([schema], { description }))] as const
  })
  const [equals] = operatorsFor(field)
  const value = equals?.operand(field.type) ?? scalar
  return Type.Union([value, Type.Object(Object.fromEntries(asked), { ...strict, minProperties: 1 })])
}

const valuesName = (values: readonly string[]): string => `one_of_${values.join('_')}`

/** Beside what its type allows: the few values that a field can be, for the operators that compare whole ones. */
function oneOf(values: readonly string[]): TSchema {
  const value = Type.Enum([...values])
  const many = Type.Union([Type.String(), Type.Array(value)])
  const members = [...operators.values()].filter(({ closed }) => closed)
  const asked = members.map(({ name, takes }) => [name, Type.Optional(takes === 'one' ? value : many)])
  return Type.Union([value, Type.Object(Object.fromEntries(asked))])
}

const isMapName = (name: string): boolean => name.endsWith('.<name>')
/** What the names of a map's entries begin with. */
const mapPattern = (name: string): string => `^${name.slice(0, -'<name>'.length).replaceAll('.', '\\.')}`

/** What a condition may ask of fields. It knows the joins and macros by name only, and so doesn't contain itself. */
function fieldTestsSchema(): TSchema {
  const named = [...fields.values()].map((field) => {
    const on = `On ${typesInWords(field.eventTypes)}.`
    const { values } = field
    const allOf = [definition(kindOf(field)), ...(values ? [definition(valuesName(values))] : [])]
    return [field.name, Type.Unsafe({ description: `${field.description} ${on}`, allOf })] as const
  })
  const isMap = ([name]: readonly [string, TSchema]) => isMapName(name)
  const maps = named.filter(isMap).map(([name, schema]) => [`${mapPattern(name)}.+$`, schema] as const)
  return Type.Unsafe({
    type: 'object',
    properties: {
      all: true,
      any: true,
      not: true,
      macro: true,
      ...Object.fromEntries(named.filter((entry) => !isMap(entry))),
    },
    patternProperties: Object.fromEntries(maps),
    additionalProperties: false,
  })
}

/** Small, since it contains itself: validators that compile a schema spend a stack frame of its size on each level. */
function conditionSchema(): TSchema {
  const conditions = Type.Array(definition('condition'), { minItems: 1 })
  return Type.Unsafe({
    type: 'object',
    description: `All members must hold: fields, or all, any, not, macro. ${semantics}`,
    minProperties: 1,
    properties: {
      all: Type.Unsafe({ ...conditions, description: 'Each of these holds.' }),
      any: Type.Unsafe({ ...conditions, description: 'One of these holds.' }),
      not: Type.Unsafe({ description: 'This does not hold.', allOf: [definition('condition')] }),
      macro: Type.String({ description: 'The condition of that name in "macros" holds.' }),
    },
    allOf: [definition('field_tests')],
  })
}

function phaseSchema(): TSchema {
  const length = duration('How long the startup lasts, from the start of the container.')
  const member = (kind: 'startup' | 'steady') => Type.Object({ [kind]: length }, strict)
  return Type.Union([Type.Enum([...phaseNames]), member('startup'), member('steady')], {
    description: `Only then does it hold. startup: the first ${usualStartup / 1000} s of the container, or as long as { "startup": "2m" } says. steady: all the rest, and wherever the start is not known. break-glass: the pod's annotation ${breakGlassAnnotation} says who broke the glass and until when. The time of the event counts.`,
  })
}

/** The published schema, as rules/schema.json holds it. */
export function publishedSchema(): Plain {
  const kinds = Object.fromEntries([...fields.values()].map((field) => [kindOf(field), askedOf(field)]))
  const closed = [...fields.values()].flatMap(({ values }) => (values ? [[valuesName(values), oneOf(values)]] : []))
  const names = [...fields.keys()].filter((name) => !isMapName(name))
  const maps = [...fields.keys()].filter(isMapName).map((name) => Type.String({ pattern: `${mapPattern(name)}.+$` }))
  const fieldName = definition('field_name')
  const pack = packOf({
    condition: definition('condition'),
    fieldName,
    join: Type.Union([Type.Enum(['container', 'process_tree']), Type.Array(fieldName, { minItems: 1 })], {
      description:
        'What the events have in common: the container (the host counts as one), the values of fields, or process_tree: the parent of the process of the first step, and all that descends from it.',
    }),
    phase: definition('phase'),
    listEntry: Type.Union([
      scalar,
      Type.Object({ value: scalar, note: text('What the value is, or where it comes from.') }, strict),
    ]),
    event: definition('event'),
  })
  const { title: _, ...shape } = JSON.parse(JSON.stringify(pack))
  shape.properties.rules.items.anyOf = [
    { properties: { on: {}, when: {} }, required: ['on', 'when'] },
    { properties: { sequence: {} }, required: ['sequence'] },
  ]
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: schemaId,
    title: 'Nightjar rule pack',
    ...shape,
    definitions: JSON.parse(
      JSON.stringify({
        condition: conditionSchema(),
        field_tests: fieldTestsSchema(),
        field_name: Type.Union([Type.Enum(names), ...maps]),
        phase: phaseSchema(),
        ...kinds,
        ...Object.fromEntries(closed),
        event: partOfEvent(),
      }),
    ),
  }
}
