/** Reads packs that have been parsed: resolves their lists, and makes rules of what stands in them. Pure. */
import type { Severity } from '../sensor/alert.ts'
import { parseDuration } from '../sensor/duration.ts'
import { type EventType, eventTypes } from '../sensor/event.ts'
import { readCondition, readField, type Surroundings } from './condition.ts'
import type { Field, Scalar } from './fields.ts'
import { isObject } from './json.ts'
import { type Template, templateParts } from './message.ts'
import { type Fault, type JsonPath, jsonPath, nearest, type Problem, problemIn, show } from './problem.ts'
import type { Exception, Rule, RuleSet, RuleTest } from './rule.ts'
import { packSchema, type RuleSource } from './schema.ts'
import { shapeChecker } from './shape.ts'

/** Everything in which a value isn't a rule pack. Conditions and lists are looked at below. */
const shapeFaults = shapeChecker(packSchema)

/** A file and the JSON in it. */
export interface PackFile {
  readonly file: string
  readonly value: unknown
}

interface List {
  readonly values: Scalar[]
  readonly path: JsonPath
  used: boolean
}

interface Draft {
  readonly file: string
  readonly pack: string
  readonly version: string
  readonly raw: Readonly<Record<string, unknown>>
  readonly lists: Map<string, List>
  /** Has the shape of a pack; if not, its rules are looked through for more faults, but none is made. */
  readonly isSound: boolean
}

const isScalar = (value: unknown): value is Scalar => ['string', 'number', 'boolean'].includes(typeof value)
const isEventType = (value: unknown): value is EventType => eventTypes.some((type) => type === value)
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

export interface Reading {
  /** The rules without a fault, of packs without a fault in their shape. */
  readonly ruleSet: RuleSet
  readonly problems: Problem[]
  /** Packs whose lists others add to, and which are not among them. */
  readonly absent: readonly string[]
}

