/** The layer for the ATT&CK Navigator, against its format 4.5 (attack-navigator, layers/spec/v4.5/layerformat.md). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { builtinPacks, loadRules } from '../../rules/load.ts'

const { rules } = await loadRules([builtinPacks()])
const layer = JSON.parse(readFileSync(join(import.meta.dirname, '../../docs/navigator.json'), 'utf8'))

const text = { type: 'string' }
const closed = (required: readonly string[], properties: object) => ({
  type: 'object',
  required,
  properties,
  additionalProperties: false,
})

/** What of the format the layer uses. A member that is not here is a mistake, or wants to be looked up. */
const format = closed(['name', 'versions', 'domain', 'techniques'], {
  name: { ...text, minLength: 1 },
  versions: closed(['navigator', 'layer'], {
    attack: { ...text, pattern: '^\\d+$' },
    navigator: { ...text, pattern: '^(4\\.9|[5-9]\\.\\d+)\\.\\d+$' },
    layer: { const: '4.5' },
  }),
  domain: { enum: ['enterprise-attack', 'mobile-attack', 'ics-attack'] },
  description: text,
  filters: closed([], { platforms: { type: 'array', items: text, minItems: 1, uniqueItems: true } }),
  sorting: { enum: [0, 1, 2, 3] },
  hideDisabled: { type: 'boolean' },
  techniques: {
    type: 'array',
    minItems: 1,
    items: closed(['techniqueID'], {
      techniqueID: { ...text, pattern: '^T\\d{4}(\\.\\d{3})?$' },
      score: { type: 'number' },
      comment: text,
      enabled: { type: 'boolean' },
      showSubtechniques: { type: 'boolean' },
    }),
  },
  gradient: closed(['colors', 'minValue', 'maxValue'], {
    colors: { type: 'array', minItems: 2, items: { ...text, pattern: '^#[0-9a-f]{6}$' } },
    minValue: { type: 'number' },
    maxValue: { type: 'number' },
  }),
})

test('it is of layer format 4.5', () => {
  const validate = new Ajv2020().compile(format)
  validate(layer)
  expect(validate.errors ?? []).toEqual([])
  expect(layer.gradient.maxValue).toBeGreaterThan(layer.gradient.minValue)
})

test('it scores each technique once, with the number of its enabled rules', () => {
  const tagged = rules.filter(({ enabled }) => enabled).flatMap(({ tags }) => tags.mitre ?? [])
  const scores = layer.techniques.map(({ techniqueID, score }: Record<string, unknown>) => [techniqueID, score])
  const counted = [...new Set(tagged)].map((id) => [id, tagged.filter((one) => one === id).length])
  expect(scores.toSorted()).toEqual(counted.toSorted())
})
