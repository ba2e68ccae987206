/**
 * The operators of a condition, one table: which fields may be asked, what may stand behind the operator, and the
 * predicate that it compiles to.
 *
 * What they all share, and what a rule may rely on (`semantics` says it to the reader of the published schema):
 *
 * - Case. Text compares code unit by code unit: `Bash` is not `bash`, as on Linux file systems. No Unicode
 *   normalisation, no trimming. Where case must not matter, a regex says so: `(?i)^bash$`.
 * - Paths. A path is text that the kernel resolved: absolute, without `.`, `..`, double slashes or symbolic links, as
 *   seen from the root of the process (in a container: of the container). So `/etc/shadow` is met however the program
 *   spelt it, and a rule names the target of a link (`/usr/bin/dash`), never the link (`/bin/sh`). No trailing slash:
 *   a folder with all below it is `startsWith: "/etc/ssh/"`, and `startsWith: "/etc/ssh"` is `/etc/sshd` as well. What
 *   a process says itself (command_args, command_line) is not resolved. The `*` of a glob runs over slashes.
 * - Absence. A field that the event doesn't have satisfies no operator but `exists: false`; so
 *   `not: { "process.name": "sh" }` holds of an event without the name.
 * - Several values. A field with several values satisfies an operator when any of them does; but `subset` asks all of
 *   them, and `length` counts them.
 */
import { RE2JS } from 're2js'
import { type TSchema, Type } from '../sensor/schema.ts'
import { canonicalAddress, compileNetworks, isNetwork } from './address.ts'
import { createAffixes } from './affixes.ts'
import type { Field, FieldType, Getter, Scalar } from './fields.ts'

/** Limits of a number: `{ "gt": 3 }`. */
export interface Bounds {
  readonly gt?: number
  readonly gte?: number
  readonly lt?: number
  readonly lte?: number
}
export type Operand = Scalar | Bounds

export interface Operator {
  readonly name: string
  readonly description: string
  /** May the field be asked? */
  readonly accepts: (field: Pick<Field, 'type' | 'multiple'>) => boolean
  /** How many operands: `one`, an array of them (or the name of a list), or either. */
  readonly takes: 'one' | 'many' | 'one or many'
  /** The JSON Schema of an operand. */
  readonly operand: (type: FieldType) => TSchema
  /** The operand in words, for a message: "expected ...". */
  readonly expects: (type: FieldType) => string
  /** What is wrong with an operand that has the right JSON type. */
  readonly fault?: (operand: Operand, type: FieldType) => string | undefined
  /** The operand is a whole value of the field: one that the field never has is a mistake. */
  readonly closed?: boolean
  readonly compile: (operands: readonly Operand[], type: FieldType) => Predicate
}

/** Asked of what a field's getter gave: one value, several, or none. */
export type Predicate = (found: ReturnType<Getter>) => boolean

/** Longest pattern that is compiled: a rule that needs more wants a list. */
const longestPattern = 4096

/**
 * Largest compiled pattern, in instructions. RE2's time is linear in the text, but each character can cost as many
 * steps as the program has instructions: `(\pL{1000}){1000}` would take minutes over a long command line.
 */
const largestProgram = 2000

/** Largest program that several patterns are joined to. */
const largestJoined = 20_000

const words: Readonly<Record<FieldType, string>> = {
  string: 'a string',
  ip: 'an IP address',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
}

const jsonOf: Readonly<Record<FieldType, TSchema>> = {
  string: Type.String(),
  ip: Type.String(),
  integer: Type.Integer(),
  number: Type.Number(),
  boolean: Type.Boolean(),
}

const ofTypes =
  (...types: FieldType[]): Operator['accepts'] =>
  (field) =>
    types.includes(field.type)

const texts = (operands: readonly Operand[]): string[] => operands.filter((operand) => typeof operand === 'string')
const numbers = (operands: readonly Operand[]): number[] => operands.filter((operand) => typeof operand === 'number')

/** From a test of one value to a predicate: any value will do, and none satisfies it. */
const each =
  (compile: (operands: readonly Operand[], type: FieldType) => (value: Scalar) => boolean): Operator['compile'] =>
  (operands, type) => {
    const holds = compile(operands, type)
    return (found) => {
      if (found === undefined) return false
      return typeof found === 'object' ? found.some(holds) : holds(found)
    }
  }

const affixed = (how: 'begins' | 'ends'): Operator['compile'] =>
  each((operands) => {
    const wanted = createAffixes<true>(how)
    for (const text of texts(operands)) wanted.add(text, true)
    return (value) => typeof value === 'string' && wanted.has(value)
  })

const comparison = (holds: (value: number, operand: number) => boolean): Operator['compile'] =>
  each((operands) => {
    const [limit = Number.NaN] = numbers(operands)
    return (value) => typeof value === 'number' && holds(value, limit)
  })

