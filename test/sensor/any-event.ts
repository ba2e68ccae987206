/** Any event that the schema allows, for property tests: made from the schema itself, so that no field is forgotten. */
import fc from 'fast-check'
import { Event } from '../../sensor/event.ts'

interface Shape {
  type?: string
  enum?: unknown[]
  properties?: Record<string, Shape>
  patternProperties?: Record<string, Shape>
  items?: Shape
  required?: string[]
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', '\0', '\n', '\ufeff', '\ufffd', '\u{1f980}', '__proto__', 'null', 'x'.repeat(300)),
)
/** Unix milliseconds up to the end of the year 9999, as RFC 3339 can write them. */
const time = fc.double({ min: 0, max: 253_402_300_799_999, noNaN: true }).map((value) => value + 0)
const times = new Set(['time', 'start_time'])

function anyOf(key: string, shape: Shape): fc.Arbitrary<unknown> {
  if (times.has(key)) return time
  if (shape.enum) return fc.constantFrom(...shape.enum)
  if (shape.items) return fc.array(anyOf('', shape.items), { minLength: 1, maxLength: 4 })
  if (shape.patternProperties)
    return fc.dictionary(text.filter(ordinary), text, { minKeys: 1, maxKeys: 4, noNullPrototype: true })
  if (shape.properties) return objectOf(shape)
  switch (shape.type) {
    case 'string':
      return text
    case 'integer':
      return fc.maxSafeInteger()
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true })
    case 'boolean':
      return fc.boolean()
    default:
      throw new Error(`${key}: no values for ${JSON.stringify(shape)}`)
  }
}
/** In a JavaScript object this key is no key. */
const ordinary = (key: string) => key !== '__proto__'

function objectOf({ properties = {}, required = [] }: Shape): fc.Arbitrary<Record<string, unknown>> {
  const values = Object.entries(properties).map(([key, shape]) => [key, anyOf(key, shape)] as const)
  return fc.record(Object.fromEntries(values), { requiredKeys: required, noNullPrototype: true })
}

export const anyEvent = objectOf(Event as Shape).map((event) => event as Event)
