import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAffixes } from '../../rules/affixes.ts'

const text = fc
  .array(fc.constantFrom('/', 'a', 'b', '\ud83d', '\ude00'), { maxLength: 6 })
  .map((parts) => parts.join(''))
const texts = fc.array(
  text.filter((one) => one !== ''),
  { minLength: 10, maxLength: 40 },
)

test.each(['begins', 'ends'] as const)(
  'a value finds all the texts that it %s with, each once, and no others',
  (how) => {
    let found = 0
    fc.assert(
      fc.property(texts, text, (wanted, value) => {
        const affixes = createAffixes<string>(how)
        for (const one of wanted) affixes.add(one, one)
        const got: string[] = []
        affixes.find(value, (one) => got.push(one))
        const fits = (one: string) => (how === 'begins' ? value.startsWith(one) : value.endsWith(one))
        expect(got.sort()).toEqual([...new Set(wanted)].filter(fits).sort())
        expect(affixes.has(value)).toBe(got.length > 0)
        found += got.length
      }),
      { numRuns: 2000 },
    )
    expect(found).toBeGreaterThan(500)
  },
)
