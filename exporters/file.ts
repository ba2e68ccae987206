/**
 * Alerts in a file, one JSON object a line, that is rotated by size: path, path.1 (the one before), path.2 ...
 *
 * An attempt's lines are on the disk (fdatasync) before it counts as delivered, and all of them or none: what a full
 * disk cut off is taken back. A file that somebody else moved or removed (logrotate) is begun anew.
 */
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises'
import { resolve } from 'node:path'
import { bytesPattern, parseBytes } from '../sensor/bytes.ts'
import { Type } from '../sensor/schema.ts'
import { type Complain, complaintAbout } from './complaint.ts'
import { type FormatName, formatNames, formats } from './formats.ts'
import { printableJsonText } from './printable.ts'
import type { Outcome, Receiver } from './receiver.ts'
import { type ReceiverConfig, receiverProperties, receiverSettings } from './receiver-config.ts'

const defaults = { maxBytes: '64MiB', keep: 5, batch: { size: 500, wait: '20ms' } } as const

export const FileConfig = Type.Object(
  {
    path: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        minLength: 1,
        default: null,
        description: 'The file that alerts are appended to; its folder must be there. null: none.',
      }),
    ),
    format: Type.Optional(
      Type.Enum([...formatNames], { default: 'native', description: 'How an alert is written, one a line.' }),
    ),
    maxBytes: Type.Optional(
      Type.String({
        title: 'a size such as 64MiB',
        pattern: bytesPattern,
        default: defaults.maxBytes,
        description: 'The file is rotated before it becomes larger.',
      }),
    ),
    keep: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1000,
        default: defaults.keep,
        description: 'How many files are kept besides the current one.',
      }),
    ),
    ...receiverProperties,
  },
  { additionalProperties: false, description: 'A file of alerts, one JSON object a line, rotated by size.' },
)

export interface FileConfig extends ReceiverConfig {
  path?: string | null
  format?: FormatName
  maxBytes?: string
  keep?: number
}

interface Current {
  handle: FileHandle
  device: number
  inode: number
  size: number
}

const complain: Complain = complaintAbout('exporters.file')
/** As small as a rotation makes sense. */
const leastBytes = 1024

/** Undefined if no path is configured. Throws an error for a person if a value can't be used. */
export function file(config: FileConfig = {}): Receiver | undefined {
  if (config.path === undefined || config.path === null) return undefined
  const path = resolve(config.path)
  const { one } = formats[config.format ?? 'native']
  const keep = config.keep ?? defaults.keep
  const maxBytes = parseBytes(config.maxBytes ?? defaults.maxBytes) ?? 0
  if (maxBytes < leastBytes) throw complain('maxBytes', `found ${config.maxBytes}, expected 1KiB or more`)
  // The order of lines is the order of alerts.
  const settings = receiverSettings({ batch: defaults.batch, ...config, concurrency: 1 }, complain)
  let current: Current | undefined

  async function close() {
    const { handle } = current ?? {}
    current = undefined
    await handle?.close()
  }

  /** Opens the file if it isn't, or is another one by now. */
  async function opened(): Promise<Current> {
    const there = await stat(path).catch(() => undefined)
    if (current && there?.ino === current.inode && there.dev === current.device) return current
    await close()
    const handle = await open(path, 'a', 0o600)
    const { dev: device, ino: inode, size } = await handle.stat()
    current = { handle, device, inode, size }
    return current
  }

  async function rotated(): Promise<Current> {
    await close()
    if (keep === 0) await unlink(path)
    else {
      for (let number = keep - 1; number > 0; number--) {
        await rename(`${path}.${number}`, `${path}.${number + 1}`).catch(ignoreMissing)
      }
      await rename(path, `${path}.1`)
    }
    return opened()
  }

  /** All of the lines, or none: a part would be taken for an alert by nobody, and spoil the next one. */
  async function append(target: Current, lines: Buffer) {
    try {
      await target.handle.appendFile(lines)
      await target.handle.datasync()
      target.size += lines.length
    } catch (error) {
      await target.handle.truncate(target.size).catch(() => undefined)
      await close().catch(() => undefined)
      throw error
    }
  }

  return {
    name: 'file',
    address: path,
    ...settings,
    async attempt(alerts): Promise<Outcome> {
      const lines = alerts.map((alert) => Buffer.from(`${printableJsonText(one(alert))}\n`))
      try {
        let target = await opened()
        let pending: Buffer[] = []
        let length = 0
        for (const line of lines) {
          if (target.size + length > 0 && target.size + length + line.length > maxBytes) {
            await append(target, Buffer.concat(pending))
            target = await rotated()
            pending = []
            length = 0
          }
          pending.push(line)
          length += line.length
        }
        await append(target, Buffer.concat(pending))
        return { verdict: 'delivered' }
      } catch (error) {
        const detail = error instanceof Error ? error.message.slice(0, 200) : String(error)
        return { verdict: 'failed', reason: 'storage', detail }
      }
    },
    close,
  }
}

function ignoreMissing(error: NodeJS.ErrnoException) {
  if (error.code !== 'ENOENT') throw error
}
