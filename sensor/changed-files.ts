/** Tells when files on disk are others than they were: a ConfigMap or Secret that the kubelet exchanged, an editor's save. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { filesIn } from '../exporters/secret-text.ts'
import type { Config } from './config.ts'

export interface ChangedFiles {
  /** What is there now is known: only what comes after it is a change. */
  known(): void
  close(): void
}

const interval = 1000

/**
 * Calls `changed` when a file is another one than it was, and has stayed so for one look more: nobody is in the middle of
 * writing it. `paths` are files, and folders that stand for the *.json in them; it is asked anew at each look, and what it
 * names for the first time is no change. A path that isn't there is as good as any other state.
 */
export function watchFiles(options: {
  paths(): readonly string[]
  changed(): void
  /** Milliseconds between two looks. */
  every?: number
}): ChangedFiles {
  const look = () => new Map(options.paths().map((path) => [path, stateOf(path)]))
  const differs = (one: Map<string, string>, other: Map<string, string>) =>
    [...one].some(([path, state]) => (other.get(path) ?? state) !== state)

  let known = look()
  let before = known
  const timer = setInterval(() => {
    const now = look()
    const settled = !differs(now, before)
    before = now
    if (!settled) return
    const changed = differs(now, known)
    known = now
    if (changed) options.changed()
  }, options.every ?? interval)
  timer.unref()
  return {
    known() {
      known = look()
      before = known
    },
    close: () => clearInterval(timer),
  }
}

/** Of a folder that of its *.json, and no deeper, as rules are read: a folder within it may lead back to it. */
function stateOf(path: string): string {
  try {
    if (!statSync(path).isDirectory()) return stateOfFile(path)
    const names = readdirSync(path).filter((name) => name.endsWith('.json'))
    return names
      .sort()
      .map((name) => `${name} ${stateOfFile(join(path, name))}`)
      .join('\n')
  } catch (error) {
    return String(error)
  }
}

/** The kubelet exchanges a symlink above the files (..data), so each of them becomes another inode. */
function stateOfFile(path: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path)
    return [dev, ino, size, mtimeMs, ctimeMs].join(' ')
  } catch (error) {
    return String(error)
  }
}

/**
 * The configuration, the rules that are not shipped, and the files that receivers name: as secretFile, caFile, headersFile
 * ..., and within a text.
 */
export function filesNamed(config: Config, options: { config?: string; rules: readonly string[] }): string[] {
  const found = [...(config.rules ?? []), ...options.rules]
  if (options.config !== undefined) found.push(options.config)
  const walk = (value: unknown, key: string) => {
    if (typeof value === 'string') found.push(...(key.endsWith('File') ? [value] : filesIn(value)))
    if (typeof value !== 'object' || value === null) return
    for (const [name, item] of Object.entries(value)) walk(item, Array.isArray(value) ? key : name)
  }
  walk(config.exporters ?? {}, '')
  return found
}
