/** The documents that are written by `npm run docs`: path in the repository -> text. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fragmentsDocument } from '../../bpf/fragments-document.ts'
import { metricsDocument } from '../../exporters/metrics-document.ts'
import { catalogue } from '../../rules/catalogue.ts'
import { fieldsDocument } from '../../rules/fields-document.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { mappings, navigatorLayer } from '../../rules/mappings.ts'
import { alertDocument, configurationDocument } from '../../sensor/schema-documents.ts'
import type { Act } from '../acts/act.ts'
import { packs } from '../acts/proofs.ts'

/** An alert of a real run, as it arrived. */
export const exampleAlert = join(import.meta.dirname, 'alert.json')

const exampleConfiguration = join(import.meta.dirname, 'configuration.yaml')

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
    'docs/alert.md': alertDocument(readFileSync(exampleAlert, 'utf8')),
    'docs/configuration.md': configurationDocument(readFileSync(exampleConfiguration, 'utf8')),
    'docs/fields.md': fieldsDocument(),
    'docs/fragments.md': fragmentsDocument(),
    'docs/mappings.md': mappings(rules),
    'docs/metrics.md': metricsDocument(),
    'docs/navigator.json': `${JSON.stringify(navigatorLayer(rules), null, 2)}\n`,
    'docs/shipped-rules.md': catalogue(rules, proofs),
  }
}
