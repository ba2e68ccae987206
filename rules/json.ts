/**
 * Reads JSON (RFC 8259) that people write. JSON.parse doesn't always say where it stopped, and of two members with one
 * name it silently keeps the last, which in a condition loses half of what the author asked for. So the text is scanned
 * first: one pass, no recursion.
 */
import { type Fault, type JsonPath, show } from './problem.ts'

export interface SyntaxFault extends Fault {
  /** Line and column, both from 1. */
  readonly line: number
  readonly column: number
}

export type Json = { value: unknown } | { faults: readonly SyntaxFault[] }

/** A JSON object, and neither an array nor null. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const space = /[ \t\n\r]*/y
const token = /[{}[\],:]|"[^"\\]*(?:\\[\s\S][^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const word = /[^\s{}[\],:]{0,24}/y

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or }' | ', or ]' | 'end'

const inWords: Readonly<Record<Expected, string>> = {
  value: 'a value',
  'value or ]': 'a value or ]',
  key: 'a key in double quotes',
  'key or }': 'a key in double quotes or }',
  ':': 'a colon',
  ', or }': 'a comma or }',
  ', or ]': 'a comma or ]',
  end: 'the end of the file',
}

interface Container {
  readonly keys?: Set<string>
  /** The index or the key that the scan is at; none yet in a new object. */
  at?: string | number
}

function position(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

/** The text of a string; undefined if it has an unknown escape or a character that must be escaped. */
function textOf(string: string): string | undefined {
  try {
    return JSON.parse(string)
  } catch {
    return undefined
  }
}

/** What stands where the text stops being JSON, and what could. */
function stray(text: string, offset: number, found: string | undefined, expected: Expected): [string, string] {
  if (offset === text.length) return ['the end of the file', inWords[expected]]
  if (found?.startsWith('"') && textOf(found) === undefined) {
    return [show(found), 'a string whose line breaks and backslashes are escaped (\\n, \\\\)']
  }
  if (found === undefined && text[offset] === '"') return ['a string without an end', 'a double quote to end it']
  word.lastIndex = offset
  return [show(found ?? (word.exec(text)?.[0] || text.slice(offset, offset + 1))), inWords[expected]]
}

/** The value, or the place where the text stops being JSON, or every member whose name its object already has. */
export function readJson(text: string): Json {
  const open: Container[] = []
  const repeated: SyntaxFault[] = []
  let expected: Expected = 'value'
  let offset = 0

  const path = (): JsonPath => open.flatMap(({ at }) => at ?? [])
  const afterValue = (): Expected => {
    const inside = open.at(-1)
    if (inside === undefined) return 'end'
    return inside.keys ? ', or }' : ', or ]'
  }

  /** Takes one token; undefined if it can't stand here. */
  const next = (found: string): Expected | undefined => {
    const inside = open.at(-1)
    const wantsValue = expected === 'value' || expected === 'value or ]'
    if (wantsValue && found === '{') {
      open.push({ keys: new Set() })
      return 'key or }'
    }
    if (wantsValue && found === '[') {
      open.push({ at: 0 })
      return 'value or ]'
    }
    if ((found === '}' && expected.endsWith('}')) || (found === ']' && expected.endsWith(']'))) {
      open.pop()
      return afterValue()
    }
    const string = found.startsWith('"') ? textOf(found) : ''
    if (string === undefined) return undefined
    if (inside?.keys && found.startsWith('"') && expected.startsWith('key')) {
      inside.at = string
      if (inside.keys.has(string)) {
        const expects = 'each name once in an object; join the two'
        repeated.push({ path: path(), found: `${show(string)} again`, expected: expects, ...position(text, offset) })
      }
      inside.keys.add(string)
      return ':'
    }
    if (found === ':' && expected === ':') return 'value'
    if (inside && found === ',' && expected.startsWith(',')) {
      if (inside.keys) return 'key'
      inside.at = Number(inside.at) + 1
      return 'value'
    }
    return wantsValue && !'{}[],:'.includes(found) ? afterValue() : undefined
  }

  for (;;) {
    space.lastIndex = offset
    offset += space.exec(text)?.[0].length ?? 0
    token.lastIndex = offset
    const found = token.exec(text)?.[0]
    const then = found === undefined ? undefined : next(found)
    if (found !== undefined && then !== undefined) {
      offset += found.length
      expected = then
      continue
    }
    if (offset === text.length && expected === 'end') break
    const [shown, wanted] = stray(text, offset, found, expected)
    return { faults: [{ path: path(), found: shown, expected: wanted, ...position(text, offset) }] }
  }
  return repeated.length > 0 ? { faults: repeated } : { value: JSON.parse(text) }
}
