/** A JSON Schema as the rows of a table: each leaf with its path, its type in words, its default and its meaning. */

/** What is read of a JSON Schema here. */
export interface Shape {
  readonly type?: string | readonly string[]
  readonly title?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly patternProperties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
}

export interface Row {
  /** Members joined by dots, `[]` behind a list and `.<name>` behind a map: `exporters.webhooks[].headers.<name>`. */
  readonly path: string
  readonly type: string
  /** Undefined: there is none. */
  readonly default: unknown
  readonly required: boolean
  readonly description: string
}

const json = (value: unknown) => JSON.stringify(value)

const formats: Readonly<Record<string, string>> = { 'date-time': 'RFC 3339 time' }

function bounds({ minimum, maximum }: Shape): string {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`
  return minimum === undefined ? '' : `, at least ${minimum}`
}

/** What may stand there, in words. A title says it best. */
export function typeInWords(shape: Shape): string {
  if (shape.const !== undefined) return json(shape.const)
  if (shape.title !== undefined) return orNull(shape.title, shape)
  if (shape.enum) return shape.enum.map((value) => (typeof value === 'string' ? value : json(value))).join(', ')
  if (shape.format !== undefined && formats[shape.format]) return formats[shape.format] ?? ''
  const [first = 'anything'] = [shape.type ?? []].flat()
  return orNull(`${first === 'array' ? 'list' : first}${bounds(shape)}`, shape)
}

function orNull(words: string, { type }: Shape): string {
  return Array.isArray(type) && type.includes('null') && !/\bnull\b/.test(words) ? `${words}, or null` : words
}

/**
 * Rows in the schema's own order. An object or a list that has a meaning or a default of its own has a row, too. What
 * `leave` says of a path stands in place of what lies below it.
 */
export function* rows(
  shape: Shape,
  path = '',
  required = false,
  leave: (path: string) => string | undefined = () => undefined,
): Generator<Row> {
  const words = leave(path)
  const row = (type: string): Row => ({
    path,
    type,
    default: shape.default,
    required,
    description: words ?? shape.description ?? '',
  })
  if (words !== undefined) {
    yield row(shape.items ? 'list' : 'object')
  } else if (shape.properties) {
    if (path !== '' && (shape.description !== undefined || shape.default !== undefined)) yield row(typeInWords(shape))
    for (const [name, inner] of Object.entries(shape.properties)) {
      const below = path === '' ? name : `${path}.${name}`
      yield* rows(inner, below, shape.required?.includes(name) === true, leave)
    }
  } else if (shape.items?.properties) {
    if (shape.description !== undefined || shape.default !== undefined) yield row(typeInWords(shape))
    yield* rows(shape.items, `${path}[]`, false, leave)
  } else if (shape.items) {
    yield row(`list of ${typeInWords(shape.items)}`)
  } else if (shape.patternProperties) {
    const [entry = {}] = Object.values(shape.patternProperties)
    yield { ...row(entry.items ? `list of ${typeInWords(entry.items)}` : typeInWords(entry)), path: `${path}.<name>` }
  } else {
    yield row(typeInWords(shape))
  }
}
