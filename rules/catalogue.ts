/** The shipped rules as a document for people, and as a layer for the ATT&CK Navigator. */
import { type Framework, frameworks } from './frameworks.ts'
import type { Rule } from './rule.ts'

/** Rule id -> how it is shown to fire, in a few words. */
export type Proofs = ReadonlyMap<string, string>

const escaped = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('*', '\\*')
const row = (...cells: string[]) => `| ${cells.join(' | ')} |`
const code = (text: string) => `\`${text}\``
const link = ({ id }: Rule) => `[${code(id)}](#${id})`

/** Which rules bear which identifier of a framework, in the identifiers' order. */
function byTag(rules: readonly Rule[], framework: string): [string, Rule[]][] {
  const identifiers = new Set(rules.flatMap(({ tags }) => tags[framework] ?? []))
  return [...identifiers]
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((identifier) => [identifier, rules.filter(({ tags }) => tags[framework]?.includes(identifier))])
}

function table(rules: readonly Rule[], framework: keyof typeof frameworks): string[] {
  const { title, name, url }: Framework = frameworks[framework]
  return [
    `## ${title}`,
    '',
    row('id', 'rules'),
    row('---', '---'),
    ...byTag(rules, framework).map(([id, tagged]) => {
      const shown = [id, name(id)].filter((word) => word !== undefined).join(' ')
      return row(`[${shown}](${url(id)})`, tagged.map(link).join(', '))
    }),
    '',
  ]
}

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

/** docs/shipped-rules.md: every rule by its pack, then the frameworks' identifiers and their rules. */
export function catalogue(rules: readonly Rule[], proofs: Proofs): string {
  const packs = [...new Set(rules.map(({ pack }) => pack))]
  const ofPack = (pack: string) => rules.filter((rule) => rule.pack === pack)
  return [
    '# The shipped rules',
    '',
    `${rules.length} rules in ${packs.length} packs, written by \`npm run docs\` from the packs themselves. Each carries tests of its`,
    'own (`nightjar rules test`); "shown" says how it fires beyond these. `nightjar rules explain ID` tells one in plain',
    'English, with its kernel cost.',
    '',
    ...packs.flatMap((pack) => [`- [${pack}](#the-pack-${pack}): ${ofPack(pack).map(link).join(', ')}`]),
    '',
    ...packs.flatMap((pack) => [`## The pack ${pack}`, '', ...ofPack(pack).flatMap((rule) => section(rule, proofs))]),
    ...table(rules, 'mitre'),
    'The same as a layer for the [ATT&CK Navigator](https://mitre-attack.github.io/attack-navigator/):',
    '[`navigator.json`](navigator.json) (Open Existing Layer). A technique’s score is its number of rules.',
    '',
    ...table(rules, 'owasp_nhi'),
    ...table(rules, 'nist_csf'),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}

/** docs/navigator.json: the ATT&CK Navigator's layer format 4.5. */
export function navigatorLayer(rules: readonly Rule[]) {
  const techniques = byTag(
    rules.filter(({ enabled }) => enabled),
    'mitre',
  )
  return {
    name: 'Nightjar',
    versions: { attack: '16', navigator: '5.1.0', layer: '4.5' },
    domain: 'enterprise-attack',
    description: 'What the shipped rules of Nightjar look for. The score of a technique is its number of rules.',
    filters: { platforms: ['Containers', 'Linux', 'IaaS'] },
    sorting: 3,
    hideDisabled: false,
    techniques: techniques.map(([techniqueID, tagged]) => ({
      techniqueID,
      score: tagged.length,
      comment: tagged.map(({ id }) => id).join(', '),
      enabled: true,
      showSubtechniques: techniqueID.includes('.'),
    })),
    gradient: {
      colors: ['#cfe8f3', '#0a4c6a'],
      minValue: 1,
      maxValue: Math.max(...techniques.map(([, tagged]) => tagged.length)),
    },
  }
}
