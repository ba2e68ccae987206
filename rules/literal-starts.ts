/**
 * The literal texts of which one must stand at the beginning wherever a regular expression matches: `^(python|pypy)[0-9.]*$`
 * matches nothing that doesn't begin with `python` or `pypy`. Reads the simple shapes that rules are written in, and says
 * nothing about all others.
 */

const meta = new Set('.+*?()|[]{}^$\\')
/** After these what stands before may be absent. */
const optional = new Set(['?', '*', '{'])

/** Escapes and classes are one token; a group that isn't captured begins with one of its own. */
const tokensOf = (pattern: string): string[] =>
  pattern.match(/\\[\s\S]|\[\^?\]?(?:\\[\s\S]|[^\]\\])*\]|\(\?:|[\s\S]/gu) ?? []

/** The character that a token stands for; undefined if it's more than one, or none. */
function literal(token: string): string | undefined {
  if (token.startsWith('\\')) return /^\\[^\p{L}\p{N}]$/u.test(token) ? token.slice(1) : undefined
  return token.startsWith('[') || token.startsWith('(') || meta.has(token) ? undefined : token
}

/** Splits at each bar that is in no group. */
function alternatives(tokens: readonly string[]): string[][] {
  const found: string[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token.startsWith('(')) depth++
    if (token === ')') depth--
    if (token === '|' && depth === 0) found.push([])
    else found.at(-1)?.push(token)
  }
  return found
}

/** Where the group that begins with the first token ends. */
function endOfGroup(tokens: readonly string[]): number {
  let depth = 0
  for (const [at, token] of tokens.entries()) {
    if (token.startsWith('(')) depth++
    if (token === ')' && --depth === 0) return at
  }
  return -1
}

/** More ways to begin than these say little. */
const mostRuns = 64

interface Runs {
  /** The literal texts of which one comes first: `j?ruby` has two. */
  readonly runs: readonly string[]
  /** They are all there is. */
  readonly whole: boolean
}

function literalRuns(tokens: readonly string[]): Runs {
  let runs: readonly string[] = ['']
  let at = 0
  while (at < tokens.length) {
    const token = tokens[at] ?? ''
    const length = token.startsWith('(') ? endOfGroup(tokens.slice(at)) + 1 : 1
    const next = tokens[at + length] ?? ''
    const one = length > 1 ? ofGroup(tokens.slice(at + 1, at + length - 1)) : ofToken(token)
    const longer = runs.flatMap((run) => one.runs.map((more) => run + more))
    const isOptional = next === '?' && one.whole
    if (longer.length + runs.length > mostRuns || (optional.has(next) && !isOptional)) return { runs, whole: false }
    runs = isOptional ? [...runs, ...longer] : longer
    if (!one.whole || next === '+') return { runs, whole: false }
    // Behind a question mark another one says how much is taken, and not what.
    at += length
    while (tokens[at] === '?') at++
  }
  return { runs, whole: true }
}

function ofToken(token: string): Runs {
  const character = literal(token)
  return character === undefined ? { runs: [''], whole: false } : { runs: [character], whole: true }
}

function ofGroup(tokens: readonly string[]): Runs {
  const members = alternatives(tokens).map(literalRuns)
  return { runs: members.flatMap(({ runs }) => runs), whole: members.every(({ whole }) => whole) }
}

/** Undefined if there are none, or they can't be told. The pattern is one that compiles. */
export function literalStarts(pattern: string): readonly string[] | undefined {
  const [anchor, ...tokens] = tokensOf(pattern)
  // Flags change what letters mean, and \Q what all else means.
  const isPlain = !/\(\?[^:]|\\Q/.test(pattern)
  if (anchor !== '^' || !isPlain || alternatives(tokens).length > 1) return undefined
  const { runs } = literalRuns(tokens)
  if (runs.includes('')) return undefined
  return [...new Set(runs)].filter((run) => !runs.some((other) => other !== run && run.startsWith(other)))
}
