/** The payload formats: how an alert is put for a receiver. Another one is another entry here. */
import type { Alert } from '../sensor/alert.ts'

export interface Format {
  contentType: string
  body(alert: Alert): string
}

export const formatNames = ['native'] as const
export type FormatName = (typeof formatNames)[number]

export const formats: Record<FormatName, Format> = {
  /** The alert itself, as its published schema describes it. */
  native: { contentType: 'application/json', body: (alert) => JSON.stringify(alert) },
}
