/** The payload formats: how alerts are put for a receiver. Another one is another entry here. */
import type { Alert } from '../sensor/alert.ts'

export interface Format {
  contentType: string
  one(alert: Alert): string
  /** Several in one body; a format without it has one alert a request. */
  many?(alerts: readonly Alert[]): string
}

export const formatNames = ['native'] as const
export type FormatName = (typeof formatNames)[number]

export const formats: Record<FormatName, Format> = {
  /** The alert itself, as its published schema describes it. */
  native: {
    contentType: 'application/json',
    one: (alert) => JSON.stringify(alert),
    many: (alerts) => JSON.stringify({ alerts }),
  },
}
