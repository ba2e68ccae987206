/** Awaits a condition that can only become true when `changed` is called: no polling, no sleeping. */
export function changes() {
  const waiting = new Set<() => void>()
  return {
    changed: () => {
      for (const look of waiting) look()
    },
    until(condition: () => boolean): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      const look = () => {
        if (!condition()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
      return promise
    },
  }
}

/** A log that remembers what was said, and tells `changed`. */
export function memoryLog(changed = () => {}) {
  const said: { level: string; fields: Record<string, unknown>; message: string }[] = []
  const at = (level: string) => (fields: object, message: string) => {
    said.push({ level, fields: { ...fields }, message })
    changed()
  }
  return { said, info: at('info'), warn: at('warn'), warnings: () => said.filter((one) => one.level === 'warn') }
}
