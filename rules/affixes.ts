/**
 * Many texts that a value may begin or end with, found in one walk over the value: a radix tree, each branch a piece of
 * text that several have in common. What it costs depends on how far the value follows a branch, not on how many there
 * are, and no piece of the value is copied.
 */

export interface Affixes<T> {
  readonly add: (text: string, entry: T) => void
  /** Gives the entries of each text that the value begins (or ends) with; of the empty one, none. */
  readonly find: (value: string, found: (entry: T) => void) => void
  /** Does it begin (or end) with one of the texts? */
  readonly has: (value: string) => boolean
}

/** Begins where its parent ends; its text is read in the direction of the walk. */
interface Branch<T> {
  text: string
  entries: T[]
  /** By the first code unit of their text. */
  next: Map<number, Branch<T>>
}

/** How a text is read from its beginning on, or from its end back. `at` and `skipped` are counted in that direction. */
interface Direction {
  readonly unit: (text: string, at: number) => number
  readonly first: (text: string, length: number) => string
  readonly after: (text: string, length: number) => string
  readonly follows: (value: string, skipped: number, text: string) => boolean
}

const directions: Readonly<Record<'begins' | 'ends', Direction>> = {
  begins: {
    unit: (text, at) => text.charCodeAt(at),
    first: (text, length) => text.slice(0, length),
    after: (text, length) => text.slice(length),
    follows: (value, skipped, text) => value.startsWith(text, skipped),
  },
  ends: {
    unit: (text, at) => text.charCodeAt(text.length - 1 - at),
    first: (text, length) => text.slice(text.length - length),
    after: (text, length) => text.slice(0, text.length - length),
    follows: (value, skipped, text) => value.endsWith(text, value.length - skipped),
  },
}

export function createAffixes<T>(how: 'begins' | 'ends'): Affixes<T> {
  const { unit, first, after, follows } = directions[how]
  const root: Branch<T> = { text: '', entries: [], next: new Map() }

  const common = (one: string, other: string): number => {
    let length = 0
    while (length < one.length && length < other.length && unit(one, length) === unit(other, length)) length++
    return length
  }

  /** Divides a branch in two; the first part has the entries of neither. */
  const divide = (branch: Branch<T>, length: number): void => {
    const { text, entries, next } = branch
    const rest = { text: after(text, length), entries, next }
    branch.text = first(text, length)
    branch.entries = []
    branch.next = new Map([[unit(rest.text, 0), rest]])
  }

  const add = (text: string, entry: T): void => {
    let branch = root
    let rest = text
    while (rest !== '') {
      const next = branch.next.get(unit(rest, 0))
      if (next === undefined) {
        const last: Branch<T> = { text: rest, entries: [], next: new Map() }
        branch.next.set(unit(rest, 0), last)
        branch = last
        break
      }
      const length = common(next.text, rest)
      if (length < next.text.length) divide(next, length)
      branch = next
      rest = after(rest, length)
    }
    if (!branch.entries.includes(entry)) branch.entries.push(entry)
  }

  /** The branch that follows, if the value goes along it; `passed` is how far it came. */
  const nextOf = (branch: Branch<T>, value: string, passed: number): Branch<T> | undefined => {
    if (passed >= value.length) return undefined
    const next = branch.next.get(unit(value, passed))
    return next !== undefined && follows(value, passed, next.text) ? next : undefined
  }

  const find = (value: string, found: (entry: T) => void): void => {
    let passed = 0
    for (let branch = nextOf(root, value, 0); branch !== undefined; branch = nextOf(branch, value, passed)) {
      for (const entry of branch.entries) found(entry)
      passed += branch.text.length
    }
  }

  const has = (value: string): boolean => {
    let passed = 0
    for (let branch = nextOf(root, value, 0); branch !== undefined; branch = nextOf(branch, value, passed)) {
      if (branch.entries.length > 0) return true
      passed += branch.text.length
    }
    return root.entries.length > 0
  }

  return { add, find, has }
}
