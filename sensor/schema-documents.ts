/** docs/configuration.md and docs/alert.md: the published JSON Schemas as tables for people. */
import { code, document, escaped, table } from '../rules/markdown.ts'
import { publishedSchemas } from './published-schemas.ts'
import { type Row, rows, type Shape } from './schema-rows.ts'

const schemaOf = (file: string): Shape => publishedSchemas()[file] ?? {}

/** Rows by the key that `sectionOf` gives, in the order of their first. */
function sections(all: readonly Row[], sectionOf: (row: Row) => string): [string, Row[]][] {
  const names = [...new Set(all.map(sectionOf))]
  return names.map((name) => [name, all.filter((row) => sectionOf(row) === name)])
}

const ownKeys = 'Rules and metrics'

/** `exporters` is most of it: each exporter has a section of its own. */
function configurationSection({ path }: Row): string {
  const [top = '', second = ''] = path.replaceAll('[]', '').split('.')
  if (top === 'exporters') return `${top}.${second}`
  return ['rules', 'builtinRules', 'metrics'].includes(top) ? ownKeys : top
}

const defaultOf = (row: Row) => {
  if (row.required) return 'required'
  return row.default === undefined
    ? ''
    : code(typeof row.default === 'string' ? row.default : JSON.stringify(row.default))
}

/** `example`: a file that shows the keys that most want. */
export function configurationDocument(example: string): string {
  const all = [...rows(schemaOf('config.schema.json'))]
  return document([
    '# Configuration',
    '',
    'Every key of the file that `nightjar run --config FILE` reads (YAML or JSON), written by `npm run docs` from its schema,',
    '[`sensor/config.schema.json`](../sensor/config.schema.json); editors complete keys from it. All keys are optional but those',
    'that say so. A file with a mistake is refused with its line, its path, what was found and what was expected; at SIGHUP the',
    'old one then stays. In the chart it is the value `config`.',
    '',
    'Durations are `500ms`, `2s`, `1m`, `12h`, `7d`; sizes `64MiB`. Beside the file these count: `NIGHTJAR_NODE_NAME` (the',
    'node’s name), `KUBECONFIG`, `NIGHTJAR_LOG_LEVEL` (`debug` shows what bpftrace says), and OpenTelemetry’s variables',
    '([formats](formats.md#opentelemetry)). What the keys of receivers mean together is in [delivery](delivery.md).',
    '',
    '```yaml',
    example.trimEnd(),
    '```',
    '',
    ...sections(all, configurationSection).flatMap(([name, own]) => [
      `## ${name}`,
      '',
      ...table(
        ['key', 'type', 'default', 'meaning'],
        own.map((row) => [code(row.path), escaped(row.type), defaultOf(row), escaped(row.description)]),
      ),
    ]),
  ])
}

/** What has the shape of another part of the alert is told once. */
const likeOthers: Readonly<Record<string, string>> = {
  'process.ancestors':
    'Nearest first: the parent is the first. Each has the members of `process` but this one; at most 16.',
  earlier:
    'Of a rule that is a sequence: the events of the steps before, oldest first. Each has `event.type`, `time`, `process` and the objects of its event, as the alert has them.',
}

const alone = 'The alert itself'

export function alertDocument(example: string): string {
  const all = [...rows(schemaOf('alert.schema.json'), '', false, (path) => likeOthers[path])]
  const top = (path: string) => path.split(/[.[]/)[0] ?? ''
  const hasMembers = new Set(all.filter(({ path }) => /[.[]/.test(path)).map(({ path }) => top(path)))
  const sectionOf = ({ path }: Row) => (hasMembers.has(top(path)) ? top(path) : alone)
  const ordered = sections(all, sectionOf).toSorted(([one], [other]) => Number(other === alone) - Number(one === alone))
  return document([
    '# The alert',
    '',
    'What receivers get in the `native` format, one JSON object an alert: `nightjar.dev/alert/v1`, by the schema',
    '[`sensor/alert.schema.json`](../sensor/alert.schema.json), from which `npm run docs` writes this. Other formats are made',
    'of it: [formats](formats.md). A key that is not known is absent, never null and never guessed.',
    '',
    '`id` is the idempotency key. Repeats of one act come as updates of the same kind: `count`, `first_seen` and `last_seen`',
    'tell how many and when. Keys may be added; one that is here does not change its meaning within v1.',
    '',
    'A real one, of a reverse shell in a pod (the runtime among its ancestors is left out):',
    '',
    '```json',
    example.trimEnd(),
    '```',
    '',
    ...ordered.flatMap(([name, own]) => [
      `## ${name}`,
      '',
      ...table(
        ['key', 'type', 'meaning'],
        own.map((row) => [
          code(row.path),
          `${escaped(row.type)}${row.required && name === alone ? ', always' : ''}`,
          escaped(row.description),
        ]),
      ),
    ]),
  ])
}
