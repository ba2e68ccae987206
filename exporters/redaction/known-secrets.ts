/**
 * Secrets that one text of an alert told, in its other texts. An attacker decides how many there are and what they look
 * like, so all are looked for at once.
 */
import { after, searchFor } from './automaton.ts'
import { marker, merged, type Span, without } from './span.ts'

/** Of a secret that was cut so many characters may stay. */
const mostLeft = 2
/** Where the engine cuts a value that a message quotes, it puts this. */
const ellipsis = '…'

/** Words, and single characters between them: no secret is part of a longer word, as the `secret` of `secretary` is. */
const tokens = /[[\p{L}\p{N}]&&[\0-\uffff]]+|./gsv

export interface KnownSecrets {
  withoutKnown(text: string): string
  /** Without the beginnings of secrets that were cut off by an ellipsis. */
  withoutCut(text: string): string
}

/** @param secrets with the kind of each */
export function knownSecrets(secrets: ReadonlyMap<string, string>): KnownSecrets {
  if (secrets.size === 0) return { withoutKnown: (text) => text, withoutCut: (text) => text }
  const known = [...secrets].map(([secret, kind]) => ({ secret, kind }))
  const start = searchFor(known.map((one) => [one.secret.match(tokens) ?? [], one]))

  return {
    withoutKnown(text) {
      const spans: Span[] = []
      let state = start
      let to = 0
      for (const token of text.match(tokens) ?? []) {
        state = after(state, token)
        to += token.length
        // Shorter ones that end here, too, are part of it.
        if (state.whole) spans.push({ kind: state.whole.kind, from: to - state.whole.secret.length, to })
      }
      return without(text, merged(spans))
    },

    withoutCut(text) {
      if (!text.includes(ellipsis)) return text
      const begin = searchFor(known.map((one) => [one.secret.split(''), one]))
      const withoutBeginning = (part: string) => {
        const { depth, tag } = part.split('').reduce(after, begin)
        return tag && depth > mostLeft ? part.slice(0, -depth) + marker(tag.kind) : part
      }
      return text
        .split(ellipsis)
        .map((part, index, parts) => (index < parts.length - 1 ? withoutBeginning(part) : part))
        .join(ellipsis)
    },
  }
}
