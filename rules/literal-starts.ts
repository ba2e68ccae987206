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

/** Optional characters double the ways to begin; more than these say little. */
const mostRuns = 8

/** The literal texts that a run of tokens can begin with: `j?ruby` with two. */
function literalRuns(tokens: readonly string[]): string[] {
  let runs = ['']
  for (const [at, token] of tokens.entries()) {
    const character = literal(token)
    const next = tokens[at + 1] ?? ''
    if (character === undefined) {
      if (token === '?' && at > 0) continue
      break
    }
    const longer = runs.map((run) => run + character)
    if (next === '?' && runs.length < mostRuns) runs = [...runs, ...longer]
    else if (optional.has(next)) break
    else runs = longer
    if (next === '+') break
  }
  return runs
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

/** Undefined if there are none, or they can't be told. The pattern is one that compiles. */
export function literalStarts(pattern: string): string[] | undefined {
  const [anchor, ...tokens] = tokensOf(pattern)
  // Flags change what letters mean, and \Q what all else means.
  const isPlain = !/\(\?[^:]|\\Q/.test(pattern)
  if (anchor !== '^' || !isPlain || alternatives(tokens).length > 1) return undefined
  const end = tokens[0]?.startsWith('(') ? endOfGroup(tokens) : -1
  if (end >= 0 && optional.has(tokens[end + 1] ?? '')) return undefined
  const runs = end < 0 ? literalRuns(tokens) : alternatives(tokens.slice(1, end)).flatMap(literalRuns)
  return runs.includes('') ? undefined : runs
}
