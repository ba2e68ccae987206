/**
 * One sensor a spool. The lock is the kernel's (fcntl), so it ends with its process however that ends, and holds between
 * containers that see one file. Node itself has no call for it: SQLite takes it on an empty database.
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export interface SpoolLock {
  release(): void
}

const between = 100

/**
 * Waits for up to `patience` milliseconds: the sensor before this one may still be stopping. Undefined if another process
 * has the lock even then; rejects if there can be no file.
 */
export async function lockSpool(directory: string, patience: number): Promise<SpoolLock | undefined> {
  // Imported when it is needed: every other command starts without it.
  const { DatabaseSync } = await import('node:sqlite')
  const database = new DatabaseSync(join(directory, 'lock'))
  for (let waited = 0; ; waited += between) {
    try {
      // Nothing is ever written, so there is nothing to take back either: no journal beside it.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      return { release: () => database.close() }
    } catch (error) {
      const isHeld = error instanceof Error && 'errcode' in error && error.errcode === busy
      if (!isHeld || waited >= patience) database.close()
      if (!isHeld) throw error
      if (waited >= patience) return undefined
    }
    await pause(between)
  }
}

/** SQLITE_BUSY */
const busy = 5
