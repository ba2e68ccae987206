import { expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { lint } from '../../rules/lint.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { prove } from '../../rules/prove.ts'
import type { Rule } from '../../rules/rule.ts'
import type { Event } from '../../sensor/event.ts'

const ruleSet = await loadRules([builtinPacks()])
const failed = (rules: Rule[]) => prove({ rules, remarks: [] }).filter(({ ok }) => !ok)

test('the shipped rules are these, and lint has nothing to say about them', async () => {
  const named = ruleSet.rules.filter(({ pack }) => pack === 'nightjar' || pack === 'sensor')
  expect(named.map(({ id, severity }) => [id, severity])).toEqual([
    ['reverse-shell', 'critical'],
    ['metadata-service-access', 'high'],
    ['unexpected-child-process', 'high'],
    ['sensor-gap', 'high'],
    ['sensor-signalled', 'critical'],
    ['sensor-traced', 'critical'],
    ['sensor-blinded', 'high'],
  ])
  expect(await lint([builtinPacks()])).toEqual([])
})

test('their tests hold; each rule has at least three that raise an alert and three that do not', () => {
  expect(failed([...ruleSet.rules])).toEqual([])
  for (const { id, tests } of ruleSet.rules) {
    expect(tests.filter(({ alerts }) => alerts > 0).length, id).toBeGreaterThanOrEqual(3)
    expect(tests.filter(({ alerts }) => alerts === 0).length, id).toBeGreaterThanOrEqual(3)
  }
})

test('the tests of a rule fail when the rule is broken: its condition turned round, or any exception taken away', () => {
  for (const rule of ruleSet.rules) {
    expect(failed([{ ...rule, when: { kind: 'not', of: rule.when } }]).length, rule.id).toBeGreaterThan(2)
    for (const [index, exception] of rule.unless.entries()) {
      const unless = rule.unless.filter((_, at) => at !== index)
      const listIsEmpty = JSON.stringify(exception.when).includes('"operands":[]')
      if (!listIsEmpty)
        expect(failed([{ ...rule, unless }]).length, `${rule.id}: ${exception.reason}`).toBeGreaterThan(0)
    }
  }
})

test('the tests of a rule fail when any part of its condition is taken away', () => {
  for (const rule of ruleSet.rules) {
    if (rule.when.kind !== 'all' && rule.when.kind !== 'any') continue
    const { kind, of } = rule.when
    for (const index of of.keys()) {
      const rest = of.filter((_, at) => at !== index)
      expect(failed([{ ...rule, when: { kind, of: rest } }]).length, `${rule.id}: ${index}`).toBeGreaterThan(0)
    }
  }
})

test('messages read as sentences, in a pod and on the host', () => {
  const messages: string[] = []
  const { judge } = createEngine(ruleSet, {
    onError: (_, error) => messages.push(String(error)),
    onSuppressed: () => undefined,
  })
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
