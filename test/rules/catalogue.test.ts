import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { frameworks } from '../../rules/frameworks.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { documents } from '../acts/documents.ts'

const { rules } = await loadRules([builtinPacks()])
const texts = await documents()

test.each(Object.keys(texts))('%s is what the rules say now (else: npm run docs)', (file) => {
  const read = (text = '') => (file.endsWith('.json') ? JSON.parse(text) : text.split('\n'))
  expect(read(readFileSync(join(import.meta.dirname, '../..', file), 'utf8'))).toEqual(read(texts[file]))
})

test('each rule has its section, and its lines in the tables of the frameworks', () => {
  const text = texts['docs/shipped-rules.md'] ?? ''
  for (const { id, tags } of rules) {
    expect(text).toContain(`\n### ${id}\n`)
    const tagged = [...(tags.mitre ?? []), ...(tags.owasp_nhi ?? []), ...(tags.nist_csf ?? [])].length
    expect(text.split(`(#${id})`).length - 1, id).toBe(1 + tagged) // The list of its pack names it, too.
  }
})

test('each identifier of NHI and CSF is known by its name', () => {
  for (const { tags } of rules) {
    for (const id of tags.owasp_nhi ?? []) expect(frameworks.owasp_nhi.name(id), id).toBeDefined()
    for (const id of tags.nist_csf ?? []) expect(frameworks.nist_csf.name(id), id).toBeDefined()
  }
})

test('the navigator’s layer scores each technique with the number of its enabled rules', () => {
  const layer = JSON.parse(texts['docs/navigator.json'] ?? '{}')
  const enabled = rules.filter(({ enabled }) => enabled)
  const tagged = enabled.flatMap(({ tags }) => tags.mitre ?? [])
  expect(layer.techniques.length).toBe(new Set(tagged).size)
  for (const { techniqueID, score } of layer.techniques) {
    expect(techniqueID).toMatch(/^T\d{4}(\.\d{3})?$/)
    expect(score).toBe(tagged.filter((id) => id === techniqueID).length)
  }
})
