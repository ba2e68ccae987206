/**
 * A pack changes the rules of another without copying them: their severity, whether they are enabled, their phase, more
 * exceptions and tags, the runbook, how their repeats are folded. What the override leaves out stays as it is, and so the rule
 * goes on being maintained by whoever ships it.
 */
import { type Draft, type Shelf, surroundingsOf } from './draft.ts'
import { isObject } from './json.ts'
import { type Fault, type JsonPath, nearest, type Problem, problemIn, show } from './problem.ts'
import { readDuration, readExceptions, readFields, readPhase } from './read-parts.ts'
import type { Rule } from './rule.ts'
import type { OverrideSource } from './schema.ts'

/** The rules with the overrides of all packs, in the order of the packs: of two that set the same the last holds. */
export function applyOverrides(rules: readonly Rule[], shelf: Shelf, remarks: Problem[]): Rule[] {
  const changed = [...rules]
  for (const draft of shelf.drafts) {
    const overrides = Array.isArray(draft.raw.overrides) ? draft.raw.overrides : []
    for (const [index, raw] of overrides.entries()) {
      if (!isObject(raw) || typeof raw.rule !== 'string') continue
      const path = ['overrides', index]
      const at = find(raw.rule, changed, draft, shelf, path, remarks)
      const rule = changed[at]
      if (rule) changed[at] = override(rule, raw, path, draft, shelf)
    }
  }
  return changed
}

/** The place of the rule of that id, `<rule>` or `<pack>/<rule>`; -1 if there is none, which has then been said. */
function find(
  name: string,
  rules: readonly Rule[],
  { file, report }: Draft,
  { drafts, absent }: Shelf,
  path: JsonPath,
  remarks: Problem[],
): number {
  const slash = name.indexOf('/')
  const [pack, id] = slash < 0 ? [undefined, name] : [name.slice(0, slash), name.slice(slash + 1)]
  const at = rules.findIndex((rule) => rule.id === id && (pack === undefined || rule.pack === pack))
  if (at >= 0) return at
  const here = [...path, 'rule']
  if (pack !== undefined && !drafts.some((draft) => draft.pack === pack)) {
    absent.add(pack)
    const found = `an override of a rule of the pack ${show(pack)}, which is not loaded`
    remarks.push(
      problemIn(file, { path: here, found, expected: 'that pack beside this one; without it it does nothing' }),
    )
    return -1
  }
  // The rule may be in any pack that isn't here: whoever reads this pack alone reads it again beside the shipped ones.
  if (pack === undefined) absent.add('')
  // A rule of that id with a fault isn't among the rules, and its own fault has been reported.
  if (drafts.some((draft) => (pack === undefined || draft.pack === pack) && hasRule(draft, id))) return -1
  const known = rules.map((rule) => (pack === undefined ? rule.id : `${rule.pack}/${rule.id}`))
  const expected = 'the id of a rule, <rule> or <pack>/<rule> (nightjar rules list shows them)'
  report({ path: here, found: `the unknown rule ${show(name)}`, expected, suggestion: nearest(name, known) })
  return -1
}

const hasRule = ({ raw }: Draft, id: string): boolean =>
  Array.isArray(raw.rules) && raw.rules.some((rule) => isObject(rule) && rule.id === id)

function override(rule: Rule, raw: Record<string, unknown>, path: JsonPath, draft: Draft, shelf: Shelf): Rule {
  let isSound = draft.isSound
  const report = (fault: Fault): void => {
    isSound = false
    draft.report(fault)
  }
  const surroundings = surroundingsOf(draft, shelf, rule.completedOn, report)
  const unless = readExceptions(raw.unless, [...path, 'unless'], draft.file, surroundings)
  const phase = readPhase(raw.phase, [...path, 'phase'], surroundings)
  const groupBy = 'groupBy' in raw ? readFields(raw.groupBy, [...path, 'groupBy'], surroundings) : rule.groupBy
  const window = readDuration(raw.window, [...path, 'window'], report) ?? rule.window
  if (groupBy.length > 0 !== window > 0 && isSound) {
    const [has, lacks] = groupBy.length > 0 ? ['groupBy', 'window'] : ['window', 'groupBy']
    const found = `"${has}" without "${lacks}", which the rule ${rule.id} doesn't have either`
    report({ path: [...path, has], found, expected: 'both' })
  }
  if (!isSound) return rule
  const { severity, enabled, tags, runbook } = raw as OverrideSource
  const added = Object.entries(tags ?? {}).map(([framework, identifiers]) => {
    return [framework, [...new Set([...(rule.tags[framework] ?? []), ...identifiers])]] satisfies [string, string[]]
  })
  return {
    ...rule,
    ...(severity !== undefined && { severity }),
    ...(enabled !== undefined && { enabled }),
    ...(runbook !== undefined && { runbook }),
    tags: { ...rule.tags, ...Object.fromEntries(added) },
    unless: [...rule.unless, ...unless],
    ...(phase && { phase }),
    groupBy,
    window,
    changedBy: [...rule.changedBy, draft.file],
  }
}
