/** Text as someone would choose it who wants a terminal or a parser to do something. */
import fc from 'fast-check'

const pieces = [
  '\x1b[2J\x1b[H',
  '\x1b]0;owned\x07',
  '\u009b31m',
  '\r',
  '\n',
  '\r\nCRITICAL  forged',
  '\0',
  '\t',
  '\x7f',
  '\u2028',
  '\u202e',
  '\u2066',
  '\u200b',
  '\ufeff',
  '\u{e0041}',
  '\ud800',
  '\udc00',
  '"',
  "'",
  '\\',
  '\\n',
  '$(id)',
  '`id`',
  '!!',
  ' ',
  '日本',
  '🦜',
  'e\u0301',
]

/** Never empty. */
export const hostile = fc
  .array(
    fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: 'binary', maxLength: 4 }), fc.string({ maxLength: 4 })),
    {
      minLength: 1,
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(''))
  .filter((text) => text !== '')
