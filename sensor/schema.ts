/**
 * JSON Schemas whose TypeScript types are known: typebox's types, without its library. Of that this needs one function for
 * each keyword here; it is seven hundred modules, which take 12 MiB of the sensor's memory.
 */
import type { TSchema, Type as TypeBox } from 'typebox'

export type { Static, TObject, TProperties, TSchema } from 'typebox'

type Schema = Record<string, unknown>

/** What an object need not have. Beside the schemas, as they hold nothing but keywords. */
const optional = new WeakSet<object>()

const required = (properties: Record<string, object>) => {
  const names = Object.keys(properties).filter((name) => !optional.has(properties[name] ?? {}))
  return names.length > 0 ? { required: names } : {}
}

const keywords = {
  Array: (items: Schema, options?: Schema) => ({ type: 'array', items, ...options }),
  Boolean: (options?: Schema) => ({ type: 'boolean', ...options }),
  Enum: (values: readonly unknown[], options?: Schema) => ({ enum: values, ...options }),
  Integer: (options?: Schema) => ({ type: 'integer', ...options }),
  Literal: (value: string | number | boolean, options?: Schema) => ({ type: typeof value, const: value, ...options }),
  Number: (options?: Schema) => ({ type: 'number', ...options }),
  Object: (properties: Record<string, object>, options?: Schema) => ({
    type: 'object',
    ...required(properties),
    properties,
    ...options,
  }),
  Optional(schema: Schema) {
    const copy = { ...schema }
    optional.add(copy)
    return copy
  },
  Record: (key: Schema, value: Schema, options?: Schema) => ({
    type: 'object',
    patternProperties: { [String(key.pattern ?? '^.*$')]: value },
    ...options,
  }),
  String: (options?: Schema) => ({ type: 'string', ...options }),
  Union: (anyOf: readonly Schema[], options?: Schema) => ({ anyOf, ...options }),
  Unknown: (options?: Schema) => ({ ...options }),
  Unsafe: (schema: Schema) => ({ ...schema }),
}

/** The functions of typebox's own names, of its types. */
export const Type = keywords as unknown as Pick<typeof TypeBox, keyof typeof keywords>

const ofType: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  number: Number.isFinite,
  integer: Number.isInteger,
}

/** Whether a value is what a small schema says: a scalar, an object of such with no other members, or one of these. */
export function fits(schema: TSchema, value: unknown): boolean {
  const {
    type = '',
    anyOf,
    properties = {},
    minProperties = 0,
  } = schema as unknown as {
    type?: string
    anyOf?: TSchema[]
    properties?: Record<string, TSchema>
    minProperties?: number
  }
  if (anyOf) return anyOf.some((one) => fits(one, value))
  if (type !== 'object') return ofType[type]?.(value) === true
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const members = Object.entries(value)
  const known = ([name, member]: [string, unknown]) =>
    Object.hasOwn(properties, name) && properties[name] !== undefined && fits(properties[name], member)
  return members.length >= minProperties && members.every(known)
}
