/** Runs the tests that rules carry: each on an engine of its own, so that no test leans on another. */
import type { Event } from '../sensor/event.ts'
import { createEngine } from './engine.ts'
import { jsonPath } from './problem.ts'
import type { Rule, RuleSet, RuleTest } from './rule.ts'

export interface Proof {
  readonly rule: string
  readonly test: string
  readonly file: string
  /** JSON path of the rule. */
  readonly path: string
  /** How many alerts the test expects, and how many there were. */
  readonly expected: number
  readonly got: number
  readonly ok: boolean
  /** Why the rule gave up, if it did. */
  readonly error?: string
}

/** A year that nothing else happens in; only the distances matter. */
const start = Date.UTC(2020)
const second = 1000

/** Whole events from the parts that matter to the test. */
function* eventsOf(rule: Rule, test: RuleTest): Generator<Event> {
  const [type = 'exec'] = rule.on
  let time = start
  for (const part of test.events) {
    time = part.time ?? time + second
    yield { type, ...part, time }
  }
}

function proveTest(rule: Rule, test: RuleTest): Proof {
  const errors: unknown[] = []
  const engine = createEngine(
    { rules: [{ ...rule, enabled: true }], remarks: [] },
    { onError: (_, error) => errors.push(error), onSuppressed: () => undefined },
  )
  let got = 0
  for (const event of eventsOf(rule, test)) got += engine.judge(event).length
  // Nothing comes after the last of them.
  got += engine.advance(Infinity).length
  return {
    rule: rule.id,
    test: test.name,
    file: rule.file,
    path: jsonPath(rule.path),
    expected: test.alerts,
    got,
    ok: got === test.alerts && errors.length === 0,
    ...(errors.length > 0 && { error: String(errors[0]) }),
  }
}

/** The results of all tests of all rules, in their order; rules that are not enabled are tested as well. */
export function prove({ rules }: RuleSet): Proof[] {
  return rules.flatMap((rule) => rule.tests.map((test) => proveTest(rule, test)))
}
