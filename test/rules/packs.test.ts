import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Condition } from '../../rules/condition.ts'
import { createEngine } from '../../rules/engine.ts'
import { lint } from '../../rules/lint.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { prove } from '../../rules/prove.ts'
import type { Rule } from '../../rules/rule.ts'
import type { Event } from '../../sensor/event.ts'

const ruleSet = await loadRules([builtinPacks()])
const failed = (rules: Rule[]) => prove({ rules, remarks: [] }).filter(({ ok }) => !ok)

const nightjar = ruleSet.rules.filter(({ pack }) => pack === 'nightjar')

test('each file holds the pack of its name, and lint has nothing to say about any of them', async () => {
  for (const { pack, file } of ruleSet.rules) expect(file).toBe(join(builtinPacks(), `${pack}.json`))
  expect(await lint([builtinPacks()])).toEqual([])
})

test('the rules of the packs nightjar and sensor are these', () => {
  const first = ruleSet.rules.filter(({ pack }) => pack === 'nightjar' || pack === 'sensor')
  expect(first.map(({ id, severity }) => [id, severity])).toEqual([
    ['reverse-shell', 'critical'],
    ['metadata-service-access', 'high'],
    ['unexpected-child-process', 'high'],
    ['sensor-gap', 'high'],
    ['sensor-signalled', 'critical'],
    ['sensor-traced', 'critical'],
    ['sensor-blinded', 'high'],
  ])
})

test('their tests hold; each rule has at least two that raise an alert and two that do not', () => {
  expect(failed([...ruleSet.rules])).toEqual([])
  for (const { id, tests } of ruleSet.rules) {
    expect(tests.filter(({ alerts }) => alerts > 0).length, id).toBeGreaterThanOrEqual(2)
    expect(tests.filter(({ alerts }) => alerts === 0).length, id).toBeGreaterThanOrEqual(2)
  }
})

/** The rule with another condition in each place that it has one: in `when`, or in each step of its sequence. */
function* changed(rule: Rule, change: (condition: Condition) => Iterable<Condition>): Generator<Rule> {
  const { sequence } = rule
  if (sequence === undefined) for (const when of change(rule.when)) yield { ...rule, when }
  for (const [at, step] of sequence?.steps.entries() ?? []) {
    for (const when of change(step.when)) {
      const steps = sequence?.steps.with(at, { ...step, when }) ?? []
      // Its clues no longer fit: a condition that always holds has none.
      yield { ...rule, when: { kind: 'all', of: [] }, sequence: sequence && { ...sequence, steps } }
    }
  }
}

/** The rules whose tests are as content with the broken rule as with the whole one. */
const unnoticed = (broken: Iterable<Rule>, what: string): string[] =>
  [...broken].flatMap((rule, index) => (failed([rule]).length === 0 ? `${rule.id}: ${what} ${index}` : []))

test('the tests of a rule fail when its condition is turned round', () => {
  const turned = (of: Condition): Condition[] => [{ kind: 'not', of }]
  expect(ruleSet.rules.flatMap((rule) => unnoticed(changed(rule, turned), 'condition'))).toEqual([])
})

test('the tests of a rule fail when any part of its condition is taken away', () => {
  const lacking = (condition: Condition): Condition[] => {
    if (condition.kind !== 'all' && condition.kind !== 'any') return []
    const { kind, of } = condition
    return of.map((_, index) => ({ kind, of: of.toSpliced(index, 1) }))
  }
  expect(ruleSet.rules.flatMap((rule) => unnoticed(changed(rule, lacking), 'part'))).toEqual([])
})

test('the tests of a rule fail when any of its exceptions is taken away, but for those by lists that users fill', () => {
  const lacking = (rule: Rule): Rule[] =>
    rule.unless.flatMap(({ when }, index) =>
      JSON.stringify(when).includes('"operands":[]') ? [] : { ...rule, unless: rule.unless.toSpliced(index, 1) },
    )
  expect(ruleSet.rules.flatMap((rule) => unnoticed(lacking(rule), 'exception'))).toEqual([])
})

test('messages read as sentences, in a pod and on the host', () => {
  const messages: string[] = []
  const { judge } = createEngine(
    { rules: nightjar, remarks: [] },
    {
      onError: (_, error) => messages.push(String(error)),
      onSuppressed: () => undefined,
    },
  )
  const peer = { ip: '203.0.113.9', port: 4444 }
  const events: Event[] = [
    {
      type: 'exec',
      time: 0,
      process: {
        name: 'dash',
        command_line: 'sh -i',
        stdin: { type: 'socket', peer },
        stdout: { type: 'socket', peer },
        ancestors: [{ name: 'nc.traditional' }],
      },
      identity: { subject: 'system:serviceaccount:shop:cart' },
    },
    {
      type: 'connect',
      time: 0,
      process: { name: 'curl', command_line: 'curl http://169.254.169.254/' },
      destination: { ip: '169.254.169.254', port: 80 },
      identity: { subject: 'user:root' },
    },
    { type: 'exec', time: 0, process: { name: 'curl', command_line: 'curl x', ancestors: [{ name: 'nginx' }] } },
    { type: 'gap', time: 0, gap: { reason: 'probe_exited', seconds: 1.5, lost_events: 0, detail: 'killed' } },
  ]
  for (const event of events) messages.push(...judge(event).map(({ message }) => message))
  expect(messages).toEqual([
    'dash (started by nc.traditional) takes its commands from 203.0.113.9 port 4444, as system:serviceaccount:shop:cart: sh -i',
    'curl asked the cloud metadata service at 169.254.169.254 port 80, as user:root: curl http://169.254.169.254/',
    'nginx started curl, as ?: curl x',
    'The sensor was blind or lost events (probe_exited): 1.5 s without events, 0 events lost. killed',
  ])
})