/** What stands in the packs, and everything that is wrong with them. */
export function readPacks(files: readonly PackFile[]): Reading {
  const problems: Problem[] = []
  const remarks: Problem[] = []
  const absent: string[] = []
  const drafts: Draft[] = []
  for (const { file, value } of files) {
    const faults = shapeFaults(value)
    problems.push(...faults.map((fault) => problemIn(file, fault)))
    if (!isObject(value)) continue
    const draft: Draft = {
      file,
      pack: textOf(value.pack),
      version: textOf(value.version),
      raw: value,
      lists: new Map(),
      isSound: faults.length === 0,
    }
    const twin = drafts.find((other) => other.pack === draft.pack && draft.pack !== '')
    if (twin) {
      const found = `the pack ${show(draft.pack)}, which is already in ${twin.file}`
      problems.push(problemIn(file, { path: ['pack'], found, expected: 'a name of its own for each pack' }))
    }
    drafts.push(draft)
  }
  for (const draft of drafts) readLists(draft, (fault) => problems.push(problemIn(draft.file, fault)))
  for (const draft of drafts) absent.push(...extendLists(draft, drafts, problems, remarks))
  const rules: Rule[] = []
  const seen = new Map<string, string>()
  for (const draft of drafts) {
    const raw = Array.isArray(draft.raw.rules) ? draft.raw.rules : []
    for (const [index, rule] of raw.entries()) {
      const faults: Fault[] = []
      const read = readRule(rule, ['rules', index], draft, (fault) => faults.push(fault))
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
  for (const { file, lists } of drafts) {
    for (const [name, { used, path }] of lists) {
      if (used) continue
      remarks.push(
        problemIn(file, { path, found: `the list ${name}, which no rule uses`, expected: `a rule with "@${name}"` }),
      )
    }
  }
  return { ruleSet: { rules, remarks }, problems, absent }
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

function readLists({ raw, lists }: Draft, report: (fault: Fault) => void): void {
  if (!isObject(raw.lists)) return
  for (const [name, values] of Object.entries(raw.lists)) {
    const path = ['lists', name]
    if (!name.includes('/')) lists.set(name, { values: listValues(values, path, report), path, used: false })
  }
}

/**
 * `<pack>/<list>` adds to a list of another pack: so a pack names its own agents without copying the shipped rules.
 * Gives the packs that it would add to and that aren't there.
 */
function extendLists(
  { file, raw }: Draft,
  drafts: readonly Draft[],
  problems: Problem[],
  remarks: Problem[],
): readonly string[] {
  const absent: string[] = []
  for (const [name, values] of Object.entries(isObject(raw.lists) ? raw.lists : {})) {
    const [pack = '', list = ''] = name.split('/')
    if (!name.includes('/')) continue
    const path = ['lists', name]
    const added = listValues(values, path, (fault) => problems.push(problemIn(file, fault)))
    const target = drafts.find((draft) => draft.pack === pack)
    const extended = target?.lists.get(list)
    if (extended) extended.values.push(...added)
    else if (target) {
      const known = [...target.lists.keys()].map((key) => `${pack}/${key}`)
      const expected = known.length > 0 ? `one of ${known.join(', ')}` : `a list of ${pack}, which has none`
      const found = `the unknown list ${show(name)}`
      problems.push(problemIn(file, { path, found, expected, suggestion: nearest(name, known) }))
    } else {
      absent.push(pack)
      const found = `values for a list of the pack ${show(pack)}, which is not loaded`
      remarks.push(problemIn(file, { path, found, expected: 'that pack beside this one; without it they do nothing' }))
    }
  }
  return absent
}

function readRule(raw: unknown, path: JsonPath, draft: Draft, report: (fault: Fault) => void): Rule | undefined {
  if (!isObject(raw)) return undefined
  const surroundings: Surroundings = {
    on: Array.isArray(raw.on) ? raw.on.filter(isEventType) : [],
    list: (name) => {
      const list = draft.lists.get(name)
      if (list) list.used = true
      return list?.values
    },
    listNames: () => [...draft.lists.keys()],
    report,
  }
  const when = 'when' in raw ? readCondition(raw.when, [...path, 'when'], surroundings) : undefined
  const unless = readExceptions(raw.unless, [...path, 'unless'], surroundings)
  const message = readTemplate(raw.message, [...path, 'message'], surroundings)
  const groupBy = readFields(raw.groupBy, [...path, 'groupBy'], surroundings)
  const window = readWindow(raw, path, report)
  if (when === undefined) return undefined
  const source = raw as RuleSource
  return {
    id: source.id,
    name: source.name,
    ...(source.description !== undefined && { description: source.description }),
    falsePositives: source.false_positives ?? [],
    on: source.on,
    when,
    unless,
    severity: source.severity as Severity,
    message,
    tags: { mitre: [], owasp_nhi: [], nist_csf: [], maestro: [], ...source.tags },
    ...(source.runbook !== undefined && { runbook: source.runbook }),
    enabled: source.enabled ?? true,
    groupBy,
    window,
    tests: (source.tests ?? []) as RuleTest[],
    pack: draft.pack,
    version: draft.version,
    file: draft.file,
    path,
  }
}

function readExceptions(raw: unknown, path: JsonPath, surroundings: Surroundings): Exception[] {
  if (!Array.isArray(raw)) return []
  return raw.flatMap((exception, index) => {
    if (!isObject(exception) || !('when' in exception)) return []
    const when = readCondition(exception.when, [...path, index, 'when'], surroundings)
    return when ? [{ when, reason: textOf(exception.reason) }] : []
  })
}

function readTemplate(raw: unknown, path: JsonPath, surroundings: Surroundings): Template {
  if (typeof raw !== 'string') return []
  return templateParts(raw).flatMap((part): Template => {
    if ('text' in part) return [part.text]
    if ('field' in part) {
      const field = readField(part.field, path, surroundings)
      return field ? [field] : []
    }
    const expected = `a field in braces such as {process.name}, or ${part.stray}${part.stray} for the brace itself`
    surroundings.report({ path, found: `a single ${part.stray} in ${show(raw)}`, expected })
    return []
  })
}

function readFields(raw: unknown, path: JsonPath, surroundings: Surroundings): Field[] {
  if (!Array.isArray(raw)) return []
  return raw.flatMap((name, index) => {
    return typeof name === 'string' ? (readField(name, [...path, index], surroundings) ?? []) : []
  })
}

function readWindow(raw: Record<string, unknown>, path: JsonPath, report: (fault: Fault) => void): number {
  const hasGroups = 'groupBy' in raw
  if (hasGroups !== 'window' in raw) {
    const [has, lacks] = hasGroups ? ['groupBy', 'window'] : ['window', 'groupBy']
    report({
      path: [...path, has],
      found: `"${has}" without "${lacks}"`,
      expected: `both: "${lacks}" says how far to fold`,
    })
    return 0
  }
  const milliseconds = parseDuration(textOf(raw.window))
  if (milliseconds === 0) {
    report({
      path: [...path, 'window'],
      found: show(raw.window),
      expected: 'a duration longer than nothing, such as 10m',
    })
  }
  return milliseconds ?? 0
}
