/** Reads packs that have been parsed: resolves their lists, and makes rules of what stands in them. Pure. */
import { type Draft, readMacros, type Shelf } from './draft.ts'
import type { Scalar } from './fields.ts'
import { isObject } from './json.ts'
import { applyOverrides } from './override.ts'
import { type Fault, type JsonPath, jsonPath, nearest, type Problem, problemIn, show } from './problem.ts'
import { textOf } from './read-parts.ts'
import { readRule } from './read-rule.ts'
import type { Rule, RuleSet } from './rule.ts'
import { packSchema } from './schema.ts'
import { shapeChecker } from './shape.ts'

/** Everything in which a value isn't a rule pack. Conditions and lists are looked at below. */
const shapeFaults = shapeChecker(packSchema)

/** A file and the JSON in it. */
export interface PackFile {
  readonly file: string
  readonly value: unknown
}

const isScalar = (value: unknown): value is Scalar => ['string', 'number', 'boolean'].includes(typeof value)

export interface Reading {
  /** The rules without a fault, of packs without a fault in their shape. */
  readonly ruleSet: RuleSet
  readonly problems: Problem[]
  /** Packs that these lean on, and which are not among them. */
  readonly absent: readonly string[]
}

/** What stands in the packs, and everything that is wrong with it. */
export function readPacks(files: readonly PackFile[]): Reading {
  const problems: Problem[] = []
  const remarks: Problem[] = []
  const shelf: Shelf = { drafts: readDrafts(files, problems), absent: new Set() }
  for (const draft of shelf.drafts) readLists(draft)
  for (const draft of shelf.drafts) extendLists(draft, shelf, remarks)
  for (const draft of shelf.drafts) readMacros(draft, shelf)
  const rules = applyOverrides(readRules(shelf, problems), shelf, remarks)
  for (const draft of shelf.drafts) remarks.push(...unused(draft))
  return { ruleSet: { rules, remarks }, problems, absent: [...shelf.absent] }
}

function readDrafts(files: readonly PackFile[], problems: Problem[]): Draft[] {
  const drafts: Draft[] = []
  for (const { file, value } of files) {
    const faults = shapeFaults(value)
    const report = (fault: Fault) => void problems.push(problemIn(file, fault))
    for (const fault of faults) report(fault)
    if (!isObject(value)) continue
    const macros = Object.entries(isObject(value.macros) ? value.macros : {}).map(
      ([name, raw]) => [name, { raw, path: ['macros', name], used: false, state: 'unread' }] as const,
    )
    const draft: Draft = {
      file,
      pack: textOf(value.pack),
      version: textOf(value.version),
      raw: value,
      lists: new Map(),
      macros: new Map(macros),
      isSound: faults.length === 0,
      report,
    }
    const twin = drafts.find((other) => other.pack === draft.pack && draft.pack !== '')
    if (twin) {
      const found = `the pack ${show(draft.pack)}, which is already in ${twin.file}`
      report({ path: ['pack'], found, expected: 'a name of its own for each pack' })
    }
    drafts.push(draft)
  }
  return drafts
}

function readRules(shelf: Shelf, problems: Problem[]): Rule[] {
  const rules: Rule[] = []
  const seen = new Map<string, string>()
  for (const draft of shelf.drafts) {
    const raw = Array.isArray(draft.raw.rules) ? draft.raw.rules : []
    for (const [index, rule] of raw.entries()) {
      const faults: Fault[] = []
      const read = readRule(rule, ['rules', index], draft, shelf, (fault) => faults.push(fault))
      const twin = seen.get(textOf(rule?.id))
      if (twin !== undefined) {
        const found = `the id ${show(rule.id)}, which ${twin} has too`
        faults.push({ path: ['rules', index, 'id'], found, expected: 'an id of its own for each rule' })
      }
      if (textOf(rule?.id) !== '') seen.set(rule.id, `${draft.file} at ${jsonPath(['rules', index])}`)
      problems.push(...faults.map((fault) => problemIn(draft.file, fault)))
      if (read && draft.isSound && faults.length === 0) rules.push(read)
    }
  }
  return rules
}

function unused({ file, lists, macros }: Draft): Problem[] {
  const idle = <T extends { used: boolean }>(named: Map<string, T>) => [...named].filter(([, { used }]) => !used)
  return [
    ...idle(lists).map(([name, { path }]) =>
      problemIn(file, { path, found: `the list ${name}, which no rule uses`, expected: `a rule with "@${name}"` }),
    ),
    ...idle(macros).map(([name, { path }]) => {
      const expected = `a rule with { "macro": "${name}" }`
      return problemIn(file, { path, found: `the macro ${name}, which no rule uses`, expected })
    }),
  ]
}

/** A list holds scalars, or `{ "value": .., "note": ".." }` where a value wants explaining. */
function listValues(raw: unknown, path: JsonPath, report: (fault: Fault) => void): Scalar[] {
  if (!Array.isArray(raw)) return []
  return raw.flatMap((entry, index) => {
    const value = isObject(entry) ? entry.value : entry
    const isNoted = isObject(entry) && typeof entry.note === 'string' && Object.keys(entry).length === 2
    if (isScalar(value) && (isNoted || !isObject(entry))) return [value]
    const expected = 'a text, a number, or { "value": .., "note": "what it is" }'
    report({ path: [...path, index], found: show(entry), expected })
    return []
  })
}

function readLists({ raw, lists, report }: Draft): void {
  if (!isObject(raw.lists)) return
  for (const [name, values] of Object.entries(raw.lists)) {
    const path = ['lists', name]
    if (!name.includes('/')) lists.set(name, { values: listValues(values, path, report), path, used: false })
  }
}

/** `<pack>/<list>` adds to a list of another pack: so a pack names its own agents without copying the shipped rules. */
function extendLists({ file, raw, report }: Draft, { drafts, absent }: Shelf, remarks: Problem[]): void {
  for (const [name, values] of Object.entries(isObject(raw.lists) ? raw.lists : {})) {
    const [pack = '', list = ''] = name.split('/')
    if (!name.includes('/')) continue
    const path = ['lists', name]
    const added = listValues(values, path, report)
    const target = drafts.find((draft) => draft.pack === pack)
    const extended = target?.lists.get(list)
    if (extended) extended.values.push(...added)
    else if (target) {
      const known = [...target.lists.keys()].map((key) => `${pack}/${key}`)
      const expected = known.length > 0 ? `one of ${known.join(', ')}` : `a list of ${pack}, which has none`
      report({ path, found: `the unknown list ${show(name)}`, expected, suggestion: nearest(name, known) })
    } else {
      absent.add(pack)
      const found = `values for a list of the pack ${show(pack)}, which is not loaded`
      remarks.push(problemIn(file, { path, found, expected: 'that pack beside this one; without it they do nothing' }))
    }
  }
}
