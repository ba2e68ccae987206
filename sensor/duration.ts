const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** How a duration is written; for JSON Schemas. */
export const durationPattern = '^(\\d+(?:\\.\\d+)?)(ms|s|m|h|d)$'
const duration = new RegExp(durationPattern)

/** Milliseconds of a duration such as `500ms`, `10s`, `1m`, `1h`, `7d`; undefined if it isn't one. */
export function parseDuration(text: string): number | undefined {
  const found = duration.exec(text)
  const unit = units[found?.[2] ?? '']
  return unit === undefined ? undefined : Number(found?.[1]) * unit
}
