/**
 * The part of Go's text/template that templates of SPIFFE IDs are written in: text, `{{ .A.B }}` and
 * `{{ index .A.B "key" }}`, with trim markers. Anything else (functions, pipelines, conditions) is not understood, and
 * said so: a template is rendered whole or not at all.
 */

type Piece = { text: string } | { path: string[] }

export type Template = {
  /** undefined: a value is not there. */
  render(values: unknown): string | undefined
}

const action = /\{\{(- )?\s*(.*?)\s*( -)?\}\}/gs
const field = /^(?:\.[A-Za-z_]\w*)+$/
const indexed = /^index\s+((?:\.[A-Za-z_]\w*)+)\s+"([^"\\]*)"$/

/** The reason if it is not understood. */
export function parseTemplate(source: string): Template | { problem: string } {
  const pieces: Piece[] = []
  let at = 0
  let trimNext = false
  const addText = (text: string, trimEnd: boolean) => {
    const started = trimNext ? text.trimStart() : text
    pieces.push({ text: trimEnd ? started.trimEnd() : started })
  }
  for (const found of source.matchAll(action)) {
    const [whole, trimBefore, inner = '', trimAfter] = found
    const path = pathOf(inner)
    if (!path) return { problem: `{{ ${inner} }} is neither a field (.PodMeta.Name) nor index of one` }
    addText(source.slice(at, found.index), trimBefore !== undefined)
    pieces.push({ path })
    trimNext = trimAfter !== undefined
    at = found.index + whole.length
  }
  addText(source.slice(at), false)
  if (pieces.some((piece) => 'text' in piece && /\{\{|\}\}/.test(piece.text))) return { problem: 'unbalanced {{ or }}' }
  return { render: (values) => rendered(pieces, values) }
}

function pathOf(inner: string): string[] | undefined {
  if (field.test(inner)) return inner.slice(1).split('.')
  const [, path, key] = indexed.exec(inner) ?? []
  return path === undefined || key === undefined ? undefined : [...path.slice(1).split('.'), key]
}

function rendered(pieces: Piece[], values: unknown): string | undefined {
  let text = ''
  for (const piece of pieces) {
    const value = 'text' in piece ? piece.text : valueAt(values, piece.path)
    if (value === undefined) return undefined
    text += value
  }
  return text
}

function valueAt(values: unknown, path: string[]): string | undefined {
  let value = values
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return typeof value === 'string' ? value : undefined
}
