/**
 * A pack while it is read: its lists and macros, by the names that its conditions use. `<pack>/<name>` is one of
 * another pack.
 */
import { type Condition, readCondition, type Surroundings, sizeFault } from './condition.ts'
import type { Scalar } from './fields.ts'
import { type Fault, type JsonPath, nearest, show } from './problem.ts'

export interface List {
  readonly values: Scalar[]
  readonly path: JsonPath
  used: boolean
}

/** A named condition: as it stands in the pack, and, once it has been asked for, as it is read. */
export interface Macro {
  readonly raw: unknown
  readonly path: JsonPath
  used: boolean
  state: 'unread' | 'reading' | 'read'
  /** None if anything in it is wrong: that has been reported where it stands. */
  condition?: Condition | undefined
}

export interface Draft {
  readonly file: string
  readonly pack: string
  readonly version: string
  readonly raw: Readonly<Record<string, unknown>>
  readonly lists: Map<string, List>
  readonly macros: Map<string, Macro>
  /** Has the shape of a pack; if not, its rules are looked through for more faults, but none is made. */
  readonly isSound: boolean
  readonly report: (fault: Fault) => void
}

/** Every pack that is read, and the names of those that are asked for and aren't among them. */
export interface Shelf {
  readonly drafts: readonly Draft[]
  readonly absent: Set<string>
}

/** Macros that use macros: deeper than anyone can follow. */
const deepestMacros = 16

/** The pack that a name leads to: `<pack>/<name>` is in that pack, any other name in this one. */
function targetOf(name: string, draft: Draft, { drafts, absent }: Shelf): { target: Draft | undefined; local: string } {
  const slash = name.indexOf('/')
  const [pack, local] = slash < 0 ? [undefined, name] : [name.slice(0, slash), name.slice(slash + 1)]
  const target = pack === undefined ? draft : drafts.find((other) => other.pack === pack)
  if (target === undefined && pack !== undefined) absent.add(pack)
  return { target, local }
}

/** What the names in a pack's conditions stand for. `on` are the types of event that the condition is asked of. */
export function surroundingsOf(
  draft: Draft,
  shelf: Shelf,
  on: Surroundings['on'],
  report: Surroundings['report'],
  reading: readonly string[] = [],
): Surroundings {
  return {
    on,
    report,
    list: (name) => {
      const { target, local } = targetOf(name, draft, shelf)
      const list = target?.lists.get(local)
      if (list) list.used = true
      return list?.values
    },
    listNames: () => namesIn(shelf, draft, 'lists'),
    macro: (name) => readMacro(name, draft, shelf, reading),
  }
}

const namesIn = ({ drafts }: Shelf, draft: Draft, kind: 'lists' | 'macros'): string[] => [
  ...draft[kind].keys(),
  ...drafts
    .filter((other) => other !== draft)
    .flatMap((other) => [...other[kind].keys()].map((key) => `${other.pack}/${key}`)),
]

/** The condition that the name of a macro stands for. `reading` are the macros that are being read just now. */
function readMacro(
  name: string,
  draft: Draft,
  shelf: Shelf,
  reading: readonly string[],
): Condition | Omit<Fault, 'path'> {
  const { target, local } = targetOf(name, draft, shelf)
  const macro = target?.macros.get(local)
  if (target === undefined || macro === undefined) {
    const names = namesIn(shelf, draft, 'macros')
    const expected = names.length > 0 ? 'the name of a macro in "macros"' : 'a macro: the pack has none in "macros"'
    return { found: `the unknown macro ${show(name)}`, expected, suggestion: nearest(name, names) }
  }
  macro.used = true
  return conditionOf(macro, `${target.pack}/${local}`, target, shelf, reading)
}

/** Reads the macro the first time that it's asked for. */
function conditionOf(
  macro: Macro,
  name: string,
  draft: Draft,
  shelf: Shelf,
  reading: readonly string[],
): Condition | Omit<Fault, 'path'> {
  if (macro.state === 'reading') {
    const circle = [...reading.slice(reading.indexOf(name)), name].join(' > ')
    return { found: `a macro that leads back to itself: ${circle}`, expected: 'macros without a circle' }
  }
  if (macro.state === 'unread') {
    if (reading.length >= deepestMacros) {
      return { found: `macros ${reading.length + 1} deep`, expected: `at most ${deepestMacros}` }
    }
    macro.state = 'reading'
    const surroundings = surroundingsOf(draft, shelf, [], draft.report, [...reading, name])
    const condition = readCondition(macro.raw, macro.path, surroundings)
    const fault = condition && sizeFault(condition)
    if (fault) draft.report({ path: macro.path, ...fault })
    macro.condition = fault ? undefined : condition
    macro.state = 'read'
  }
  return macro.condition ?? { found: `the macro ${name}, which has a fault`, expected: 'that fault to be put right' }
}

/** Reads every macro, those that no rule uses as well. */
export function readMacros(draft: Draft, shelf: Shelf): void {
  for (const [name, macro] of draft.macros) conditionOf(macro, `${draft.pack}/${name}`, draft, shelf, [])
}
