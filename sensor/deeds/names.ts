/** Deeds on names and permissions of files: chmod, chown, link, rename, unlink, mkdir. */
import { posix } from 'node:path'
import { type RecordOf, sections } from '../../bpf/records.ts'
import type { Readers, Told } from '../deeds.ts'
import { errorOf } from '../error-code.ts'
import type { EventType, File } from '../event.ts'
import { type Part, pathOf, textIn } from '../parts.ts'
import { modeOf, named } from './opened.ts'

/**
 * What the program called the file, made absolute: all that the tracepoints of these calls know. That the kernel went
 * another way, over a symbolic link, does not show.
 */
function absolute(parts: Part[], section: number, base: number, whole: boolean): string | undefined {
  const requested = textIn(parts, section)
  if (requested === undefined || requested === '') return undefined
  if (requested.startsWith('/')) return posix.normalize(requested).replace(/(?<=.)\/$/, '')
  if (!whole) return undefined
  return posix.join(pathOf(parts, base, whole) ?? '/', requested).replace(/(?<=.)\/$/, '')
}

/** The file that the call is about: as the kernel has it by a kprobe or its descriptor, else as the program called it. */
function fileOf(parts: Part[], whole: boolean): File {
  const requested = textIn(parts, sections.REQUESTED)
  const resolved = pathOf(parts, sections.RESOLVED, whole)
  if (requested === undefined || resolved !== undefined) {
    const path = resolved ?? pathOf(parts, sections.FILE, whole)
    return {
      ...named(path),
      ...(requested !== undefined && requested !== path && { requested_path: requested }),
      path_source: 'kernel',
    }
  }
  const path = absolute(parts, sections.REQUESTED, sections.FILE, whole)
  return {
    ...named(path),
    ...(requested !== path && { requested_path: requested }),
    ...(path !== undefined && { path_source: 'requested' }),
  }
}

/** An event about a file, and whether the call failed. */
function told(type: EventType, returned: number, file: File): Told {
  const error = errorOf(returned)
  return { type, about: { file, ...(error && { error }) } }
}

const previousOf = (parts: Part[], whole: boolean) =>
  pathOf(parts, sections.RESOLVED_OTHER, whole) ?? absolute(parts, sections.OTHER, sections.OTHER_BASE, whole)

function linked(record: RecordOf<'link'>, parts: Part[], whole: boolean): Told {
  const target = record.symbolic ? textIn(parts, sections.OTHER) : previousOf(parts, whole)
  return told('link', record.returned, {
    ...fileOf(parts, whole),
    link_type: record.symbolic ? 'symbolic' : 'hard',
    ...(target !== undefined && { target_path: target }),
  })
}

function renamed(record: RecordOf<'rename'>, parts: Part[], whole: boolean): Told {
  const previous = previousOf(parts, whole)
  return told('rename', record.returned, {
    ...fileOf(parts, whole),
    ...(previous !== undefined && { previous_path: previous }),
  })
}

/** -1, as an unsigned number of 32 bits: leave what is. */
const unchanged = 0xffff_ffff
const given = (id: number) => {
  const number = Number(BigInt.asUintN(32, BigInt(id)))
  return number === unchanged ? undefined : number
}

function owned(record: RecordOf<'chown'>, parts: Part[], whole: boolean): Told {
  const uid = given(record.owner)
  const gid = given(record.group)
  return told('chown', record.returned, {
    ...fileOf(parts, whole),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  })
}

export const nameDeeds: Readers = {
  chmod: (record, parts, whole) =>
    told('chmod', record.returned, { ...fileOf(parts, whole), ...modeOf(record.mode & 0o7777) }),
  chown: owned,
  link: linked,
  rename: renamed,
  unlink: (record, parts, whole) =>
    told('unlink', record.returned, { ...fileOf(parts, whole), ...(record.directory !== 0 && { type: 'directory' }) }),
  mkdir: (record, parts, whole) =>
    told('mkdir', record.returned, { ...fileOf(parts, whole), type: 'directory', ...modeOf(record.mode & 0o7777) }),
}
