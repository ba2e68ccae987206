/**
 * Looks for many words in a text at once, in time that grows with words and text and not with their product: Aho and
 * Corasick, "Efficient string matching", Communications of the ACM 18 (6), 1975. Words and text are sequences of
 * symbols, which may be longer than a character.
 */

/** What is known after some of the text: the longest beginning of a word that it ends with. */
export interface State<Tag> {
  /** So many symbols long; 0 if it ends with none. */
  readonly depth: number
  /** Of the first word that begins so; undefined at depth 0. */
  readonly tag: Tag | undefined
  /** Of the longest whole word that the text ends with. */
  readonly whole: Tag | undefined
  readonly next: ReadonlyMap<string, State<Tag>>
  /** The longest shorter beginning that the text ends with, too; undefined at depth 0. */
  readonly shorter: State<Tag> | undefined
}

interface Built<Tag> extends State<Tag> {
  whole: Tag | undefined
  shorter: Built<Tag> | undefined
  readonly next: Map<string, Built<Tag>>
}

/** The state before any text. */
export function searchFor<Tag>(words: Iterable<readonly [symbols: Iterable<string>, tag: Tag]>): State<Tag> {
  const start: Built<Tag> = { depth: 0, tag: undefined, whole: undefined, next: new Map(), shorter: undefined }
  for (const [symbols, tag] of words) {
    let state = start
    for (const symbol of symbols) {
      const next = state.next.get(symbol) ?? { ...start, depth: state.depth + 1, tag, next: new Map() }
      state.next.set(symbol, next)
      state = next
    }
    state.whole ??= tag
  }
  // Breadth first: what is shorter is complete already.
  const states = [start]
  for (const state of states) {
    for (const [symbol, next] of state.next) {
      next.shorter = state.shorter === undefined ? start : (after(state.shorter, symbol) as Built<Tag>)
      next.whole ??= next.shorter.whole
      states.push(next)
    }
  }
  return start
}

/** The state after one more symbol. */
export function after<Tag>(state: State<Tag>, symbol: string): State<Tag> {
  let from = state
  for (;;) {
    const next = from.next.get(symbol)
    if (next !== undefined) return next
    if (from.shorter === undefined) return from
    from = from.shorter
  }
}