const addressFault = (operand: Operand, type: FieldType): string | undefined => {
  if (type !== 'ip' || typeof operand !== 'string' || canonicalAddress(operand) !== undefined) return undefined
  return isNetwork(operand) ? 'a network, which is for the operator cidr' : 'text that is no address'
}

/** Membership by value: an address is first brought into its one form. */
const membership = each((operands, type) => {
  if (type !== 'ip') {
    const members = new Set<unknown>(operands)
    return (value) => members.has(value)
  }
  const members = new Set(texts(operands).map((operand) => canonicalAddress(operand)))
  return (value) => {
    const address = canonicalAddress(String(value))
    return address !== undefined && members.has(address)
  }
})

/**
 * All patterns in one automaton, which reads the text once. They stay apart where joining them could change what they
 * mean (`\Q` quotes up to a `\E` or the pattern's end) or makes a program that is too large for that to be a gain.
 */
function automata(patterns: readonly string[]): RE2JS[] {
  const compiled = patterns.map((pattern) => RE2JS.compile(pattern))
  const size = compiled.reduce((sum, one) => sum + one.programSize(), 0)
  const isJoinable = size <= largestJoined && !patterns.some((pattern) => pattern.includes('\\Q'))
  if (patterns.length < 2 || !isJoinable) return compiled
  return [RE2JS.compile(patterns.map((pattern) => `(?:${pattern})`).join('|'))]
}

/** Texts that are remembered of each pattern or set of patterns, and how long they may be. */
const mostTexts = 256
const longestText = 64

/** Programs have few names, and an automaton costs far more than a look-up: it is asked once for each short text. */
function remembering(test: (text: string) => boolean): (value: Scalar) => boolean {
  const answers = new Map<string, boolean>()
  return (value) => {
    if (typeof value !== 'string') return false
    if (value.length > longestText) return test(value)
    const known = answers.get(value)
    if (known !== undefined) return known
    if (answers.size >= mostTexts) answers.clear()
    const answer = test(value)
    answers.set(value, answer)
    return answer
  }
}

const matching = (patternOf: (operand: string) => string): Operator['compile'] =>
  each((operands) => {
    const compiled = automata(texts(operands).map(patternOf))
    return remembering((value) => compiled.some((pattern) => pattern.test(value)))
  })

const patternFault = (operand: Operand): string | undefined => {
  const pattern = String(operand)
  if (pattern.length > longestPattern) return `a pattern of ${pattern.length} characters (at most ${longestPattern})`
  try {
    const size = RE2JS.compile(pattern).programSize()
    return size > largestProgram ? `a pattern that compiles to ${size} steps (at most ${largestProgram})` : undefined
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error)
  }
}

/** `*` is any run of characters, `?` any one, and a backslash takes the next character as it is. */
export function globPattern(glob: string): string {
  const parts = glob.match(/\\[\s\S]|[\s\S]/gu) ?? []
  const translated = parts.map((part) => {
    if (part === '*') return '.*'
    if (part === '?') return '.'
    return RE2JS.quote(part.length > 1 && part.startsWith('\\') ? part.slice(1) : part)
  })
  return `(?s)\\A${translated.join('')}\\z`
}

const bound = Type.Optional(Type.Number())
const BoundsSchema = Type.Object(
  { gt: bound, gte: bound, lt: bound, lte: bound },
  { additionalProperties: false, minProperties: 1 },
)

function within(operand: Operand | undefined): (size: number) => boolean {
  if (typeof operand !== 'object') return (size) => size === operand
  const { gt = -Infinity, gte = -Infinity, lt = Infinity, lte = Infinity } = operand
  return (size) => size > gt && size >= gte && size < lt && size <= lte
}

/** For the reader of the published schema. */
export const semantics = [
  'Upper and lower case differ; a regex that begins with (?i) ignores case.',
  'Paths are as the kernel resolved them, seen from the root of the process: absolute, no "..", no symbolic links, no slash at the end. So name the file that a link leads to (/usr/bin/dash, not /bin/sh), and a folder with what is below it by startsWith "/etc/ssh/".',
  'Arguments and command lines are as the process wrote them.',
  'An absent field satisfies no operator but exists: false.',
  'A field with several values satisfies an operator when any of them does; subset asks all of them, length counts them.',
].join(' ')

const everyType = ofTypes('string', 'ip', 'integer', 'number', 'boolean')
const ordered = ofTypes('integer', 'number')
const text = ofTypes('string')
const aText = { operand: () => Type.String(), expects: () => words.string }
const aNumber = { operand: () => Type.Number(), expects: () => words.number }

