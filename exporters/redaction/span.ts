/** A stretch of a text that is a secret: [from, to). `kind` says which, and is a label in metrics: there are few. */
export interface Span {
  kind: string
  from: number
  to: number
}

/** In order and without overlap: what overlaps becomes one, of the kind of the first. */
export function merged(spans: readonly Span[]): Span[] {
  const result: Span[] = []
  for (const span of spans.toSorted((one, other) => one.from - other.from || other.to - one.to)) {
    const last = result.at(-1)
    if (last !== undefined && span.from < last.to) last.to = Math.max(last.to, span.to)
    else result.push({ ...span })
  }
  return result
}

export const marker = (kind: string) => `[redacted:${kind}]`

/** The text with a marker in place of each span; `spans` as `merged` gives them. */
export function without(text: string, spans: readonly Span[]): string {
  let result = ''
  let at = 0
  for (const { kind, from, to } of spans) {
    result += text.slice(at, from) + marker(kind)
    at = to
  }
  return result + text.slice(at)
}
