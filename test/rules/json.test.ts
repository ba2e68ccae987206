import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readJson } from '../../rules/json.ts'

const fault = (text: string) => {
  const json = readJson(text)
  if ('value' in json) throw new Error('this is JSON')
  const [first] = json.faults
  return (
    first && { line: first.line, column: first.column, found: first.found, expected: first.expected, path: first.path }
  )
}

test('the place where JSON ends is told by line and column, with what was expected there', () => {
  expect(fault('{\n  "a": 1,\n}')).toEqual({
    line: 3,
    column: 1,
    found: '"}"',
    expected: 'a key in double quotes',
    path: ['a'],
  })
  expect(fault('{"a":}')).toMatchObject({ line: 1, column: 6, found: '"}"', expected: 'a value' })
  expect(fault('')).toMatchObject({ line: 1, column: 1, found: 'the end of the file', expected: 'a value' })
  expect(fault('{"rules":[{"id": "a"')).toMatchObject({
    found: 'the end of the file',
    expected: 'a comma or }',
    path: ['rules', 0, 'id'],
  })
  expect(fault('[1 2]')).toMatchObject({ column: 4, found: '"2"', expected: 'a comma or ]' })
  expect(fault("{'a': 1}")).toMatchObject({ column: 2, expected: 'a key in double quotes or }' })
  expect(fault('{"a": yes}')).toMatchObject({ column: 7, found: '"yes"', expected: 'a value' })
  expect(fault('{} // done')).toMatchObject({ column: 4, expected: 'the end of the file' })
  expect(fault('{"a": "b')).toMatchObject({ column: 7, found: 'a string without an end' })
  expect(fault('{"a": "b\nc"}')).toMatchObject({ column: 7, expected: expect.stringContaining('escaped') })
  expect(fault('{"a": "\\d+"}')).toMatchObject({
    found: '"\\"\\\\d+\\""',
    expected: expect.stringContaining('escaped'),
  })
})

test('a name that stands twice in an object is a fault: JSON.parse would drop the first', () => {
  expect(fault('{"when": {"process.name": "a",\n "process.name": "b"}}')).toEqual({
    line: 2,
    column: 2,
    found: '"process.name" again',
    expected: 'each name once in an object; join the two',
    path: ['when', 'process.name'],
  })
  expect(readJson('[{"a":1},{"a":1}]')).toEqual({ value: [{ a: 1 }, { a: 1 }] })
})

test('it takes and refuses the same texts as JSON.parse', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"b"',
    '"\\u0041"',
    '"\\x"',
    '"',
    '\\',
    '1',
    '-0.5e3',
    '01',
    '-',
    '1.',
    'true',
    'nul',
    'null',
    ' ',
    '\n',
    '\t',
    '\u0000',
    '\u00a0',
  )
  const texts = fc.oneof(
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.json(),
    fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(([json, at, junk]) => {
      const cut = at % (json.length + 1)
      return json.slice(0, cut) + junk + json.slice(cut + 1)
    }),
  )
  fc.assert(
    fc.property(texts, (text) => {
      let parsed: { value: unknown } | undefined
      try {
        parsed = { value: JSON.parse(text) }
      } catch {
        parsed = undefined
      }
      const json = readJson(text)
      if ('value' in json) expect(json).toEqual(parsed)
      else if (parsed) expect(json.faults.every(({ found }) => found.endsWith(' again'))).toBe(true)
    }),
    { numRuns: 3000 },
  )
})

test('neither depth nor length is too much', () => {
  expect(fault('['.repeat(200_000))).toMatchObject({ column: 200_001 })
  expect('value' in readJson(`${'['.repeat(200_000)}${']'.repeat(200_000)}`)).toBe(true)
  expect(readJson(`"${'x'.repeat(5_000_000)}"`)).toHaveProperty('value')
  expect(readJson(`"${'\\n'.repeat(1_000_000)}"`)).toHaveProperty('value')
})
