import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fields } from '../../rules/fields.ts'
import { builtinPacks } from '../../rules/load.ts'
import { operators, operatorsFor } from '../../rules/operators.ts'
import { readPacks } from '../../rules/pack.ts'
import { publishedSchema } from '../../rules/schema.ts'
import { eventTypes } from '../../sensor/event.ts'
import { everything, shipped } from './everything.ts'
import { conditionArbitrary, macros, statefulArbitrary } from './vocabulary.ts'

const published = JSON.parse(await readFile(join(import.meta.dirname, '../../rules/schema.json'), 'utf8'))
// Inlined, the definitions of the types of fields would stand there once for each field.
const validate = new Ajv({ strict: true, allowUnionTypes: true, inlineRefs: false }).compile(published)

const packWith = (when: unknown) => ({
  pack: 'p',
  version: '1',
  lists: { x: ['sh'] },
  macros,
  rules: [{ id: 'r', name: 'r', on: [...eventTypes], severity: 'low', message: 'm', when }],
})

test('rules/schema.json is current (else: node rules/write-schema.ts && biome format --write rules/schema.json)', () => {
  expect(published).toEqual(publishedSchema())
})

test('the shipped packs are valid by it, and name it for the editor', async () => {
  const pack = JSON.parse(await readFile(join(builtinPacks(), 'nightjar.json'), 'utf8'))
  expect(validate(pack), JSON.stringify(validate.errors?.slice(0, 3))).toBe(true)
  expect(pack.$schema).toBe('../schema.json')
})

test('it offers every field, with its meaning, and every operator that the field may be asked with', () => {
  const { field_tests, ...definitions } = published.definitions
  for (const field of fields.values()) {
    if (field.name.endsWith('.<name>')) continue
    const offered = field_tests.properties[field.name]
    expect(offered.description, field.name).toContain(field.description)
    const [, kind = ''] = /definitions\/(.*)$/.exec(offered.allOf[0].$ref) ?? []
    const names = Object.keys(definitions[kind].anyOf[1].properties)
    expect(names).toEqual(operatorsFor(field).map(({ name }) => name))
    for (const name of names) {
      expect(definitions[kind].anyOf[1].properties[name].description).toBe(operators.get(name)?.description)
    }
  }
})

test('it takes every condition that the loader takes', () => {
  fc.assert(
    fc.property(conditionArbitrary, (condition) => {
      expect(readPacks([{ file: 'f', value: packWith(condition) }]).problems).toEqual([])
      expect(validate(packWith(condition)), JSON.stringify(validate.errors?.slice(0, 3))).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('it takes a pack that uses everything the language has, and every rule with state that the loader takes', () => {
  for (const pack of [shipped, everything]) {
    expect(validate(pack), JSON.stringify(validate.errors?.slice(0, 3))).toBe(true)
  }
  fc.assert(
    fc.property(statefulArbitrary, (rule) => {
      const pack = { pack: 'p', version: '1', rules: [{ id: 'r', name: 'r', severity: 'low', message: 'm', ...rule }] }
      expect(readPacks([{ file: 'f', value: pack }]).problems).toEqual([])
      expect(validate(pack), JSON.stringify(validate.errors?.slice(0, 3))).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('what an author mistypes in it is refused', () => {
  const [sequence, threshold] = everything.rules
  const refuses = (rule: object) => validate({ ...everything, rules: [rule] })
  expect(refuses({ ...threshold, on: undefined })).toBe(false)
  expect(refuses({ ...threshold, threshold: { ...threshold?.threshold, distinct: 'process.nam' } })).toBe(false)
  expect(refuses({ ...threshold, threshold: { ...threshold?.threshold, count: 1 } })).toBe(false)
  expect(refuses({ ...sequence, sequence: { ...sequence?.sequence, by: 'pod' } })).toBe(false)
  expect(refuses({ ...sequence, sequence: { ...sequence?.sequence, within: '5 minutes' } })).toBe(false)
  expect(validate({ ...everything, overrides: [{ rule: 'shipped/shell', when: { 'process.name': 'x' } }] })).toBe(false)
  expect(validate({ ...everything, macros: { Tool: { 'process.name': 'x' } } })).toBe(false)
  const unless = [{ when: { 'process.name': 'x' }, reason: 'r', expires: 'tomorrow' }]
  expect(validate({ ...everything, overrides: [{ rule: 'shipped/shell', unless }] })).toBe(false)
})

test('what it refuses the loader refuses, whatever the condition', () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('@x', ['@x'], [], {}, '10.0.0.0/8', '::1'))
  const operator = fc.constantFrom(...operators.keys(), 'like', 'constructor')
  const field = fc.constantFrom(...fields.keys(), 'k8s.pod.label.app', 'process.nam', 'all', 'any', 'not')
  const condition = fc.oneof(
    fc.tuple(field, value).map(([key, operand]) => ({ [key]: operand })),
    fc.tuple(field, operator, value).map(([key, name, operand]) => ({ [key]: { [name]: operand } })),
  )
  let refused = 0
  fc.assert(
    fc.property(condition, (when) => {
      if (validate(packWith(when))) return
      refused++
      expect(readPacks([{ file: 'f', value: packWith(when) }]).problems).not.toEqual([])
    }),
    { numRuns: 3000 },
  )
  expect(refused).toBeGreaterThan(500)
})

test('it refuses what an author mistypes', () => {
  const sound = packWith({ 'process.name': 'sh' })
  expect(validate(sound)).toBe(true)
  expect(validate({ ...sound, rule: [] })).toBe(false)
  expect(validate(packWith({ 'process.nam': 'sh' }))).toBe(false)
  expect(validate(packWith({ 'process.name': { like: 'sh' } }))).toBe(false)
  expect(validate(packWith({ 'process.pid': { startsWith: '1' } }))).toBe(false)
  expect(validate(packWith({ 'k8s.pod.label.app': 'cart' }))).toBe(true)
  expect(validate(packWith({ 'process.stdin.type': 'sockett' }))).toBe(false)
  expect(validate(packWith({ 'file.access': { in: ['write', 'wirte'] } }))).toBe(false)
  expect(validate(packWith({ 'file.access': { in: '@x' }, 'process.stdin.type': { startsWith: 'so' } }))).toBe(true)
  const [rule] = sound.rules
  expect(
    validate({ ...sound, rules: [{ ...rule, tests: [{ name: 't', events: [{ proces: {} }], alerts: 1 }] }] }),
  ).toBe(false)
  expect(validate({ ...sound, rules: [{ ...rule, groupBy: ['container.di'], window: '1m' }] })).toBe(false)
})
