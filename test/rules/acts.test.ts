import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { packs } from '../acts/proofs.ts'

const { rules } = await loadRules([builtinPacks()])

test('each shipped rule has its act, or the reason why it has none', () => {
  const acted = Object.entries(packs).flatMap(([pack, acts]) => acts.map(({ rule }) => `${pack} ${rule}`))
  expect(acted.toSorted()).toEqual(rules.map(({ pack, id }) => `${pack} ${id}`).toSorted())
})

test.each(Object.values(packs).flat())('what is said to show $rule is there', (act) => {
  if ('shownBy' in act) expect(existsSync(join(import.meta.dirname, '../..', act.shownBy))).toBe(true)
})
