import * as typebox from 'typebox'
import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { fits, type TSchema, Type } from '../../sensor/schema.ts'

/** The same schema by our functions and by typebox's own. */
const made: Record<string, (type: typeof Type) => TSchema> = {
  'an object with members that may be absent': (type) =>
    type.Object(
      { name: type.String({ minLength: 1 }), port: type.Optional(type.Integer({ n: 2 })), on: type.Boolean() },
      { additionalProperties: false, description: 'One.' },
    ),
  'an object of optional members alone': (type) => type.Object({ gt: type.Optional(type.Number()) }, { n: 3 }),
  'members that are used again stay optional': (type) => {
    const { properties } = type.Object({ ip: type.Optional(type.String()), port: type.Integer() })
    return type.Object({ ...properties, more: type.Array(type.Object(properties), { minItems: 1 }) })
  },
  'maps, with a pattern and without': (type) =>
    type.Object({
      labels: type.Record(type.String(), type.String(), { n: 1 }),
      lists: type.Record(type.String({ pattern: '^[a-z]+$' }), type.Array(type.Unknown())),
    }),
  'values, one and of several': (type) =>
    type.Union([type.Literal('v1', { title: 'version' }), type.Enum(['a', 'b']), type.Literal(3)], { default: 'a' }),
  'what is written out': (type) => type.Unsafe<string | null>({ type: ['string', 'null'], minLength: 1 }),
}

describe('a schema', () => {
  test.each(Object.entries(made))('%s: is the one that typebox makes', (_, make) => {
    expect(JSON.stringify(make(Type))).toBe(JSON.stringify(make(typebox.Type)))
  })
})

describe('a value', () => {
  const bound = Type.Optional(Type.Number())
  const schemas = [
    Type.String(),
    Type.Integer(),
    Type.Number(),
    Type.Boolean(),
    Type.Union([
      Type.Number(),
      Type.Object({ gt: bound, lt: bound }, { additionalProperties: false, minProperties: 1 }),
    ]),
  ]
  const values: unknown[] = [
    ...['', 'text', 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, true, false, null, undefined, [], [1], {}],
    ...[{ gt: 1 }, { gt: 1, lt: 2 }, { gt: '1' }, { gt: 1, more: 2 }, { toString: 1 }],
  ]
  test('fits a schema where typebox says so', () => {
    for (const schema of schemas)
      for (const value of values) {
        const said = `${JSON.stringify(value)} for ${JSON.stringify(schema)}`
        expect(`${said}: ${fits(schema, value)}`).toBe(`${said}: ${Check(schema, value)}`)
      }
  })
})
