/** A word of a command line, and where it is. */
export interface Word {
  text: string
  from: number
}

const plain = /\S+/g
/** What a shell's words consist of, and what is between them. A quote that is not closed is a character like any other. */
const pieces = /\s+|[^\s"']+|"(?:[^"\\]|\\.)*"|'[^']*'|["']/gs
/** After a double quote that is not closed: those that follow are escaped as it sees them, so none of them is closed. */
const piecesUnclosed = /\s+|[^\s']+|'[^']*'|'/g

/**
 * The words of a command line, by white space alone and as a shell has it: of a text whose quotes were a shell's, and
 * of one whose arguments were joined after the shell had taken them away, one of the two is right.
 */
export const wordings = (text: string): Word[][] =>
  /["']/.test(text) ? [plainWords(text), shellWords(text)] : [plainWords(text)]

const plainWords = (text: string): Word[] =>
  [...text.matchAll(plain)].map((match) => ({ text: match[0], from: match.index }))

/** No character is read more than three times: for a double quote and a single one that are not closed, and for itself. */
function shellWords(text: string): Word[] {
  const words: Word[] = []
  let apart = true
  let pattern = pieces
  for (let from = 0; from < text.length; ) {
    pattern.lastIndex = from
    const piece = pattern.exec(text)?.[0] ?? ''
    const last = words.at(-1)
    if (/^\s/.test(piece)) {
      apart = true
    } else if (apart || last === undefined) {
      words.push({ text: piece, from })
      apart = false
    } else {
      last.text += piece
    }
    if (piece === '"') pattern = piecesUnclosed
    from += piece.length
  }
  return words
}

/** Where the word's text begins and ends from `from` on, without the quotes around it and the end of the command. */
export function unquoted(text: string, from: number): { from: number; to: number } {
  const quote = text[from]
  if (quote !== '"' && quote !== "'") return { from, to: text.length }
  let to = text.length
  while (';)|&'.includes(text.charAt(to - 1)) && to > from + 1) to--
  if (to > from + 1 && /["']/.test(text.charAt(to - 1))) to--
  return { from: from + 1, to }
}
