/** The little Markdown that generated documents are made of. */

/** Text that means itself: `|` would end a cell, `<` begin a tag, `*` and `_` stress a word. */
export const escaped = (text: string): string =>
  text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('__', '\\_\\_')

/** As code; within a table `|` needs its backslash even there. */
export const code = (text: string): string => `\`${text.replaceAll('|', '\\|')}\``

export const row = (...cells: string[]): string => `| ${cells.join(' | ')} |`

/** The lines of a table, its empty line after it. */
export const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(...heads),
  row(...heads.map(() => '---')),
  ...rows.map((cells) => row(...cells)),
  '',
]

/** Lines as a file: none empty at the end, one newline. */
export const document = (lines: readonly string[]): string => `${lines.join('\n').trimEnd()}\n`
