/** Paths that the kernel side tells in full once a second, and else by their keys (bpf/macros/path-key.bt). */

export interface ToldPaths {
  /** It was told in full. `time`: of the kernel, in nanoseconds. */
  tell(key: string, path: string, time: number): void
  /** Undefined: what told it was lost. */
  find(key: string): string | undefined
}

/** Nanoseconds after which a path is told again, with what the order of events can be wrong by. */
const kept = 3e9
const none = '0'

/** Each is kept for `kept` at least, and no more than what two such times bring. */
export function createToldPaths(): ToldPaths {
  let newer = new Map<string, string>()
  let older = newer
  let since = 0
  return {
    tell(key, path, time) {
      if (key === none) return
      if (time - since > kept) {
        older = newer
        newer = new Map()
        since = time
      }
      newer.set(key, path)
    },
    find: (key) => newer.get(key) ?? older.get(key),
  }
}
