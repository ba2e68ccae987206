/** A word of a command line, and where it is. */
export interface Word {
  text: string
  from: number
}

const plain = /\S+/g
// A quote that is not closed is a character like any other. Quotes close at the next one, so each is read once.
const quoted = /(?:[^\s"']|"(?:[^"\\]|\\.)*"|'[^']*'|["'])+/gs

/**
 * The words of a command line, by white space alone and as a shell has it: of a text whose quotes were a shell's, and
 * of one whose arguments were joined after the shell had taken them away, one of the two is right.
 */
export function wordings(text: string): Word[][] {
  const split = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => ({ text: match[0], from: match.index }))
  return /["']/.test(text) ? [split(plain), split(quoted)] : [split(plain)]
}

/** Where the word's text begins and ends from `from` on, without the quotes around it and the end of the command. */
export function unquoted(text: string, from: number): { from: number; to: number } {
  const quote = text[from]
  if (quote !== '"' && quote !== "'") return { from, to: text.length }
  const end = /["']?[;)|&]*$/.exec(text)?.index ?? text.length
  return { from: from + 1, to: Math.max(from + 1, end) }
}
