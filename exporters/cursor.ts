/**
 * How far a receiver has come in the spool, in a file of its own: `crc32 SP sequence LF`. It follows the deliveries by a
 * quarter of a second at most, so a sensor that is killed delivers the alerts of that time once more when it is back.
 */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

const prefix = 'cursor.'

/** Milliseconds between two writings. */
const interval = 250

export interface Cursor {
  /** All alerts up to this sequence number are done with. */
  move(sequence: number): void
  /** Writes what has not been written yet. */
  close(): void
}

/** The sequence number that was written last; `none` if the receiver is new, `damaged` if the file is no cursor. */
export function readCursor(directory: string, name: string): number | 'none' | 'damaged' {
  let text: string
  try {
    text = readFileSync(join(directory, prefix + name), 'utf8')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'none' : 'damaged'
  }
  const [, sum, sequence = ''] = /^([0-9a-f]{8}) (\d{1,16})\n$/.exec(text) ?? []
  return sum === sumOf(sequence) ? Number(sequence) : 'damaged'
}

const sumOf = (sequence: string): string => crc32(sequence).toString(16).padStart(8, '0')

/** The sequence numbers of all cursors there, also of receivers that are configured no more. */
export function allCursors(directory: string): number[] {
  return readdirSync(directory)
    .filter((file) => file.startsWith(prefix))
    .map((file) => readCursor(directory, file.slice(prefix.length)))
    .filter((cursor) => typeof cursor === 'number')
}

/**
 * Writes the first position at once. Without a directory nothing is written. `onError` is called when writing begins to
 * fail; it's tried again with each move.
 */
export function openCursor(
  directory: string | undefined,
  name: string,
  first: number,
  onError: (error: unknown) => void,
): Cursor {
  let position = first
  let last = -1
  let isFailing = false
  let timer: NodeJS.Timeout | undefined

  function write() {
    timer = undefined
    if (directory === undefined || position === last) return
    const next = join(directory, `next-cursor.${name}`)
    try {
      // Not synced: a cursor that a power cut takes back costs deliveries that are made twice, and no alert.
      writeFileSync(next, `${sumOf(String(position))} ${position}\n`, { mode: 0o600 })
      renameSync(next, join(directory, prefix + name))
      last = position
      isFailing = false
    } catch (error) {
      if (!isFailing) onError(error)
      isFailing = true
    }
  }
  write()

  return {
    move(sequence) {
      position = sequence
      timer ??= setTimeout(write, interval)
    },
    close() {
      clearTimeout(timer)
      write()
    },
  }
}
