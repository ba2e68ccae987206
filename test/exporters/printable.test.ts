import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { printable, printableJson, shellQuoted } from '../../exporters/printable.ts'
import { hostile } from './hostile.ts'

/** What a terminal, or a reader's eye, obeys. Written out, not asked of the code under test. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
const obeyed = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/

test('no control character, escape sequence or bidirectional control survives in printed text', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      expect(printable(text)).not.toMatch(obeyed)
      expect(shellQuoted(text)).not.toMatch(obeyed)
      expect(printableJson({ [text]: text })).not.toMatch(obeyed)
    }),
    { numRuns: 1000 },
  )
})

test.each([
  ['plain', 'plain'],
  ['two\nlines', 'two\\nlines'],
  ['\x1b[2J', '\\x1b[2J'],
  ['\u009b2J', '\\u009b2J'],
  ['a\u202eb', 'a\\u202eb'],
  ['\u{e0001}', '\\U000e0001'],
  ['\ud800', '\\ud800'],
  ['grün 日本 🦜', 'grün 日本 🦜'],
])('%j is printed as %s', (text, printed) => {
  expect(printable(text)).toBe(printed)
})

test('a backslash and an n are not printed like a newline', () => {
  expect(printable('\\n')).not.toBe(printable('\n'))
  fc.assert(fc.property(hostile, hostile, (a, b) => a === b || printable(a) !== printable(b)))
})

test.each([
  ['-c', '-c'],
  ['/usr/bin/curl', '/usr/bin/curl'],
  ['', "''"],
  ['two words', "'two words'"],
  ["it's", '"it\'s"'],
  ["it's $HOME", "'it'\\''s $HOME'"],
  ['a\\b', "'a\\b'"],
  ["a\n'\\", "$'a\\n\\'\\\\'"],
])('the argument %j is quoted as %s', (argument, quoted) => {
  expect(shellQuoted(argument)).toBe(quoted)
})

test('bash reads a quoted command line back as the arguments it was made of', () => {
  // argv holds no NUL, and no lone surrogate once it is decoded.
  const inArgv = hostile.map((text) => text.replaceAll('\0', '').toWellFormed())
  const samples = fc.sample(inArgv, { numRuns: 300, seed: 4711 })
  const script = `printf '%s\\0' ${samples.map(shellQuoted).join(' ')}`
  const read = execFileSync('bash', ['--norc', '-c', script], { env: { LC_ALL: 'C.UTF-8' }, encoding: 'utf8' })
  expect(read.split('\0').slice(0, -1)).toEqual(samples)
})

test('JSON made safe for a terminal is one line and has the same value', () => {
  fc.assert(
    fc.property(fc.dictionary(hostile, fc.array(hostile)), (value) => {
      const json = printableJson(value)
      expect(json).not.toContain('\n')
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})
