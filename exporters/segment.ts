/**
 * A piece of the spool: alerts of one severity, one after the other, in a file that only grows and is removed as a whole;
 * or the same in memory, where and while nothing can be written.
 */
import {
  closeSync,
  constants,
  fdatasync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Severity, severities } from '../sensor/alert.ts'
import { type Damage, decodeRecords } from './spool-record.ts'

/** Where the bytes are. `append` throws, and leaves what there was, if there is no room. */
interface Store {
  append(bytes: Buffer): void
  /** Fewer bytes than asked for, if there are no more or they can't be read. */
  read(offset: number, length: number): Buffer | Promise<Buffer>
  /** On the disk itself, and not only in the kernel's memory. */
  sync(): Promise<void>
  /** No more will be appended. */
  seal(): void
  remove(): void
}

export interface Segment {
  readonly severity: Severity
  /** Sequence numbers of the first and the last alert. */
  readonly first: number
  last: number
  alerts: number
  bytes: number
  /** When its last alert came, Unix time in milliseconds. */
  newest: number
  sealed: boolean
  removed: boolean
  inMemory: boolean
  store: Store
}

/** The first sequence number is in the name, so that the order of the files is the order of their alerts. */
export const segmentName = ({ severity, first }: { severity: Severity; first: number }) =>
  `${severity}-${String(first).padStart(16, '0')}.alerts`

export function segmentOf(name: string): { severity: Severity; first: number } | undefined {
  const [, found, first] = /^([a-z]+)-(\d{16})\.alerts$/.exec(name) ?? []
  const severity = severities.find((severity) => severity === found)
  return severity === undefined ? undefined : { severity, first: Number(first) }
}

/** An empty segment; in memory without a directory. Throws if the file can't be made, or is there already. */
export function createSegment(severity: Severity, first: number, directory: string | undefined): Segment {
  const store = directory === undefined ? memoryStore() : fileStore(join(directory, segmentName({ severity, first })))
  const counts = { last: first - 1, alerts: 0, bytes: 0, newest: 0 }
  return { severity, first, ...counts, sealed: false, removed: false, inMemory: directory === undefined, store }
}

/**
 * A segment that an earlier process has left, and the damage in it. Undefined if there is no alert in it; rejects if it
 * can't be read.
 */
export async function recoverSegment(
  directory: string,
  named: { severity: Severity; first: number },
): Promise<{ segment: Segment | undefined; damaged: Damage[] }> {
  const path = join(directory, segmentName(named))
  const bytes = await readFile(path)
  const { records, damaged, rest } = decodeRecords(bytes)
  // What was being written when the machine or the disk failed.
  if (rest < bytes.length) damaged.push({ from: rest, to: bytes.length })
  const last = records.at(-1)
  if (last === undefined) return { segment: undefined, damaged }
  const segment: Segment = {
    ...named,
    last: last.sequence,
    alerts: records.length,
    bytes: bytes.length,
    newest: last.time,
    sealed: true,
    removed: false,
    inMemory: false,
    store: fileStore(path, false),
  }
  return { segment, damaged }
}

export function append(segment: Segment, bytes: Buffer, sequence: number, time: number): void {
  segment.store.append(bytes)
  segment.last = sequence
  segment.newest = time
  segment.bytes += bytes.length
  segment.alerts++
}

export function seal(segment: Segment): void {
  if (segment.sealed) return
  segment.sealed = true
  segment.store.seal()
}

export function remove(segment: Segment): void {
  seal(segment)
  segment.removed = true
  segment.store.remove()
}

/** From memory to a file, whole. Rejects if it can't be written; then it stays where it was. */
export async function toDisk(segment: Segment, directory: string): Promise<void> {
  seal(segment)
  const contents = await segment.store.read(0, segment.bytes)
  if (segment.removed) return
  const path = join(directory, segmentName(segment))
  try {
    writeFileSync(path, contents, { flag: 'wx', mode: 0o600, flush: true })
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  }
  segment.store = fileStore(path, false)
  segment.inMemory = false
}

function memoryStore(): Store {
  let bytes = Buffer.alloc(0)
  let used = 0
  return {
    append(more) {
      if (used + more.length > bytes.length) {
        const larger = Buffer.alloc(Math.max(2 * bytes.length, used + more.length, 16 * 1024))
        bytes.copy(larger, 0, 0, used)
        bytes = larger
      }
      used += more.copy(bytes, used)
    },
    read: (offset, length) => bytes.subarray(offset, Math.min(used, offset + length)),
    sync: async () => {},
    seal() {},
    remove() {
      used = 0
      bytes = Buffer.alloc(0)
    },
  }
}

const datasync = promisify(fdatasync)

function fileStore(path: string, isNew = true): Store {
  const { O_RDWR, O_APPEND, O_CREAT, O_EXCL } = constants
  let file = isNew ? openSync(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL, 0o600) : undefined
  let length = 0
  let syncing: Promise<void> | undefined
  return {
    append(bytes) {
      if (file === undefined) throw new Error(`${path} is closed`)
      try {
        for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
        length += bytes.length
      } catch (error) {
        takeBack(file, length)
        throw error
      }
    },
    read(offset, length) {
      // What this process has just written is in the kernel's memory: threads would only cost time, much of it on a busy
      // node. Older files may really be read from a disk.
      return file === undefined ? readClosed(path, offset, length) : readOpen(file, offset, length)
    },
    async sync() {
      if (file === undefined) return
      syncing = datasync(file)
      await syncing
    },
    seal() {
      const closing = file
      if (closing === undefined) return
      file = undefined
      // Not under the feet of a sync: the number would be another file's by then.
      void Promise.allSettled([syncing, datasync(closing)]).then(() => closeSync(closing))
    },
    remove() {
      try {
        unlinkSync(path)
      } catch {
        // Removed by hand, or the volume can't be written any more: then it's found again by the next sensor.
      }
    },
  }
}

function readOpen(file: number, offset: number, length: number): Buffer {
  try {
    const bytes = Buffer.allocUnsafe(length)
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
  } catch {
    return Buffer.alloc(0)
  }
}

async function readClosed(path: string, offset: number, length: number): Promise<Buffer> {
  try {
    await using handle = await open(path, 'r')
    const bytes = Buffer.allocUnsafe(length)
    const { bytesRead } = await handle.read(bytes, 0, length, offset)
    return bytes.subarray(0, bytesRead)
  } catch {
    return Buffer.alloc(0)
  }
}

/** A full disk takes the first half of a record. Where even this can't be undone, reading leaps over it. */
function takeBack(file: number, length: number): void {
  try {
    ftruncateSync(file, length)
  } catch {}
}
