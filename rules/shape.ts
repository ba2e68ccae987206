/** Checks a value against a schema, and says in words what each error of the validator means. */
import { Ajv, type ErrorObject } from 'ajv'
import { type Fault, type JsonPath, nearest, show } from './problem.ts'

interface Schema {
  type?: string | string[]
  title?: string
  enum?: readonly unknown[]
  minItems?: number
  minimum?: number
  properties?: Record<string, Schema>
}

const words: Readonly<Record<string, string>> = {
  object: 'an object',
  array: 'an array',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
}

const expectedOf = ({ title, type = [] }: Schema): string => {
  const types = [type].flat().map((type) => words[type])
  return title ?? (types.length > 0 ? types.join(' or ') : 'another value')
}
const listed = (values: readonly unknown[]): string => values.map(String).join(', ')

type Explain = (error: ErrorObject, schema: Schema, path: JsonPath) => Fault

const asExpected: Explain = (error, schema, path) => ({ path, found: show(error.data), expected: expectedOf(schema) })

const explanations: Readonly<Record<string, Explain>> = {
  required: (error, schema, path) => {
    const key = String(error.params.missingProperty)
    return { path, found: `no ${show(key)}`, expected: `${show(key)}: ${expectedOf(schema.properties?.[key] ?? {})}` }
  },
  additionalProperties: (error, schema, path) => {
    const key = String(error.params.additionalProperty)
    const known = Object.keys(schema.properties ?? {})
    const expected = known.length > 0 ? `one of ${known.join(', ')}` : expectedOf(schema)
    return { path: [...path, key], found: `the unknown key ${show(key)}`, expected, suggestion: nearest(key, known) }
  },
  enum: (error, schema, path) => {
    const values = schema.enum ?? []
    const suggestion = typeof error.data === 'string' ? nearest(error.data, values.map(String)) : undefined
    return { path, found: show(error.data), expected: `one of ${listed(values)}`, suggestion }
  },
  minItems: (error, schema, path) => {
    return { path, found: show(error.data), expected: `an array of at least ${schema.minItems}` }
  },
  maxItems: asExpected,
  minLength: (_, __, path) => ({ path, found: 'empty text', expected: 'text' }),
  minimum: (error, schema, path) => ({ path, found: show(error.data), expected: `${schema.minimum} or more` }),
  uniqueItems: (error, _, path) => {
    return {
      path: [...path, Number(error.params.i)],
      found: 'a value that stands there twice',
      expected: 'each value once',
    }
  },
}

/** RFC 6901. An array's index and an object's key that is a number look alike there; the value tells them apart. */
function pathOf(pointer: string, value: unknown): JsonPath {
  const path: (string | number)[] = []
  let at = value
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    path.push(Array.isArray(at) ? Number(key) : key)
    at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined
  }
  return path
}

/**
 * A check by a JSON Schema: everything in which a value isn't what the schema describes. What it is compiled to takes some
 * megabytes and is needed once in a sensor's life, or a few times: V8 may take it back, and it is soon made anew.
 */
export function shapeChecker(schema: object): (value: unknown) => Fault[] {
  const compile = () => new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true }).compile(schema)
  let compiled: WeakRef<ReturnType<typeof compile>> | undefined
  return (value) => {
    const validate = compiled?.deref() ?? compile()
    compiled = new WeakRef(validate)
    if (validate(value)) return []
    const errors = validate.errors ?? []
    validate.errors = null // with its data
    return errors.map((error) => {
      const explain = explanations[error.keyword] ?? asExpected
      return explain(error, (error.parentSchema ?? {}) as Schema, pathOf(error.instancePath, value))
    })
  }
}
