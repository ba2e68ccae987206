import { Ajv } from 'ajv'
import formatsPlugin from 'ajv-formats'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Match } from '../../rules/engine.ts'
import type { Rule } from '../../rules/rule.ts'
import { Alert, type Severity, severities } from '../../sensor/alert.ts'
import { createAlert, rfc3339 } from '../../sensor/alerts.ts'
import type { Event } from '../../sensor/event.ts'
import { version } from '../../sensor/version.ts'
import { anyEvent } from './any-event.ts'

/** The schema with every object closed, at every level: an alert holds nothing that the schema does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  return 'properties' in copy ? { ...copy, additionalProperties: false } : copy
}
const ajv = new Ajv({ allErrors: true, strictTypes: false })
ajv.addVocabulary(['n'])
formatsPlugin.default(ajv)
const validate = ajv.compile(closed(Alert) as object)

const expectValid = (alert: unknown) => {
  // As it leaves the sensor: JSON has no undefined.
  const sent = JSON.parse(JSON.stringify(alert))
  validate(sent)
  expect(validate.errors ?? []).toEqual([])
}

const rule: Rule = {
  id: 'reverse-shell',
  name: 'Reverse shell',
  pack: 'nightjar',
  version: '0.1.0',
  tags: { mitre: ['T1059.004'], owasp_nhi: [] },
  severity: 'critical',
  ...{
    on: ['exec'],
    completedOn: ['exec'],
    changedBy: [],
    when: { kind: 'all', of: [] },
    unless: [],
    falsePositives: [],
    tests: [],
  },
  ...{ message: [], groupBy: [], window: 0, enabled: true, file: 'nightjar.json', path: [] },
}

const matchOf = (event: Event, changes: Partial<Match> = {}): Match => {
  return {
    rule,
    event,
    earlier: [],
    message: 'a shell',
    count: 1,
    firstSeen: event.time,
    lastSeen: event.time,
    ...changes,
  }
}
const sensor = { node: 'node-1', lostEvents: 7 }
const time = Date.UTC(2026, 2, 1, 12, 34, 56, 789)

describe('the strict schema of these tests', () => {
  test('refuses a key too many, wherever it is', () => {
    const alert = createAlert(matchOf({ type: 'exec', time, process: { ancestors: [{ pid: 1 }] } }), sensor)
    expectValid(alert)
    for (const extra of [
      { ...alert, extra: 1 },
      { ...alert, rule: { ...alert.rule, extra: 1 } },
      { ...alert, process: { ...alert.process, extra: 1 } },
      { ...alert, process: { ancestors: [{ extra: 1 }] } },
      { ...alert, k8s: { pod: { extra: 1 } } },
    ])
      expect(validate(extra)).toBe(false)
  })
})

describe('an alert', () => {
  test('of any event that there can be fits the published schema, with nothing beside it', () => {
    fc.assert(fc.property(anyEvent, (event) => expectValid(createAlert(matchOf(event), sensor))))
  })

  test('of an event with next to nothing fits it too, and makes nothing up', () => {
    const alert = createAlert(matchOf({ type: 'gap', time }), sensor)
    expectValid(alert)
    expect(Object.keys(alert).toSorted()).toEqual([
      ...['count', 'event', 'first_seen', 'id', 'last_seen', 'message', 'priority', 'rule', 'schema', 'sensor'],
      ...['severity', 'time'],
    ])
  })

  test('never holds null', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const nulls: string[] = []
        JSON.stringify(createAlert(matchOf(event), sensor), (key, value) => {
          if (value === null) nulls.push(key)
          return value
        })
        expect(nulls).toEqual([])
      }),
    )
  })

  test('tells what the event told, word for word', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const alert = createAlert(matchOf(event), sensor)
        const { type, time: _, process, container, ...rest } = event
        expect(alert).toMatchObject(rest)
        const { start_time: __, ...told } = container ?? {}
        if (container) expect(alert.container).toMatchObject(told)
        expect(alert.event).toEqual({ type })
        expect(alert.process?.command_args).toEqual(process?.command_args)
        expect(alert.process?.ancestors?.map(({ name }) => name)).toEqual(process?.ancestors?.map(({ name }) => name))
      }),
    )
  })

  test('has the times of the container, of the process and of its ancestors in RFC 3339, of none that has no start time', () => {
    const at = (container: object) => createAlert(matchOf({ type: 'exec', time, container }), sensor).container
    expect(at({ id: 'x', start_time: time })).toEqual({ id: 'x', start_time: '2026-03-01T12:34:56.789000Z' })
    expect(at({ id: 'x' })).toEqual({ id: 'x' })
    const ancestors = [{ pid: 2, start_time: time - 1000.5 }, { pid: 1 }]
    const alert = createAlert(matchOf({ type: 'exec', time, process: { start_time: time, ancestors } }), sensor)
    expect(alert.process).toEqual({
      start_time: '2026-03-01T12:34:56.789000Z',
      ancestors: [{ pid: 2, start_time: '2026-03-01T12:34:55.788500Z' }, { pid: 1 }],
    })
  })

  test('says which rule, which sensor, how often and since when', () => {
    const match = matchOf({ type: 'exec', time }, { count: 3, firstSeen: time - 60_000, lastSeen: time + 0.25 })
    expect(createAlert(match, sensor)).toMatchObject({
      schema: 'nightjar.dev/alert/v1',
      time: '2026-03-01T12:34:56.789000Z',
      rule: {
        id: 'reverse-shell',
        name: 'Reverse shell',
        pack: 'nightjar',
        version: '0.1.0',
        tags: { mitre: ['T1059.004'], owasp_nhi: [] },
      },
      severity: 'critical',
      message: 'a shell',
      event: { type: 'exec' },
      count: 3,
      first_seen: '2026-03-01T12:33:56.789000Z',
      last_seen: '2026-03-01T12:34:56.789250Z',
      sensor: { version, node: 'node-1', lost_events: 7 },
    })
  })

  test('of a sequence tells the steps before, oldest first; of another rule it has none', () => {
    const event: Event = { type: 'exec', time, process: { name: 'sh' } }
    const before: Event = { type: 'connect', time: time - 1, process: { pid: 7, start_time: time - 2 } }
    const alert = createAlert(matchOf(event, { earlier: [{ ...before, destination: { ip: '192.0.2.1' } }] }), sensor)
    expectValid(alert)
    expect(alert.earlier).toEqual([
      {
        event: { type: 'connect' },
        time: '2026-03-01T12:34:56.788000Z',
        process: { pid: 7, start_time: '2026-03-01T12:34:56.787000Z' },
        destination: { ip: '192.0.2.1' },
      },
    ])
    expect(createAlert(matchOf(event), sensor)).not.toHaveProperty('earlier')
  })

  test('has a runbook if the rule has one', () => {
    const runbook = 'https://runbooks.example/x'
    const event: Event = { type: 'exec', time }
    expect(createAlert(matchOf(event, { rule: { ...rule, runbook } }), sensor)).toMatchObject({ runbook })
    expect(createAlert(matchOf(event), sensor)).not.toHaveProperty('runbook')
  })

  test('has an id of its own that sorts by time', () => {
    const ids = [0, 1, 2].map((at) => createAlert(matchOf({ type: 'exec', time: time + at }), sensor).id)
    expect(ids).toEqual(ids.toSorted())
    const twins = Array.from({ length: 1000 }, () => createAlert(matchOf({ type: 'exec', time }), sensor).id)
    expect(new Set(twins).size).toBe(1000)
  })

  test('has a priority that weighs its severity with the blast radius, and never puts it behind a lesser severity', () => {
    const priority = (severity: Severity, score?: number) =>
      createAlert(
        matchOf(
          { type: 'exec', time, ...(score !== undefined && { identity: { blast_radius: { score } } }) },
          { rule: { ...rule, severity } },
        ),
        sensor,
      ).priority
    expect([0, 50, undefined, 100].map((score) => priority('critical', score))).toEqual([80, 90, 90, 100])
    expect([0, 25, 50, undefined, 100].map((score) => priority('info', score))).toEqual([0, 5, 10, 10, 20])
    for (const [at, severity] of severities.entries()) {
      const next = severities[at + 1]
      if (next) expect(priority(severity, 0)).toBeGreaterThanOrEqual(priority(next, 100))
    }
  })

  test('of a graver rule has the higher priority', () => {
    const priorities = severities.map(
      (severity) => createAlert(matchOf({ type: 'exec', time }, { rule: { ...rule, severity } }), sensor).priority,
    )
    expect(priorities).toEqual(priorities.toSorted((a, b) => b - a))
    expect(new Set(priorities).size).toBe(severities.length)
  })

  test('leaves the event as it was', () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const before = structuredClone(event)
        createAlert(matchOf(event), sensor)
        expect(event).toEqual(before)
      }),
    )
  })
})

describe('RFC 3339', () => {
  test.each([
    [0, '1970-01-01T00:00:00.000000Z'],
    [time, '2026-03-01T12:34:56.789000Z'],
    [time + 0.126, '2026-03-01T12:34:56.789126Z'],
    [time + 0.999, '2026-03-01T12:34:56.789999Z'],
    [time + 0.9997, '2026-03-01T12:34:56.790000Z'],
    [Date.UTC(2026, 11, 31, 23, 59, 59, 999) + 0.9997, '2027-01-01T00:00:00.000000Z'],
    [253_402_300_799_999, '9999-12-31T23:59:59.999000Z'],
  ])('%f ms is %s', (milliseconds, text) => {
    expect(rfc3339(milliseconds)).toBe(text)
  })

  test('keeps every microsecond of a time of this century', () => {
    const milliseconds = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2099, 11, 31) })
    fc.assert(
      fc.property(milliseconds, fc.nat(999), (milliseconds, microseconds) => {
        const text = rfc3339(milliseconds + microseconds / 1000)
        expect(Date.parse(text)).toBe(milliseconds)
        expect(text).toMatch(new RegExp(`${String(microseconds).padStart(3, '0')}Z$`))
      }),
      { numRuns: 1000 },
    )
  })

  test('sorts as the times do', () => {
    const time = fc.double({ min: 0, max: 4e12, noNaN: true })
    fc.assert(
      fc.property(time, time, (one, other) => {
        const [first, second] = [Math.min(one, other), Math.max(one, other)]
        expect(rfc3339(first) <= rfc3339(second)).toBe(true)
      }),
    )
  })
})
