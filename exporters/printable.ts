/**
 * Text that a watched process chose, made safe to print. It writes its own argv, names and paths: raw, they could
 * move the cursor, recolour or retitle the terminal (ESC, and the C1 controls U+0080-9F), start a new line that looks
 * like another alert, or show itself in another order than it runs (bidirectional controls, "Trojan Source").
 * Escaped is all that Unicode calls Other (control, format, surrogate, private, unassigned), and its line breaks.
 */
const unsafe = /[\p{C}\p{Zl}\p{Zp}]/gu
const unsafeOrBackslash = /[\p{C}\p{Zl}\p{Zp}\\]/gu
const unsafeOrQuoting = /[\p{C}\p{Zl}\p{Zp}\\']/gu

const short: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\', "'": "\\'" }

/** The escape that bash's $'...' reads back as this character. */
function escapeOf(character: string): string {
  const codePoint = character.codePointAt(0) ?? 0
  const hex = (digits: number) => codePoint.toString(16).padStart(digits, '0')
  if (codePoint < 0x80) return short[character] ?? `\\x${hex(2)}`
  return codePoint < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`
}

/** One line with nothing in it that a terminal obeys. A backslash is doubled, so that an escape can't be forged. */
export function printable(text: string): string {
  return text.replace(unsafeOrBackslash, escapeOf)
}

/** One argument as bash would have to be given it: bare, in quotes, or with escapes in $'...'. One line, as above. */
export function shellQuoted(argument: string): string {
  if (argument.search(unsafe) >= 0) return `$'${argument.replace(unsafeOrQuoting, escapeOf)}'`
  if (/^[\p{L}\p{N}_@%+=:,./-]+$/u.test(argument)) return argument
  // Double quotes read better around single ones, as long as nothing in them has a meaning there.
  const double = argument.includes("'") && !/["$`\\!]/.test(argument)
  return double ? `"${argument}"` : `'${argument.replaceAll("'", "'\\''")}'`
}

/** JSON on one line, the same characters escaped as JSON does it: a parser reads the very same value. */
export const printableJson = (value: unknown): string => printableJsonText(JSON.stringify(value))

/** Of JSON that is text already. */
export function printableJsonText(json: string): string {
  return json.replace(unsafe, (character) =>
    Array.from({ length: character.length }, (_, unit) => {
      return `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`
    }).join(''),
  )
}
