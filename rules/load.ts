/** Loads rule packs from files and folders. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { readJson } from './json.ts'
import { type PackFile, type Reading, readPacks } from './pack.ts'
import { type Fault, type Problem, problemIn, RuleError } from './problem.ts'
import type { RuleSet } from './rule.ts'

/** The folder of the packs that Nightjar ships. */
export const builtinPacks = (): string => join(import.meta.dirname, 'packs')

/** The shipped packs, unless they are not wanted, and then these. */
export const packPaths = (builtin: boolean, others: readonly string[]): string[] => [
  ...(builtin ? [builtinPacks()] : []),
  ...others,
]

const what = 'a rule pack (*.json) or a folder of them'

const reasons: Readonly<Record<string, Omit<Fault, 'path'>>> = {
  ENOENT: { found: 'no such file or folder', expected: `${what}: check the path` },
  EACCES: { found: 'no permission to read it', expected: `${what} that this user may read` },
  ENOTDIR: { found: 'a path through something that is no folder', expected: `${what}: check the path` },
}

function unreadable(file: string, error: unknown): Problem {
  const { code, message } = error as NodeJS.ErrnoException
  const reason = reasons[code ?? ''] ?? { found: message, expected: `${what} that can be read` }
  return problemIn(file, { path: [], ...reason })
}

/**
 * The files behind a path: itself, or the *.json in that folder, by name. Not in the folders below it: a mounted
 * ConfigMap keeps its files there a second time, under a name that changes.
 */
async function filesOf(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const names = await readdir(path)
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => join(path, name))
}

function parse(file: string, bytes: Uint8Array): PackFile | Problem[] {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return [problemIn(file, { path: [], found: 'bytes that are no UTF-8', expected: 'JSON in UTF-8 (RFC 8259)' })]
  }
  const json = readJson(text)
  if ('value' in json) return { file, value: json.value }
  return json.faults.map((fault) => problemIn(file, fault, { line: fault.line, column: fault.column }))
}

/** What the paths hold, and everything that is wrong with it. Never throws for what it reads. */
export async function inspectRules(paths: readonly string[]): Promise<Reading> {
  const problems: Problem[] = []
  const packs: PackFile[] = []
  const seen = new Set<string>()
  for (const path of paths) {
    try {
      for (const file of await filesOf(path)) {
        const real = await realpath(file)
        if (seen.has(real)) continue
        seen.add(real)
        const parsed = parse(file, await readFile(file))
        if (Array.isArray(parsed)) problems.push(...parsed)
        else packs.push(parsed)
      }
    } catch (error) {
      problems.push(unreadable(path, error))
    }
  }
  const read = readPacks(packs)
  return { ...read, problems: [...problems, ...read.problems] }
}

export interface Beside extends Reading {
  /** Does it stand in one of the paths that were asked for? */
  readonly isOurs: (place: { readonly file: string }) => boolean
}

/**
 * What the paths hold; a pack that leans on another (adds to its lists, overrides its rules, uses its macros) is read
 * beside the shipped packs, as it will be when Nightjar runs. Never throws for what it reads.
 */
export async function inspectBeside(paths: readonly string[]): Promise<Beside> {
  const alone = await inspectRules(paths)
  if (alone.absent.length === 0) return { ...alone, isOurs: () => true }
  const reading = await inspectRules([builtinPacks(), ...paths])
  return { ...reading, isOurs: ({ file }) => !file.startsWith(builtinPacks() + sep) }
}

/**
 * The rules in these files and folders (*.json), and those that they override.
 * @throws RuleError as loadRules does.
 */
export async function loadBeside(paths: readonly string[]): Promise<RuleSet> {
  const { ruleSet, problems, isOurs } = await inspectBeside(paths)
  if (problems.length > 0) throw new RuleError(problems)
  const rules = ruleSet.rules.filter((rule) => isOurs(rule) || rule.changedBy.length > 0)
  return { rules, remarks: ruleSet.remarks.filter(isOurs) }
}

/**
 * The rules in these files and folders (*.json). A pack given twice is read once.
 * @throws RuleError if anything is wrong with any of them; it holds every problem there is.
 */
export async function loadRules(paths: readonly string[]): Promise<RuleSet> {
  const { ruleSet, problems } = await inspectRules(paths)
  if (problems.length > 0) throw new RuleError(problems)
  return ruleSet
}
