/**
 * Interests in files -> what the kernel side looks up for each open: names to the conditions under which they matter.
 *
 * A name stands in a table under a number made of its first eight bytes and its length (`nameKey`, and the macro
 * name-key, which must agree with it): a look-up by number costs a third of one by text, and two names with one number
 * only make an interest wider. `sends` is the kernel's decision in TypeScript.
 */
import { addCondition, conditionOf, entriesOf, union } from './conditions.ts'
import type { Interest } from './interest.ts'

export interface FileFilter {
  /** Conditions under which every file matters. */
  readonly any: number
  /** Key of a name -> conditions. */
  readonly names: ReadonlyMap<bigint, number>
  readonly parents: ReadonlyMap<bigint, number>
  readonly within: ReadonlyMap<bigint, number>
  /** Conditions under which every failed open matters, and those of single requested paths. */
  readonly anyFailed: number
  readonly requested: ReadonlyMap<string, number>
}

/** Bytes of a requested path that are looked at. */
export const requestedMax = 63

/** @param name As UTF-8, or its bytes. */
export function nameKey(name: string | Uint8Array): bigint {
  const bytes = Buffer.from(name)
  const first = Buffer.alloc(8)
  bytes.copy(first, 0, 0, 8)
  return (first.readBigUInt64LE() ^ (BigInt(bytes.length) << 55n)) & 0x7fff_ffff_ffff_ffffn
}

export function fileFilter(interests: readonly Interest[]): FileFilter {
  const tables = {
    names: new Map<bigint, number>(),
    parents: new Map<bigint, number>(),
    within: new Map<bigint, number>(),
  }
  const requested = new Map<string, number>()
  let any = 0
  let anyFailed = 0
  for (const interest of interests) {
    const condition = conditionOf(interest)
    if (interest.outcome !== 'failure') {
      const kind = (['names', 'parents', 'within'] as const).find((one) => interest[one] !== undefined)
      if (kind === undefined) any |= condition
      else for (const name of interest[kind] ?? []) addCondition(tables[kind], nameKey(name), condition)
    }
    if (interest.outcome !== 'success') {
      const paths = [...(interest.requested ?? [])]
      if (paths.length === 0 || paths.some((path) => !isLookedUp(path))) anyFailed |= condition
      else for (const path of paths) addCondition(requested, path, condition)
    }
  }
  return { any, ...tables, anyFailed, requested }
}

const isLookedUp = (path: string) =>
  Buffer.byteLength(path) <= requestedMax && /^[\x20-\x7e]+$/.test(path) && !/["\\]/.test(path)

/** Whether the kernel side sends an open that succeeded. `components`: the names in its path, from the root on. */
export function sends(filter: FileFilter, components: readonly string[], conditions: number): boolean {
  const [name = '', parent = '', ...above] = components.toReversed()
  const { any, names, parents, within } = filter
  const directories = [parent, ...above].map((one) => within.get(nameKey(one)) ?? 0)
  const found = [any, names.get(nameKey(name)) ?? 0, parents.get(nameKey(parent)) ?? 0, ...directories]
  return found.some((one) => (one & conditions) !== 0)
}

/** Whether it sends one that failed. Of what the program passed it has the beginning alone. */
export const sendsFailed = (filter: FileFilter, requested: string, conditions: number): boolean =>
  ((filter.anyFailed | (filter.requested.get(requested.slice(0, requestedMax)) ?? 0)) & conditions) !== 0

/** What the fragment is made with: the tables, and the conditions in them, so that what is empty costs nothing. */
export function tablesOf(filter: FileFilter): { begin: string[]; constants: Record<string, number> } {
  return {
    begin: [
      // A table that nothing was ever put into is none, to bpftrace.
      ...['file_name[0]', 'file_parent[0]', 'file_within[0]', 'file_requested[""]'].map((entry) => `@${entry} = 0;`),
      ...entriesOf('file_name', filter.names),
      ...entriesOf('file_parent', filter.parents),
      ...entriesOf('file_within', filter.within),
      ...[...filter.requested].map(([path, condition]) => `@file_requested["${path}"] = ${condition};`),
    ],
    constants: {
      FILE_ANY: filter.any,
      FILE_NAME: union(filter.names),
      FILE_PARENT: union(filter.parents),
      FILE_WITHIN: union(filter.within),
      FILE_FAILED: filter.anyFailed,
      FILE_REQUESTED: union(filter.requested),
    },
  }
}
