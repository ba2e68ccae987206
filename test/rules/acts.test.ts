import { expect, test } from 'vitest'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { acts as credentials } from '../acts/credentials.ts'
import { acts as execution } from '../acts/execution.ts'
import { acts as network } from '../acts/network.ts'

const { rules } = await loadRules([builtinPacks()])

test.each(Object.entries({ credentials, execution, network }))('each rule of the pack %s has its act', (pack, acts) => {
  expect(acts.map(({ rule }) => rule)).toEqual(rules.filter((rule) => rule.pack === pack).map(({ id }) => id))
})
