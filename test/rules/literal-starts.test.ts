import fc from 'fast-check'
import { RE2JS } from 're2js'
import { expect, test } from 'vitest'
import { literalStarts } from '../../rules/literal-starts.ts'

test('the texts that a pattern can begin with are read from it', () => {
  expect(literalStarts('^(python|pypy)[0-9.]*$')).toEqual(['python', 'pypy'])
  expect(literalStarts('^php(-cgi|-cli)?[0-9.]*$')).toEqual(['php'])
  expect(literalStarts('^(?:/opt/a\\.b|/srv/c+d?)$')).toEqual(['/opt/a.b', '/srv/c'])
  expect(literalStarts('^j?ruby[0-9]*$')).toEqual(['ruby', 'jruby'])
  expect(literalStarts('^/(dev|run)/shm/')).toEqual(['/dev/shm/', '/run/shm/'])
  expect(literalStarts('^((a|b)c|d+e)f')).toEqual(['ac', 'bc', 'd'])
  expect(literalStarts('^a(b|c)?d')).toEqual(['ad', 'abd', 'acd'])
  expect(literalStarts('^node$')).toEqual(['node'])
})

test('where it may begin with something else, or begin anywhere, nothing is said', () => {
  const patterns = ['python', '(?i)^python', '^j?$', '^a|b', '^(a|.)?c', '^(|a)$', '^[ab]c', '^\\d', '^\\Qa.b\\E']
  for (const pattern of patterns) expect(literalStarts(pattern), pattern).toBeUndefined()
})

test('whatever a pattern matches begins with one of them', () => {
  const pieces = [
    'a',
    'b',
    '(',
    '(?:',
    ')',
    '|',
    '?',
    '*',
    '+',
    '{0,2}',
    '.',
    '[ab]',
    '[^a]',
    '\\.',
    '\\w',
    '^',
    '$',
    '😀',
  ]
  const pattern = fc.array(fc.constantFrom(...pieces), { maxLength: 9 }).map((parts) => `^${parts.join('')}`)
  const text = fc.array(fc.constantFrom('a', 'b', '.', 'c', '😀'), { maxLength: 5 }).map((parts) => parts.join(''))
  let told = 0
  fc.assert(
    fc.property(pattern.filter(compiles), fc.array(text, { minLength: 20, maxLength: 20 }), (source, texts) => {
      const starts = literalStarts(source)
      if (starts === undefined) return
      const compiled = RE2JS.compile(source)
      for (const one of texts.filter((each) => compiled.test(each))) {
        told++
        expect(starts.some((start) => one.startsWith(start))).toBe(true)
      }
    }),
    { numRuns: 4000 },
  )
  // Otherwise it would prove little.
  expect(told).toBeGreaterThan(300)
})

function compiles(source: string): boolean {
  try {
    return RE2JS.compile(source) !== undefined
  } catch {
    return false
  }
}
