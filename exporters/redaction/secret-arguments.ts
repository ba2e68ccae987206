/** Secrets that are arguments: of an option or a variable with a telling name, or of a program that is known for it. */
import { optionsOf, type SecretOptions } from './programs.ts'
import { isNoSecret, isSecretOption, isSecretVariable } from './secret-names.ts'
import { unquoted, type Word, wordings } from './words.ts'

export const argumentKind = 'password'

/** In the word of this index, from this character of it to that one. */
interface InWord {
  word: number
  from: number
  to: number
}

/** Where one command ends and another begins. */
const separator = /^(?:[|;&]{1,2}|then|do|else)$|[^\\];$/

/** @param quotes whether quotes around a value are a shell's, and no part of it */
function secretsIn(words: readonly string[], quotes: boolean): InWord[] {
  const found: InWord[] = []
  let known = new Set<SecretOptions>()
  let before = new Set<string>()

  const take = (index: number, start: number, name: string, keep?: RegExp) => {
    const text = words[index]
    if (text === undefined) return
    let { from, to } = quotes ? unquoted(text, start) : { from: start, to: text.length }
    if (keep !== undefined) {
      const kept = keep.exec(text.slice(from, to))
      if (kept === null) return
      from += kept[0].length
    }
    if (from < to && !isNoSecret(name, text.slice(from, to))) found.push({ word: index, from, to })
  }

  for (const [index, word] of words.entries()) {
    const equals = word.indexOf('=')
    if (equals > 0) {
      const name = word.slice(0, equals).replace(/^["']/, '')
      if (isSecretOption(name) || isSecretVariable(name)) take(index, equals + 1, name)
    }
    if (isSecretOption(word) && !words[index + 1]?.startsWith('-')) take(index + 1, 0, word)
    for (const { separate = [], attached = [], after, keep } of known) {
      if (after !== undefined && !before.has(after)) continue
      if (separate.includes(word)) take(index + 1, 0, 'password', keep)
      const option = attached.find((option) => word.startsWith(option) && word.length > option.length)
      // --password is no -p.
      if (option !== undefined) take(index, option.length, 'password', keep)
    }
    if (separator.test(word)) {
      known = new Set()
      before = new Set()
    } else {
      for (const options of optionsOf(word) ?? []) known.add(options)
      before.add(word)
    }
  }
  return found
}

/** The secrets in a program's arguments, each of which ends where the argument ends. */
export const inArguments = (words: readonly string[]): InWord[] => secretsIn(words, false)

/** The secrets in a command line that is one text: a script, or arguments that were joined. */
export function inCommandLine(text: string): { from: number; to: number }[] {
  return wordings(text).flatMap((words: Word[]) =>
    secretsIn(
      words.map((word) => word.text),
      true,
    ).map(({ word, from, to }) => {
      const start = words[word]?.from ?? 0
      return { from: start + from, to: start + to }
    }),
  )
}
