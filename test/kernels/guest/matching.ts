/** Whether a value has at least what is expected of it, at any depth. */
export function matches(found: unknown, expected: unknown): boolean {
  if (typeof expected !== 'object' || expected === null) return found === expected
  if (typeof found !== 'object' || found === null) return false
  if (Array.isArray(expected) && (!Array.isArray(found) || found.length !== expected.length)) return false
  return Object.entries(expected).every(([key, value]) => matches(found[key as keyof typeof found], value))
}
