/** Files opened: what the kernel has of them. */
import { type RecordOf, sections } from '../../bpf/records.ts'
import type { Readers } from '../deeds.ts'
import { errorOf } from '../error-code.ts'
import type { File } from '../event.ts'
import { filesystemOf } from '../filesystem.ts'
import { type Part, pathOf, textIn } from '../parts.ts'
import { baseName } from '../shells.ts'

/** include/uapi/asm-generic/fcntl.h */
const O_ACCMODE = 3
const O_WRONLY = 1
const O_RDWR = 2
const O_CREAT = 0o100
const O_TRUNC = 0o1000
const O_APPEND = 0o2000

/** The flags of an open -> `file.access`. */
export function accessOf(flags: number): string[] {
  const mode = flags & O_ACCMODE
  return [
    ...(mode === O_WRONLY ? [] : ['read']),
    ...(mode === O_WRONLY || mode === O_RDWR ? ['write'] : []),
    ...(flags & O_CREAT ? ['create'] : []),
    ...(flags & O_TRUNC ? ['truncate'] : []),
    ...(flags & O_APPEND ? ['append'] : []),
  ]
}

/** include/uapi/linux/stat.h, S_IFMT */
const types = new Map([
  [0o100000, 'regular'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0o020000, 'character_device'],
  [0o060000, 'block_device'],
  [0o010000, 'pipe'],
  [0o140000, 'socket'],
])

/** `st_mode` -> what an event tells of it. */
export function modeOf(mode: number): Pick<File, 'mode' | 'setuid' | 'setgid'> {
  return {
    mode: (mode & 0o7777).toString(8).padStart(4, '0'),
    ...((mode & 0o4000) !== 0 && { setuid: true }),
    ...((mode & 0o2000) !== 0 && { setgid: true }),
  }
}

/** What the record `inode` tells of a file. */
export function inodeOf(parts: Part[]): File {
  const inode = parts.find((part) => part.record === 'inode')
  if (inode?.record !== 'inode') return {}
  const type = types.get(inode.mode & 0o170000)
  return {
    ...(type !== undefined && { type }),
    ...modeOf(inode.mode),
    filesystem: filesystemOf(inode.magic),
    inode: `${inode.device}:${inode.inode}`,
    uid: inode.uid,
    gid: inode.gid,
    links: inode.links,
    ...(inode.upper !== 0 && { upper_layer: true }),
  }
}

/** A path in its pieces. */
export const named = (path: string | undefined): File =>
  path === undefined ? {} : { path, name: baseName(path), directory: path.slice(0, path.lastIndexOf('/')) || '/' }

function opened(record: RecordOf<'open'>, parts: Part[], whole: boolean) {
  const path = pathOf(parts, sections.FILE, whole) ?? (whole && record.returned >= 0 ? '/' : undefined)
  const requested = textIn(parts, sections.REQUESTED)
  const error = errorOf(record.returned)
  return {
    type: 'open' as const,
    about: {
      file: {
        ...named(path),
        ...(path !== undefined && { path_source: 'kernel' }),
        ...(requested !== undefined && requested !== path && { requested_path: requested }),
        access: accessOf(record.flags),
        ...inodeOf(parts),
      },
      ...(error && { error }),
    },
    ...(record.owner !== 0 && record.owner !== record.pid && { target: record.owner }),
  }
}

/** What a memfd is called is what its maker chose, behind a prefix of the kernel's: /memfd:name. */
function memfd(record: RecordOf<'memfd'>, parts: Part[], whole: boolean) {
  const error = errorOf(record.returned)
  return {
    type: 'memfd' as const,
    about: { file: { ...named(pathOf(parts, sections.FILE, whole)), ...inodeOf(parts) }, ...(error && { error }) },
  }
}

export const openDeeds: Readers = { open: opened, memfd }