const table: readonly Operator[] = [
  {
    name: 'equals',
    description: 'Is this value. Addresses are equal when they are the same address, however written.',
    accepts: everyType,
    takes: 'one',
    operand: (type) => jsonOf[type],
    expects: (type) => words[type],
    fault: addressFault,
    closed: true,
    compile: membership,
  },
  {
    name: 'in',
    description: 'Is one of these values: an array, or the name of a list such as "@shells".',
    accepts: ofTypes('string', 'ip', 'integer', 'number'),
    takes: 'many',
    operand: (type) => jsonOf[type],
    expects: (type) => words[type],
    fault: addressFault,
    closed: true,
    compile: membership,
  },
  {
    name: 'subset',
    description: 'Every value is one of these (an array, or the name of a list), and there is one at least.',
    accepts: (field) => field.multiple && field.type !== 'boolean',
    takes: 'many',
    operand: (type) => jsonOf[type],
    expects: (type) => words[type],
    fault: addressFault,
    closed: true,
    compile: (operands, type) => {
      const holds = membership(operands, type)
      return (found) => Array.isArray(found) && found.every((value) => holds(value))
    },
  },
  {
    name: 'startsWith',
    description: 'Begins with this text, or with one of these.',
    accepts: text,
    takes: 'one or many',
    ...aText,
    compile: affixed('begins'),
  },
  {
    name: 'endsWith',
    description: 'Ends with this text, or with one of these.',
    accepts: text,
    takes: 'one or many',
    ...aText,
    compile: affixed('ends'),
  },
  {
    name: 'contains',
    description: 'Has this text in it, or one of these.',
    accepts: text,
    takes: 'one or many',
    ...aText,
    compile: each((operands) => {
      const wanted = texts(operands)
      return (value) => typeof value === 'string' && wanted.some((operand) => value.includes(operand))
    }),
  },
  {
    name: 'glob',
    description:
      'The whole text matches: * is any run of characters (slashes too), ? any one character, \\ takes the next as it is.',
    accepts: text,
    takes: 'one or many',
    ...aText,
    fault: (operand) => patternFault(globPattern(String(operand))),
    compile: matching(globPattern),
  },
  {
    name: 'regex',
    description:
      'A part of the text matches the pattern (RE2 syntax: linear time, no look-around, no back references). Anchor it with ^ and $.',
    accepts: text,
    takes: 'one or many',
    operand: () => Type.String(),
    expects: () => 'a regular expression in RE2 syntax',
    fault: patternFault,
    compile: matching((pattern) => pattern),
  },
  {
    name: 'cidr',
    description: 'Lies in this network, or in one of these. An IPv4 address mapped into IPv6 counts as IPv4.',
    accepts: ofTypes('ip'),
    takes: 'one or many',
    operand: () => Type.String(),
    expects: () => 'a network such as 10.0.0.0/8 or fd00::/8',
    fault: (operand) => (isNetwork(String(operand)) ? undefined : 'text that is no network'),
    compile: each((operands) => {
      const holds = compileNetworks(texts(operands))
      return (value) => typeof value === 'string' && holds(value)
    }),
  },
  {
    name: 'gt',
    description: 'Is greater than this number.',
    accepts: ordered,
    takes: 'one',
    ...aNumber,
    compile: comparison((value, operand) => value > operand),
  },
  {
    name: 'gte',
    description: 'Is this number or greater.',
    accepts: ordered,
    takes: 'one',
    ...aNumber,
    compile: comparison((value, operand) => value >= operand),
  },
  {
    name: 'lt',
    description: 'Is less than this number.',
    accepts: ordered,
    takes: 'one',
    ...aNumber,
    compile: comparison((value, operand) => value < operand),
  },
  {
    name: 'lte',
    description: 'Is this number or less.',
    accepts: ordered,
    takes: 'one',
    ...aNumber,
    compile: comparison((value, operand) => value <= operand),
  },
  {
    name: 'exists',
    description: 'true: the event has the field (one value at least, of several); false: it does not.',
    accepts: everyType,
    takes: 'one',
    operand: () => Type.Boolean(),
    expects: () => words.boolean,
    compile:
      ([wanted]) =>
      (found) =>
        (found !== undefined) === wanted,
  },
  {
    name: 'length',
    description: 'How long the text is, in UTF-16 units, or how many values there are: a number or limits of it.',
    accepts: (field) => field.multiple || field.type === 'string',
    takes: 'one',
    operand: () => Type.Union([Type.Number(), BoundsSchema]),
    expects: () => 'a number, or limits such as { "gt": 3 }',
    compile: ([wanted]) => {
      const fits = within(wanted)
      return (found) => (typeof found === 'string' || Array.isArray(found)) && fits(found.length)
    },
  },
]

/** Every operator by its name. */
export const operators: ReadonlyMap<string, Operator> = new Map(table.map((operator) => [operator.name, operator]))

/** The operators that a field may be asked with. */
export const operatorsFor = (field: Pick<Field, 'type' | 'multiple'>): Operator[] =>
  table.filter((operator) => operator.accepts(field))
