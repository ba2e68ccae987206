/** The alert itself, as its published schema describes it. */
import type { Format } from '../formats.ts'

export const native: Format = {
  contentType: 'application/json',
  one: (alert) => JSON.stringify(alert),
  many: (alerts) => JSON.stringify({ alerts }),
}
