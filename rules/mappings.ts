/** docs/mappings.md and docs/navigator.json: which rule stands for which technique, risk and control. */
import { type Framework, frameworks } from './frameworks.ts'
import { code, document, table } from './markdown.ts'
import type { Rule } from './rule.ts'

const link = ({ id }: Rule) => `[${code(id)}](shipped-rules.md#${id})`

/** Which rules bear which identifier of a framework, in the identifiers' order. */
function byTag(rules: readonly Rule[], framework: string): [string, Rule[]][] {
  const identifiers = new Set(rules.flatMap(({ tags }) => tags[framework] ?? []))
  return [...identifiers]
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((identifier) => [identifier, rules.filter(({ tags }) => tags[framework]?.includes(identifier))])
}

function byIdentifier(rules: readonly Rule[], framework: keyof typeof frameworks): string[] {
  const { title, name, url, about }: Framework = frameworks[framework]
  const lines = byTag(rules, framework).map(([id, tagged]) => {
    const shown = [id, name(id)].filter((word) => word !== undefined).join(' ')
    return [`[${shown}](${url(id)})`, String(tagged.length), tagged.map(link).join(', ')]
  })
  return [`## ${title}`, '', ...(about ? [about, ''] : []), ...table(['id', 'rules', ''], lines)]
}

function byRule(rules: readonly Rule[]): string[] {
  const tagsOf = ({ tags }: Rule, framework: string) => (tags[framework] ?? []).join(', ')
  const lines = rules.map((rule) => [
    link(rule),
    rule.severity,
    tagsOf(rule, 'mitre'),
    tagsOf(rule, 'owasp_nhi'),
    tagsOf(rule, 'nist_csf'),
    tagsOf(rule, 'maestro'),
  ])
  return ['## By rule', '', ...table(['rule', 'severity', 'ATT&CK', 'OWASP NHI', 'NIST CSF', 'MAESTRO layer'], lines)]
}

/** By framework, then by rule. */
export function mappings(rules: readonly Rule[]): string {
  return document([
    '# Rules by technique, risk and control',
    '',
    `The tags of the ${rules.length} shipped rules, turned round; written by \`npm run docs\` from the packs. Every alert carries its rule’s`,
    'tags (`rule.tags`), and `nightjar rules list --tag T1059` finds rules by them. A tag says what a rule is about, not that',
    'all of a technique is seen: [what is not](not-seen.md).',
    '',
    ...byIdentifier(rules, 'mitre'),
    ...byIdentifier(rules, 'owasp_nhi'),
    ...byIdentifier(rules, 'nist_csf'),
    ...byRule(rules),
  ])
}

/** The ATT&CK Navigator's layer format 4.5. */
export function navigatorLayer(rules: readonly Rule[]) {
  const techniques = byTag(
    rules.filter(({ enabled }) => enabled),
    'mitre',
  )
  return {
    name: 'Nightjar',
    versions: { attack: '18', navigator: '5.2.0', layer: '4.5' },
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
