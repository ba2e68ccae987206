/**
 * Takes secrets out of an alert before anyone is told: what is left in their place says which kind it was.
 *
 * A process's arguments are looked at as arguments, so that a password with spaces in it goes whole; every other text
 * as a command line, and for what is a secret by its own form. A secret that was found in one place is taken out of all
 * others: the message that quotes a command line may cut it anywhere. What Nightjar itself or the API server says (the
 * rule, the pod, the identity) is searched for unmistakable secrets only.
 *
 * Not found is what nobody could tell from a word: a password under a name that says nothing, a secret that is encoded
 * or cut into pieces.
 */
import { RE2JS } from 're2js'
import type { Alert } from '../sensor/alert.ts'
import { type Static, Type } from '../sensor/schema.ts'
import { knownSecrets } from './redaction/known-secrets.ts'
import { argumentKind, inArguments, inCommandLine } from './redaction/secret-arguments.ts'
import { secretShapes, shapeKinds } from './redaction/secret-shapes.ts'
import { marker, merged, type Span, without } from './redaction/span.ts'

export const RedactionConfig = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({ default: true, description: 'Whether secrets are taken out of alerts before they leave.' }),
    ),
    patterns: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({
              title: 'a name of lower-case letters, digits and underscores, at most 40',
              pattern: '^[a-z][a-z0-9_]{0,39}$',
              description: 'Stands in place of what was found, and in metrics as the kind.',
            }),
            pattern: Type.String({
              minLength: 1,
              maxLength: 1000,
              description: 'Regular expression in the syntax of RE2. Its first group is the secret, or else the whole.',
            }),
          },
          { additionalProperties: false },
        ),
        { default: [], maxItems: 32, description: 'Secrets of your own kind, looked for in every text of an alert.' },
      ),
    ),
  },
  { additionalProperties: false, description: 'What is taken out of an alert before it leaves the sensor.' },
)
export type RedactionConfig = Static<typeof RedactionConfig>

/** The kinds of secrets that are known without configuration. */
export const redactionKinds: readonly string[] = [...new Set([argumentKind, ...shapeKinds])]

/** Text that Nightjar or the API server wrote; or that has a form of its own. */
const ownKeys = new Set([
  ...[
    'schema',
    'id',
    'time',
    'severity',
    'rule',
    'runbook',
    'event',
    'network',
    'container',
    'k8s',
    'host',
    'identity',
  ],
  ...['first_seen', 'last_seen', 'sensor'],
])

/** A shorter secret may well be a word that stands elsewhere for itself. */
const shortestSpread = 6

type Found = (kind: string, secret: string) => void

/**
 * Makes the function that takes the secrets out of an alert; it gives the alert itself if there are none, and never
 * changes it. `onRedacted` is told of the kind of each secret. Throws an error for a person if a pattern is no RE2
 * expression.
 */
export function redactor(config: RedactionConfig, onRedacted: (kind: string) => void): (alert: Alert) => Alert {
  if (config.enabled === false) return (alert) => alert
  const markers = [...redactionKinds, ...(config.patterns ?? []).map(({ name }) => name)].map(marker).join()
  const custom = (config.patterns ?? []).map(({ name, pattern }, index) => ({ name, pattern: compile(pattern, index) }))

  const spansOf = (text: string, own: boolean): Span[] => {
    const shaped = secretShapes(text, !own)
    const ofPatterns = custom.flatMap(({ name, pattern }) => matches(name, pattern, text))
    const told = own ? [] : inCommandLine(text).map((span) => ({ ...span, kind: argumentKind }))
    return [...shaped, ...ofPatterns, ...told]
  }

  const cleaned = (text: string, spans: Span[], found: Found): string => {
    if (spans.length === 0) return text
    const all = merged(spans)
    for (const { kind, from, to } of all) found(kind, text.slice(from, to))
    return without(text, all)
  }

  const cleanArguments = (words: readonly string[], found: Found): string[] => {
    const secrets = Map.groupBy(inArguments(words), ({ word }) => word)
    return words.map((word, index) => {
      const whole = secrets.get(index) ?? []
      // What follows -c is a script: NAME=value at its beginning ends at the next word.
      const script = /\s/.test(word) && /^-[a-z]*c$/.test(words[index - 1] ?? '')
      const spans = script ? [] : whole.map(({ from, to }) => ({ kind: argumentKind, from, to }))
      return cleaned(word, [...spans, ...spansOf(word, false)], found)
    })
  }

  const walk = (value: unknown, own: boolean, found: Found): unknown => {
    if (typeof value === 'string') return cleaned(value, spansOf(value, own), found)
    if (Array.isArray(value)) return mapped(value, (item) => walk(item, own, found))
    if (typeof value !== 'object' || value === null) return value
    const { command_args: args, command_line: line } = value as { command_args?: unknown; command_line?: unknown }
    if (!isTexts(args)) return mappedValues(value, (item, key) => walk(item, own || ownKeys.has(key), found))
    const words = cleanArguments(args, found)
    return mappedValues(value, (item, key) => {
      if (key === 'command_args') return words.some((word, index) => word !== args[index]) ? words : item
      if (key === 'command_line' && line === args.join(' ')) return words.join(' ')
      return walk(item, false, found)
    })
  }

  return (alert) => {
    const secrets = new Map<string, string>()
    const found: Found = (kind, secret) => {
      onRedacted(kind)
      if (secret.length >= shortestSpread && !markers.includes(secret)) secrets.set(secret, kind)
    }
    const { message, ...rest } = alert
    const clean = mappedValues(rest, (item, key) => walk(item, ownKeys.has(key), found))
    const { withoutKnown, withoutCut } = knownSecrets(secrets)
    // Arguments that were joined hide where a secret ends, so what its arguments told comes before the message's own.
    const cleanMessage = walk(withoutCut(withoutKnown(message)), false, found)
    if (clean === rest && cleanMessage === message) return alert
    const result = mappedValues(clean, (item, key) => (ownKeys.has(key) ? item : everyText(item, withoutKnown)))
    return { ...result, message: cleanMessage } as Alert
  }
}

function compile(pattern: string, index: number): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const expected = 'expected a regular expression in the syntax of RE2 (no lookaround, no backreferences)'
    throw new Error(
      `exporters.redaction.patterns[${index}].pattern: found ${JSON.stringify(pattern)} (${reason}), ${expected}`,
    )
  }
}

function matches(kind: string, pattern: RE2JS, text: string): Span[] {
  const spans: Span[] = []
  const matcher = pattern.matcher(text)
  while (matcher.find()) {
    const group = pattern.groupCount() > 0 && matcher.start(1) >= 0 ? 1 : 0
    if (matcher.end(group) > matcher.start(group)) {
      spans.push({ kind, from: matcher.start(group), to: matcher.end(group) })
    }
  }
  return spans
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

/** The array itself if nothing in it changes. */
function mapped(items: readonly unknown[], change: (item: unknown) => unknown): readonly unknown[] {
  const changed = items.map(change)
  return changed.some((item, index) => item !== items[index]) ? changed : items
}

/** The object itself if nothing in it changes. */
function mappedValues<T extends object>(object: T, change: (item: unknown, key: string) => unknown): T {
  const entries = Object.entries(object)
  const changed = entries.map(([key, item]) => [key, change(item, key)] as const)
  return changed.some(([, item], index) => item !== entries[index]?.[1]) ? (Object.fromEntries(changed) as T) : object
}

function everyText(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value)
  if (Array.isArray(value)) return mapped(value, (item) => everyText(item, change))
  if (typeof value === 'object' && value !== null) return mappedValues(value, (item) => everyText(item, change))
  return value
}
