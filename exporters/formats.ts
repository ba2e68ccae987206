/** The payload formats: how alerts are put for a receiver. Another one is another entry here, and its file beside. */
import type { Alert } from '../sensor/alert.ts'
import { alertmanager } from './formats/alertmanager.ts'
import { cloudevents } from './formats/cloudevents.ts'
import { ecs } from './formats/ecs.ts'
import { falcosidekick } from './formats/falcosidekick.ts'
import { native } from './formats/native.ts'
import { ocsf } from './formats/ocsf.ts'
import { slack } from './formats/slack.ts'
import { teams } from './formats/teams.ts'

/**
 * Pure. What a process chose (arguments, names, paths) can't leave its place in the payload: it is JSON's string or
 * escaped as the receiver has it, and of a bounded length where the receiver has a bound.
 */
export interface Format {
  contentType: string
  one(alert: Alert): string
  /** Several in one body; a format without it has one alert a request. */
  many?(alerts: readonly Alert[]): string
  /** The content type of `many`, where it is another one. */
  batchContentType?: string
}

export const formatNames = [
  'native',
  'cloudevents',
  'ocsf',
  'falcosidekick',
  'alertmanager',
  'slack',
  'teams',
  'ecs',
] as const
export type FormatName = (typeof formatNames)[number]

export const formats: Record<FormatName, Format> = {
  native,
  cloudevents,
  ocsf,
  falcosidekick,
  alertmanager,
  slack,
  teams,
  ecs,
}
