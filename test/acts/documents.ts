/** The documents that are made of the shipped rules and their acts: path in the repository -> text. */
import { catalogue, navigatorLayer } from '../../rules/catalogue.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import type { Act } from './act.ts'
import { packs } from './proofs.ts'

function shown(act: Act): string {
  if ('shownBy' in act) return `end to end, on real attacks, in ${act.shownBy}`
  if ('why' in act) return `by its own tests alone. ${act.why}`
  return `end to end, on a real act ${act.host === true ? 'on the host' : 'in a container'} (test/e2e/acts.test.ts)`
}

export async function documents(): Promise<Record<string, string>> {
  const { rules } = await loadRules([builtinPacks()])
  const acts = Object.values(packs).flat()
  const proofs = new Map(acts.map((act) => [act.rule, shown(act)]))
  return {
    'docs/shipped-rules.md': catalogue(rules, proofs),
    'docs/navigator.json': `${JSON.stringify(navigatorLayer(rules), null, 2)}\n`,
  }
}
