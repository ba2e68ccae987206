/** What is wrong with a rule file, said so that its author can put it right: where, what was found, what was expected. */
import { closest, distance } from 'fastest-levenshtein'

export type JsonPath = readonly (string | number)[]

/** A fault at a place in a JSON value. */
export interface Fault {
  readonly path: JsonPath
  readonly found: string
  readonly expected: string
  readonly suggestion?: string | undefined
}

/** A fault in a file. `path` is a JSON path such as `$.rules[0].when.all[1]`; `message` is the whole as one line. */
export interface Problem {
  readonly file: string
  readonly path: string
  readonly found: string
  readonly expected: string
  readonly message: string
  readonly suggestion?: string
  /** Where the text is no JSON: line and column, both from 1. */
  readonly line?: number
  readonly column?: number
}

const longestPath = 64

/** A JSON path: `$.rules[0]["process.name"]`. Of one deeper than 64 the end. */
export function jsonPath(path: JsonPath): string {
  if (path.length > longestPath) return jsonPath(path.slice(-longestPath)).replace('$', '$…')
  const parts = path.map((part) => {
    if (typeof part === 'number') return `[${part}]`
    return /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${quote(part)}]`
  })
  return `$${parts.join('')}`
}

const longestShown = 80

/** As JSON writes it, with what could steer a terminal or turn the reading direction escaped too, and cut. */
function quote(text: string): string {
  const cut = text.length > longestShown ? `${text.slice(0, longestShown)}…` : text
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** A JSON value in a few words. Never walks into it: a file may nest deeper than the stack is. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return quote(value)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`
  if (typeof value !== 'object' || value === null) return String(value)
  const keys = Object.keys(value)
  const shown = keys.slice(0, 4).map(quote).join(', ')
  return keys.length === 0 ? 'an empty object' : `an object with ${shown}${keys.length > 4 ? ', …' : ''}`
}

/** The candidate that the word was most likely meant to be, if any is near: a third of its characters may differ. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0 || word.length > longestShown) return undefined
  const found = closest(word, candidates)
  return distance(word, found) <= Math.max(2, Math.floor(word.length / 3)) ? found : undefined
}

/** The problem that a fault is in its file. */
export function problemIn(file: string, fault: Fault, position?: { line: number; column: number }): Problem {
  const path = jsonPath(fault.path)
  const place = position ? `${file}:${position.line}:${position.column}` : file
  const hint = fault.suggestion === undefined ? '' : ` (did you mean ${fault.suggestion}?)`
  return {
    file,
    path,
    found: fault.found,
    expected: fault.expected,
    message: `${place}: ${path}: found ${fault.found}, expected ${fault.expected}${hint}`,
    ...(fault.suggestion !== undefined && { suggestion: fault.suggestion }),
    ...position,
  }
}

const mostShown = 20

/** Rules that can't be used. `problems` holds everything that is wrong with them, the message the first twenty. */
export class RuleError extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    const lines = problems.slice(0, mostShown).map((problem) => problem.message)
    if (problems.length > mostShown) lines.push(`and ${problems.length - mostShown} more; rules lint shows them all`)
    super(lines.join('\n'))
    this.name = 'RuleError'
    this.problems = problems
  }
}
