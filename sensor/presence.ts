/**
 * For how long nobody watched. The sensor marks in a file, again and again, that it sees; its successor reads there when the
 * last one did. So the time between two pods of an upgrade, or after a crash, is told as a gap like any other.
 */
import { mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Gap } from './probe.ts'

export interface Presence {
  /** It sees. At the first call the time before it that nobody saw is told, if there was one. */
  seeing(): void
  /** It sees no more from now on: marks the moment. */
  leaving(): void
}

/** Milliseconds after which a mark is due: asked every second, every two are marked, also where a timer is late or early. */
const markAfter = 1500
/** Shorter ones can't be told from two marks of a sensor that is still there, as it is while a successor takes over. */
const shortest = 3000

/** Without a file nothing is marked or told. `now`: Unix time in milliseconds. `complain` hears once why it can't be written. */
export function openPresence(options: {
  file: string | null | undefined
  now(): number
  gap(gap: Gap): void
  complain(error: unknown): void
}): Presence {
  const { file, now, gap, complain } = options
  if (!file) return { seeing() {}, leaving() {} }
  let marked: number | undefined
  let complained = false

  const touch = (at: number) => utimesSync(file, at / 1000, at / 1000)
  const make = () => {
    mkdirSync(dirname(file), { recursive: true })
    // Only where there is nothing: a symlink that leads nowhere yet would have root write wherever it says.
    writeFileSync(file, 'When this file was last modified, Nightjar saw what the kernel does.\n', { flag: 'wx' })
  }
  const mark = (at: number) => {
    marked = at
    try {
      if (statSync(file, { throwIfNoEntry: false }) === undefined) make()
      touch(at)
    } catch (error) {
      if (!complained) complain(error)
      complained = true
    }
  }

  return {
    seeing() {
      const to = now()
      // A clock that was set back is no reason to wait until it has come round again.
      if (marked !== undefined && Math.abs(to - marked) < markAfter) return
      const from = marked === undefined ? lastMark(file) : undefined
      mark(to)
      if (from !== undefined && to - from >= shortest) gap(absence(from, to))
    },
    leaving() {
      if (marked !== undefined) mark(now())
    },
  }
}

function absence(from: number, to: number): Gap {
  const [since, until] = [from, to].map((time) => new Date(time).toISOString())
  const detail = `no sensor saw this node from ${since} to ${until}: it was stopped, replaced or killed, or the node was down`
  return { reason: 'sensor_absent', seconds: Math.round(to - from) / 1000, detail }
}

/** Absent for the first sensor on a node, and where the file can't be read. */
function lastMark(file: string): number | undefined {
  try {
    return statSync(file).mtimeMs
  } catch {
    return undefined // What can't be read can't be written either, and that is complained about.
  }
}
