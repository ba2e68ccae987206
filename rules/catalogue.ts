/** docs/shipped-rules.md: the shipped rules as a document for people. */
import { code, document, escaped } from './markdown.ts'
import type { Rule } from './rule.ts'

/** Rule id -> how it is shown to fire, in a few words. */
export type Proofs = ReadonlyMap<string, string>

const link = ({ id }: Rule) => `[${code(id)}](#${id})`

function section(rule: Rule, proofs: Proofs): string[] {
  const tags = Object.values(rule.tags).flat()
  return [
    `### ${rule.id}`,
    '',
    `**${escaped(rule.name)}** (${rule.severity}${rule.enabled ? '' : ', not enabled as shipped'}; on ${rule.on.join(', ')})`,
    '',
    ...(rule.description === undefined ? [] : [escaped(rule.description), '']),
    ...(rule.falsePositives.length === 0 ? [] : ['False positives:', '']),
    ...rule.falsePositives.map((one) => `- ${escaped(one)}`),
    ...(rule.falsePositives.length === 0 ? [] : ['']),
    `Shown: ${escaped(proofs.get(rule.id) ?? 'by its own tests alone')}. Tags: ${tags.join(', ') || 'none'}.`,
    '',
  ]
}

/** Every rule by its pack. */
export function catalogue(rules: readonly Rule[], proofs: Proofs): string {
  const packs = [...new Set(rules.map(({ pack }) => pack))]
  const ofPack = (pack: string) => rules.filter((rule) => rule.pack === pack)
  return document([
    '# The shipped rules',
    '',
    `${rules.length} rules in ${packs.length} packs, written by \`npm run docs\` from the packs themselves. Each carries tests of its`,
    'own (`nightjar rules test`); "shown" says how it fires beyond these. `nightjar rules explain ID` tells one in plain',
    'English, with its kernel cost. Which technique and which control each belongs to: [mappings](mappings.md).',
    '',
    ...packs.flatMap((pack) => [`- [${pack}](#the-pack-${pack}): ${ofPack(pack).map(link).join(', ')}`]),
    '',
    ...packs.flatMap((pack) => [`## The pack ${pack}`, '', ...ofPack(pack).flatMap((rule) => section(rule, proofs))]),
  ])
}
