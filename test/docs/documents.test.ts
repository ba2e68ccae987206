import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { fields } from '../../rules/fields.ts'
import { frameworks } from '../../rules/frameworks.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { eventTypes } from '../../sensor/event.ts'
import { publishedSchemas } from '../../sensor/published-schemas.ts'
import { packs } from '../acts/proofs.ts'
import { documents, exampleAlert } from './documents.ts'

const { rules } = await loadRules([builtinPacks()])
const texts = await documents()
const textOf = (file: string) => texts[file] ?? ''

test.each(Object.keys(texts))('%s is what the code says now (else: npm run docs)', (file) => {
  const read = (text = '') => (file.endsWith('.json') ? JSON.parse(text) : text.split('\n'))
  expect(read(readFileSync(join(import.meta.dirname, '../..', file), 'utf8'))).toEqual(read(texts[file]))
})

test('each rule has its section, its place in its pack, and its row among the mappings', () => {
  for (const { id } of rules) {
    expect(textOf('docs/shipped-rules.md')).toContain(`\n### ${id}\n`)
    expect(textOf('docs/shipped-rules.md').split(`](#${id})`).length - 1, id).toBe(1)
    expect(textOf('docs/mappings.md')).toContain(`\n| [\`${id}\`](shipped-rules.md#${id}) |`)
  }
})

test('each rule stands once in the tables of the frameworks for each of its tags', () => {
  const [byIdentifier = ''] = textOf('docs/mappings.md').split('\n## By rule\n')
  for (const { id, tags } of rules) {
    const tagged = [...(tags.mitre ?? []), ...(tags.owasp_nhi ?? []), ...(tags.nist_csf ?? [])].length
    expect(byIdentifier.split(`(shipped-rules.md#${id})`).length - 1, id).toBe(tagged)
  }
})

test('each identifier of NHI and CSF is known by its name', () => {
  for (const { tags } of rules) {
    for (const id of tags.owasp_nhi ?? []) expect(frameworks.owasp_nhi.name(id), id).toBeDefined()
    for (const id of tags.nist_csf ?? []) expect(frameworks.nist_csf.name(id), id).toBeDefined()
  }
})

test('each field is in its document, those of the parent and of ancestors by the process’s own', () => {
  for (const name of fields.keys()) {
    const own = name.replace(/^process\.(parent|ancestors)\./, 'process.')
    expect(textOf('docs/fields.md')).toContain(`\n| \`${own}\` | `)
  }
})

test('each metric of the registry is in its document', () => {
  for (const { name } of createMetrics().registry.getMetricsAsArray())
    expect(textOf('docs/metrics.md')).toContain(`\n| \`${name}\` | `)
})

/** Every property of a schema at the end of its path, whatever the path. */
function leaves(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const { properties = {}, items } = schema as { properties?: Record<string, unknown>; items?: unknown }
  const own = Object.entries(properties).flatMap(([name, inner]) => [name, ...leaves(inner)])
  return [...own, ...leaves(items)]
}

test.each([
  ['docs/configuration.md', 'config.schema.json'],
  ['docs/alert.md', 'alert.schema.json'],
])('%s has a row for each key of %s', (file, schema) => {
  const named = new Set(
    [...textOf(file).matchAll(/^\| `([^`]+)` \|/gm)].flatMap(([, path = '']) => path.split(/[.[\]]+/)),
  )
  expect(leaves(publishedSchemas()[schema]).filter((name) => !named.has(name))).toEqual([])
})

test('the alert that the document shows is one by the published schema', () => {
  const ajv = new Ajv2020({ strict: false })
  addFormats.default(ajv)
  const validate = ajv.compile(publishedSchemas()['alert.schema.json'] ?? false)
  validate(JSON.parse(readFileSync(exampleAlert, 'utf8')))
  expect(validate.errors ?? []).toEqual([])
})

test('README, detection and changelog tell how many rules and event families there are, and how many are shown to fire', () => {
  const acts = Object.values(packs).flat()
  const counted = {
    rules: rules.length,
    packs: new Set(rules.map(({ pack }) => pack)).size,
    shown: acts.filter((act) => !('why' in act || 'shownBy' in act)).length,
    families: eventTypes.filter((type) => type !== 'gap' && type !== 'posture').length,
  }
  const patterns: Record<keyof typeof counted, RegExp> = {
    rules: /\b(\d+)\*{0,2} (?:shipped )?rules(?:\*\*)? (?:in|that carry)/g,
    packs: /\brules\*{0,2} in (\w+) packs/g,
    shown: /\b(\d+) of them (?:shown to fire )?by a real act/g,
    families: /\b(\d+) families/g,
  }
  const words = [
    'zero',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
    'ten',
    'eleven',
    'twelve',
  ]
  const found = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/detection.md'].flatMap((file) => {
    const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8').replaceAll(/\s+/g, ' ')
    return Object.entries(patterns).flatMap(([what, pattern]) =>
      [...text.matchAll(pattern)].map(([, number = '']) => ({ file, what, number })),
    )
  })
  expect(new Set(found.map(({ what }) => what))).toEqual(new Set(Object.keys(counted)))
  for (const { file, what, number } of found) {
    const told = words.includes(number) ? words.indexOf(number) : Number(number)
    expect(told, `${file}: ${what}`).toBe(counted[what as keyof typeof counted])
  }
})

test('each alert of Prometheus’ rules is explained among what to watch', () => {
  const read = (file: string) => readFileSync(join(import.meta.dirname, '../..', file), 'utf8')
  const alerts = [...read('deploy/prometheus/rules.yaml').matchAll(/- alert: (\w+)/g)].map(([, name]) => name)
  expect(alerts.length).toBeGreaterThan(5)
  const told = read('docs/tuning.md')
  expect(alerts.filter((name) => !told.includes(`\n| ${name} | `))).toEqual([])
})
