/** The alert: what leaves the sensor. `schema` names this version of the shape; changing it breaks receivers. */
import { type Static, Type } from 'typebox'
import { Container, Event, eventTypes, processProperties } from './event.ts'

export const severities = ['critical', 'high', 'medium', 'low', 'info'] as const
export type Severity = (typeof severities)[number]

export const alertSchema = 'nightjar.dev/alert/v1'

const Tags = Type.Record(Type.String(), Type.Array(Type.String()))
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
    schema: Type.Literal(alertSchema),
    id: Type.String({ pattern: '^[0-9A-HJKMNP-TV-Z]{26}$', description: 'ULID: the idempotency key.' }),
    time: Rfc3339('Time of the kernel event.'),
    rule: Type.Object(
      {
        id: Type.String(),
        name: Type.String(),
        pack: Type.String(),
        version: Type.Optional(Type.String()),
        tags: Tags,
      },
      { description: 'The rule that matched.' },
    ),
    severity: Type.Enum([...severities]),
    priority: Type.Integer({
      minimum: 0,
      maximum: 100,
      description: 'Severity, weighed with what the identity reaches.',
    }),
    message: Type.String(),
    runbook: Type.Optional(Type.String()),
    event: Type.Object({ type: Type.Enum([...eventTypes]) }),
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
      version: Type.String(),
      node: Type.String(),
      lost_events: Type.Integer({ minimum: 0, description: 'Events lost since the sensor started.' }),
    }),
  },
  { $id: `https://${alertSchema}.json`, title: 'Nightjar alert' },
)
export type Alert = Static<typeof Alert>
