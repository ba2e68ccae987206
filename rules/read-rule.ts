/** Reads one rule of a pack: from what stands in the file to what can be compiled. */
import type { Severity } from '../sensor/alert.ts'
import type { EventType } from '../sensor/event.ts'
import { type Draft, type Shelf, surroundingsOf } from './draft.ts'
import { isObject } from './json.ts'
import type { Fault, JsonPath } from './problem.ts'
import { readDuration, readExceptions, readFields, readPhase, readSized, readTemplate } from './read-parts.ts'
import { readSequence, readThreshold, typesIn, whenOf } from './read-stateful.ts'
import type { Rule, RuleTest, Sequence } from './rule.ts'
import type { RuleSource } from './schema.ts'

/** The rule, or undefined if there is none to speak of; every fault has been reported. */
export function readRule(
  raw: unknown,
  path: JsonPath,
  draft: Draft,
  shelf: Shelf,
  report: (fault: Fault) => void,
): Rule | undefined {
  if (!isObject(raw)) return undefined
  const around = (on: readonly EventType[]) => surroundingsOf(draft, shelf, on, report)
  const found = 'sequence' in raw ? readSteps(raw, path, around, report) : readPlain(raw, path, around, report)
  const surroundings = around(found?.completedOn ?? typesIn(raw.on))
  const unless = readExceptions(raw.unless, [...path, 'unless'], draft.file, surroundings)
  const phase = readPhase(raw.phase, [...path, 'phase'], surroundings)
  const message = readTemplate(raw.message, [...path, 'message'], surroundings)
  const groupBy = readFields(raw.groupBy, [...path, 'groupBy'], surroundings)
  const window = readWindow(raw, path, report)
  if (found === undefined) return undefined
  const source = raw as RuleSource
  return {
    id: source.id,
    name: source.name,
    ...(source.description !== undefined && { description: source.description }),
    falsePositives: source.false_positives ?? [],
    ...found,
    unless,
    ...(phase && { phase }),
    severity: source.severity as Severity,
    message,
    tags: { mitre: [], owasp_nhi: [], nist_csf: [], maestro: [], ...source.tags },
    ...(source.runbook !== undefined && { runbook: source.runbook }),
    enabled: source.enabled ?? true,
    groupBy,
    window: window ?? 0,
    tests: (source.tests ?? []) as RuleTest[],
    pack: draft.pack,
    version: draft.version,
    file: draft.file,
    path,
    changedBy: [],
  }
}

type Found = Pick<Rule, 'on' | 'completedOn' | 'when' | 'sequence' | 'threshold'>
type Around = Parameters<typeof readSequence>[2]

/** A rule about one event, or about so many of them. */
function readPlain(
  raw: Record<string, unknown>,
  path: JsonPath,
  around: Around,
  report: (fault: Fault) => void,
): Found | undefined {
  const expected = { on: '"on": an array of event types', when: '"when": a condition' }
  for (const key of ['on', 'when'] as const) {
    if (!(key in raw)) report({ path, found: `no "${key}"`, expected: `${expected[key]}; or a "sequence"` })
  }
  const on = typesIn(raw.on)
  const when = 'when' in raw ? readSized(raw.when, [...path, 'when'], around(on)) : undefined
  const threshold = 'threshold' in raw ? readThreshold(raw.threshold, [...path, 'threshold'], around(on)) : undefined
  return when && { on, completedOn: on, when, ...(threshold && { threshold }) }
}

/** A rule about several events, one after the other. */
function readSteps(
  raw: Record<string, unknown>,
  path: JsonPath,
  around: Around,
  report: (fault: Fault) => void,
): Found | undefined {
  for (const key of ['on', 'when', 'threshold']) {
    const expected = 'one of the two: each step of a sequence has its own "on" and "when"'
    if (key in raw) report({ path: [...path, key], found: `"${key}" beside "sequence"`, expected })
  }
  const sequence: Sequence | undefined = readSequence(raw.sequence, [...path, 'sequence'], around, report)
  if (sequence === undefined) return undefined
  const on = [...new Set(sequence.steps.flatMap((step) => step.on))]
  return {
    on,
    completedOn: sequence.steps.findLast(({ negated }) => !negated)?.on ?? [],
    when: whenOf(sequence),
    sequence,
  }
}

/** Milliseconds; undefined where there is none. */
function readWindow(raw: Record<string, unknown>, path: JsonPath, report: (fault: Fault) => void): number | undefined {
  const hasGroups = 'groupBy' in raw
  if (hasGroups !== 'window' in raw) {
    const [has, lacks] = hasGroups ? ['groupBy', 'window'] : ['window', 'groupBy']
    report({
      path: [...path, has],
      found: `"${has}" without "${lacks}"`,
      expected: `both: "${lacks}" says how far to fold`,
    })
    return undefined
  }
  return readDuration(raw.window, [...path, 'window'], report)
}
