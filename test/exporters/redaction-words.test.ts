import fc from 'fast-check'
import { expect, test } from 'vitest'
import { unquoted, wordings } from '../../exporters/redaction/words.ts'

const hostile = fc
  .array(fc.constantFrom('"', "'", '\\', ' ', '\n', 'a', '=', ';', ')'), { maxLength: 24 })
  .map((all) => all.join(''))

test('the words of a shell, quotes that are not closed among them', () => {
  // The same in one expression, which reads the rest of the text at each quote that is not closed.
  const word = /(?:[^\s"']|"(?:[^"\\]|\\.)*"|'[^']*'|["'])+/gs
  fc.assert(
    fc.property(hostile, (text) => {
      const words = [...text.matchAll(word)].map((match) => ({ text: match[0], from: match.index }))
      expect(wordings(text).at(-1)).toEqual(words)
    }),
    { numRuns: 5000 },
  )
})

test('a value without its quotes, and without the end of the command behind it', () => {
  fc.assert(
    fc.property(fc.constantFrom('', 'a='), fc.constantFrom('"', "'"), hostile, (name, quote, rest) => {
      const text = name + quote + rest
      const from = name.length
      const end = /["']?[;)|&]*$/.exec(text)?.index ?? text.length
      expect(unquoted(text, from)).toEqual({ from: from + 1, to: Math.max(from + 1, end) })
    }),
    { numRuns: 5000 },
  )
})
