const units: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** How a size is written; for JSON Schemas. */
export const bytesPattern = '^(\\d+(?:\\.\\d+)?)(B|KiB|MiB|GiB)$'
const size = new RegExp(bytesPattern)

/** Bytes of a size such as `64KiB`, `256MiB`, `1.5GiB`; undefined if it isn't one. */
export function parseBytes(text: string): number | undefined {
  const found = size.exec(text)
  const unit = units[found?.[2] ?? '']
  return unit === undefined ? undefined : Math.floor(Number(found?.[1]) * unit)
}
