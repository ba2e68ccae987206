/** Any alert that an event can become, for property tests. */
import fc from 'fast-check'
import { type Alert, severities } from '../../sensor/alert.ts'
import { createAlert } from '../../sensor/alerts.ts'
import { anyEvent } from '../sensor/any-event.ts'
import { hostile } from './hostile.ts'

const tags = fc.record({
  mitre: fc.subarray(['T1059', 'T1059.004', 'TA0002', 'T1071', 'nonsense']),
  owasp_nhi: fc.subarray(['NHI5']),
})

const endpoint = fc.record({ type: hostile, name: hostile, port: fc.nat(65_535) }, { requiredKeys: [] })

/** How far an identity reaches, as enrichment tells it. */
const reaching = fc.record(
  {
    spiffe_id: hostile,
    cloud: fc.array(fc.record({ provider: fc.constantFrom('aws', 'gcp'), principal: hostile }), { maxLength: 2 }),
    blast_radius: fc.record(
      {
        score: fc.nat(100),
        level: fc.constantFrom('none', 'low', 'medium', 'high', 'critical'),
        paths: fc.array(fc.record({ id: hostile, title: hostile, why: hostile, grants: fc.array(hostile) }), {
          maxLength: 5,
        }),
      },
      { requiredKeys: [] },
    ),
    reach: fc.record(
      {
        data_stores: fc.array(endpoint, { maxLength: 5 }),
        control_plane: fc.array(endpoint, { maxLength: 2 }),
        node: fc.array(fc.record({ id: hostile, title: hostile }), { maxLength: 2 }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
)

export const anyAlert: fc.Arbitrary<Alert> = fc
  .record({
    event: anyEvent,
    earlier: fc.array(anyEvent, { maxLength: 2 }),
    message: hostile,
    runbook: fc.option(fc.oneof(fc.webUrl(), hostile), { nil: undefined }),
    severity: fc.constantFrom(...severities),
    count: fc.integer({ min: 1, max: 1_000_000 }),
    tags,
    reaching,
  })
  .map(({ event, earlier, message, runbook, severity, count, tags, reaching }) => {
    const rule = { id: 'any-rule', name: 'Any rule', pack: 'any', version: '1', tags, severity, runbook }
    const seen = { count, firstSeen: event.time, lastSeen: event.time }
    // Of a rule an alert takes only these.
    const match = { rule, event, earlier, message, ...seen } as unknown as Parameters<typeof createAlert>[0]
    const alert = createAlert(match, { node: 'node-1', lostEvents: 0 })
    return { ...alert, ...(alert.identity && { identity: { ...alert.identity, ...reaching } }) }
  })
