/** docs/fields.md: every field that a rule may name, by the object that it belongs to. */
import { eventTypes } from '../sensor/event.ts'
import { type Field, fields } from './fields.ts'
import { code, document, escaped, table } from './markdown.ts'
import { type Operator, operators, semantics } from './operators.ts'
import { typesInWords, valuesBeside } from './words.ts'

const parentPrefix = 'process.parent.'
const ancestorsPrefix = 'process.ancestors.'
const objectOf = ({ name }: Field) => (name.includes('.') ? name.slice(0, name.indexOf('.')) : 'event')

/** Parents and ancestors have a process's own fields: told once. */
const isRepeated = ({ name }: Field) => name.startsWith(parentPrefix) || name.startsWith(ancestorsPrefix)

function meaning(field: Field): string {
  const values = field.values === eventTypes ? [] : valuesBeside(field)
  return `${escaped(field.description)}${values.length > 0 ? ` One of ${values.map(code).join(', ')}.` : ''}`
}

function section(object: string, own: readonly Field[]): string[] {
  const rows = own.map((field) => {
    const type = field.multiple ? `${field.type}, several` : field.type
    return [code(field.name), type, typesInWords(field.eventTypes), meaning(field)]
  })
  const after =
    object === 'process'
      ? [
          `Each of these is there as \`${parentPrefix}...\` too (the parent), and as \`${ancestorsPrefix}...\` (any of at most 16`,
          'ancestors, so several values): `process.parent.name`, `process.ancestors.command_line`.',
          '',
        ]
      : []
  return [`## ${object}`, '', ...table(['field', 'type', 'on', 'meaning'], rows), ...after]
}

/** What an operator may be asked of, in words. */
function accepted({ accepts }: Operator): string {
  const types = (['string', 'ip', 'integer', 'number', 'boolean'] as const).filter(
    (type) => accepts({ type, multiple: false }) || accepts({ type, multiple: true }),
  )
  const some = types.every((type) => !accepts({ type, multiple: false })) ? ', several' : ''
  return `${types.length === 5 ? 'every field' : types.join(', ')}${some}`
}

export function fieldsDocument(): string {
  const own = [...fields.values()].filter((field) => !isRepeated(field))
  const objects = [...new Set(own.map(objectOf))]
  return document([
    '# The fields of events',
    '',
    `What a rule may ask for, and what an event carries: ${fields.size} names, written by \`npm run docs\` from the one definition in`,
    '`sensor/event.ts`. `nightjar rules fields` prints the same. `<name>` stands for a key: `k8s.pod.label.app`,',
    '`k8s.pod.label.app.kubernetes.io/name`.',
    '',
    semantics,
    '',
    '## Operators',
    '',
    ...table(
      ['operator', 'of', 'meaning'],
      [...operators.values()].map((one) => [code(one.name), accepted(one), escaped(one.description)]),
    ),
    ...objects.flatMap((object) =>
      section(
        object,
        own.filter((field) => objectOf(field) === object),
      ),
    ),
  ])
}
