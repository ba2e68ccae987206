/** The alert: what leaves the sensor. `schema` names this version of the shape; changing it breaks receivers. */

import { Container, Event, eventTypes, processProperties } from './event.ts'
import { type Static, Type } from './schema.ts'

export const severities = ['critical', 'high', 'medium', 'low', 'info'] as const
export type Severity = (typeof severities)[number]

export const alertSchema = 'nightjar.dev/alert/v1'

const Tags = Type.Record(Type.String(), Type.Array(Type.String()), {
  description: 'Where the rule stands in a framework: mitre, owasp_nhi, nist_csf, maestro.',
})
const Rfc3339 = (description: string) => Type.String({ format: 'date-time', description })

/** As in an event, but for the time. */
const process = {
  ...processProperties,
  start_time: Type.Optional(Rfc3339('When the process was forked.')),
}

const AlertContainer = Type.Object({
  ...Container.properties,
  start_time: Type.Optional(Rfc3339('When the container was started.')),
})

/** What the event tells besides who did it and when: as it is. */
const { type: _, time: __, process: ___, ...told } = Event.properties
const { container: ____, k8s: _____, identity: ______, host: _______, ...done } = told

const AlertProcess = Type.Object({ ...process, ancestors: Type.Optional(Type.Array(Type.Object(process))) })

export const Alert = Type.Object(
  {
    schema: Type.Literal(alertSchema, { description: 'This shape, by its name and version.' }),
    id: Type.String({ pattern: '^[0-9A-HJKMNP-TV-Z]{26}$', description: 'ULID: the idempotency key.' }),
    time: Rfc3339('Time of the kernel event.'),
    rule: Type.Object(
      {
        id: Type.String({ description: 'Unique within its pack.' }),
        name: Type.String({ description: 'In a few words.' }),
        pack: Type.String({ description: 'The pack that it is of; nightjar and the other shipped ones, or your own.' }),
        version: Type.Optional(Type.String({ description: 'Of the pack.' })),
        tags: Tags,
      },
      { description: 'The rule that matched.' },
    ),
    severity: Type.Enum([...severities], { description: 'What the rule says that it is worth if it is true.' }),
    priority: Type.Integer({
      minimum: 0,
      maximum: 100,
      description: 'Severity, weighed with what the identity reaches.',
    }),
    message: Type.String({ description: 'What happened, in a sentence.' }),
    runbook: Type.Optional(Type.String({ description: 'What to do about it.' })),
    event: Type.Object({ type: Type.Enum([...eventTypes], { description: 'What kind of event it was.' }) }),
    process: Type.Optional(AlertProcess),
    earlier: Type.Optional(
      Type.Array(
        Type.Object({
          event: Type.Object({ type: Type.Enum([...eventTypes]) }),
          time: Rfc3339('Time of the kernel event.'),
          process: Type.Optional(AlertProcess),
          ...done,
        }),
        { description: 'Of a rule that is a sequence: the events of the steps before, oldest first.' },
      ),
    ),
    ...told,
    container: Type.Optional(AlertContainer),
    count: Type.Integer({ minimum: 1, description: 'How many matches this alert stands for.' }),
    first_seen: Rfc3339('Time of the first of them.'),
    last_seen: Rfc3339('Time of the last of them.'),
    sensor: Type.Object({
      version: Type.String({ description: 'Of Nightjar.' }),
      node: Type.String({ description: 'The node that it watches.' }),
      lost_events: Type.Integer({ minimum: 0, description: 'Events lost since the sensor started.' }),
    }),
  },
  { $id: `https://${alertSchema}.json`, title: 'Nightjar alert' },
)
export type Alert = Static<typeof Alert>
