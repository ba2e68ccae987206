/** What is wrong with rule files (errors: they can't be used), and what an author should look at again (warnings). */
import type { Condition } from './condition.ts'
import { canHold, deadBranches } from './dead.ts'
import { dearness } from './explain.ts'
import { sentForRule } from './kernel.ts'
import { inspectBeside } from './load.ts'
import { excludes } from './phase.ts'
import { type JsonPath, type Problem, problemIn } from './problem.ts'
import type { Rule } from './rule.ts'
import { inWords } from './words.ts'

export interface Finding extends Problem {
  readonly severity: 'error' | 'warning'
}

interface Check {
  readonly holds: (rule: Rule) => boolean
  readonly found: string
  readonly expected: string
}

/** What a rule should have beyond what it must. */
const checks: readonly Check[] = [
  {
    holds: (rule) => rule.tests.some((test) => test.alerts > 0),
    found: 'no test that raises an alert',
    expected: '"tests" to show an event that the rule catches',
  },
  {
    holds: (rule) => rule.tests.some((test) => test.alerts === 0),
    found: 'no test that raises none',
    expected: '"tests" to show ordinary work that the rule leaves alone',
  },
  {
    holds: (rule) => rule.description !== undefined,
    found: 'no "description"',
    expected: 'what the rule detects, and by which facts',
  },
  {
    holds: (rule) => rule.falsePositives.length > 0,
    found: 'no "false_positives"',
    expected: 'the ordinary work that may match',
  },
  {
    holds: (rule) => Object.values(rule.tags).some((identifiers) => identifiers.length > 0),
    found: 'no "tags"',
    expected: 'where the rule stands in ATT&CK or another framework',
  },
  {
    holds: (rule) => rule.runbook !== undefined,
    found: 'no "runbook"',
    expected: 'what to do when the rule raises an alert',
  },
]

function warningsOf(rule: Rule): Problem[] {
  return checks
    .filter((check) => !check.holds(rule))
    .map(({ found, expected }) =>
      problemIn(rule.file, { path: rule.path, found: `${found} in rule ${rule.id}`, expected }),
    )
}

const day = 24 * 60 * 60 * 1000
const soon = 30 * day

/** Exceptions that no longer hold, and those that won't in 30 days. */
function expiring(rule: Rule, now: number): Problem[] {
  return rule.unless.flatMap(({ expires, owner, reason, file, path }) => {
    if (expires === undefined || expires > now + soon) return []
    const when = new Date(expires).toISOString().replace('.000Z', 'Z')
    const found =
      expires <= now
        ? `an exception of rule ${rule.id} that has no effect since ${when}`
        : `an exception of rule ${rule.id} that expires in ${Math.ceil((expires - now) / day)} days, at ${when}`
    const asked = owner === undefined ? '' : ` (ask ${owner})`
    const expected = `a later date if this still holds: ${reason}${asked}; else no such exception`
    return problemIn(file, { path: [...path, 'expires'], found, expected })
  })
}

/** What can never happen: no event, none of one type, or an alternative that no event meets. */
function dead(rule: Rule): Problem[] {
  const { id, on, when, unless, file, path } = rule
  const at: JsonPath = [...path, rule.sequence ? 'sequence' : 'when']
  const problem = (found: string, expected: string) => problemIn(file, { path: at, found, expected })
  const steps = rule.sequence?.steps ?? [{ on, when, negated: false }]
  const problems = steps.flatMap((step) => {
    const idle = step.on.filter((type) => !canHold(step.when, type))
    const whole = inWords(step.when).join(' ')
    if (idle.length === step.on.length) {
      return problem(`a condition of rule ${id} that no event meets: ${whole}`, 'parts that do not exclude each other')
    }
    return [
      ...idle.map((type) =>
        problem(`events of type ${type} in rule ${id}, none of which meets its condition`, `"on" without ${type}`),
      ),
      ...[...deadBranches(step.when, step.on)].map((branch) =>
        problem(
          `an alternative in rule ${id} that no event meets: ${inWords(branch).join(' ')}`,
          'it to be corrected or removed',
        ),
      ),
    ]
  })
  const canBe = (condition: Condition) => rule.completedOn.some((type) => canHold(condition, type, 'open'))
  const idleExceptions = unless.filter((one) => !canBe(one.when))
  // Of a sequence the exceptions are asked about its last event, which more than one step may be about.
  const strayExceptions = unless.filter((one) => {
    const beside: Condition = { kind: 'all', of: [when, one.when] }
    return !rule.sequence && !idleExceptions.includes(one) && canBe(when) && !canBe(beside)
  })
  const idleByPhase = unless.filter((one) => one.phase && rule.phase && excludes(one.phase, rule.phase))
  return [
    ...problems,
    ...idleByPhase.map((one) =>
      problemIn(one.file, {
        path: [...one.path, 'phase'],
        found: `an exception of rule ${id} for a phase in which the rule never matches`,
        expected: 'no such exception, or another phase for one of the two',
      }),
    ),
    ...strayExceptions.map((one) =>
      problemIn(one.file, {
        path: [...one.path, 'when'],
        found: `an exception of rule ${id} for what the rule never matches: ${inWords(one.when).join(' ')}`,
        expected: 'what the rule matches, and should not; else no such exception',
      }),
    ),
    ...idleExceptions.map((one) =>
      problemIn(one.file, {
        path: [...one.path, 'when'],
        found: `an exception of rule ${id} that no event meets: ${inWords(one.when).join(' ')}`,
        expected: 'it to be corrected or removed',
      }),
    ),
  ]
}

/** What makes the kernel slow: where it can't tell by a name which opens a rule is about, it sends them all. */
function everyOpen(rule: Rule): Problem[] {
  return sentForRule(rule)
    .filter(({ cost }) => cost === 'every open')
    .map(({ words, cost_words }) =>
      problemIn(rule.file, {
        path: rule.path,
        found: `rule ${rule.id}, for which the kernel sends ${words.join('; or ')}: ${cost_words}`,
        expected:
          'a name that the kernel can look for, in each alternative: file.name, file.path or file.directory with equals, in, startsWith a directory or endsWith from a slash on; or file.access for changes alone',
      }),
    )
}

/** What makes the sensor slow. */
function dear(rule: Rule): Problem[] {
  const found = dearness(rule)
  if (found === undefined) return []
  return [
    problemIn(rule.file, {
      path: rule.path,
      found: `rule ${rule.id}, which searches ${found.field.name} of every ${found.type} event`,
      expected:
        'a constant that must be there as well (equals, in, startsWith), such as the name of the program, and before the search',
    }),
  ]
}

/** What an author should look at again in one rule. `now` is Unix time in milliseconds. */
export const lintRule = (rule: Rule, now: number): Problem[] => [
  ...warningsOf(rule),
  ...expiring(rule, now),
  ...dead(rule),
  ...dear(rule),
  ...everyOpen(rule),
]

/**
 * Everything there is to say about the rules in these files and folders. Never throws for what it reads. `now` is Unix
 * time in milliseconds: exceptions expire.
 */
export async function lint(paths: readonly string[], now: number = Date.now()): Promise<Finding[]> {
  const { ruleSet, problems, isOurs } = await inspectBeside(paths)
  const warnings = [...ruleSet.remarks, ...ruleSet.rules.flatMap((rule) => lintRule(rule, now))]
  return [
    ...problems.filter(isOurs).map((problem) => ({ ...problem, severity: 'error' as const })),
    ...warnings.filter(isOurs).map((problem) => ({ ...problem, severity: 'warning' as const })),
  ]
}
