import fc from 'fast-check'
import { expect, test } from 'vitest'
import { knownSecrets } from '../../exporters/redaction/known-secrets.ts'
import { marker, merged, without } from '../../exporters/redaction/span.ts'

/** Few characters, so that secrets overlap, touch, repeat and begin with one another. */
const hostile = (maxLength: number) =>
  fc
    .array(fc.constantFrom('a', 'b', '1', '-', '/', 'é', '😀', '𝒜'), { minLength: 1, maxLength })
    .map((all) => all.join(''))
const secrets = fc
  .array(hostile(7), { maxLength: 8 })
  .map((all) => new Map(all.map((one, at) => [one, `kind${at % 3}`])))
/** Texts that hold some of the secrets, and texts that may. */
const secretsAndText = secrets.chain((secrets) =>
  fc.record({
    secrets: fc.constant(secrets),
    text: fc
      .array(fc.oneof(hostile(3), fc.constantFrom(...secrets.keys(), ' ')), { maxLength: 8 })
      .map((all) => all.join('')),
  }),
)

const letterOrDigit = /[\p{L}\p{N}]/u
const isLetter = (text: string, at: number) => letterOrDigit.test(text.charAt(at))
/** Whether a word goes on over this place. */
const withinWord = (text: string, at: number) => isLetter(text, at - 1) && isLetter(text, at)

/** Where the secrets are, looked for one at a time and at each place. */
const places = (text: string, secrets: ReadonlyMap<string, string>) =>
  [...secrets].flatMap(([secret, kind]) =>
    Array.from({ length: text.length }, (_, from) => ({ kind, from, to: from + secret.length })).filter(
      ({ from, to }) => text.startsWith(secret, from) && !withinWord(text, from) && !withinWord(text, to),
    ),
  )

test('all secrets at once are taken out as they are one at a time', () => {
  fc.assert(
    fc.property(secretsAndText, ({ secrets, text }) => {
      expect(knownSecrets(secrets).withoutKnown(text)).toBe(without(text, merged(places(text, secrets))))
    }),
    { numRuns: 2000 },
  )
})

test('no secret stays that stands apart from letters and digits, or from others that do', () => {
  fc.assert(
    fc.property(secretsAndText, ({ secrets, text }) => {
      const taken = (from: number) => places(text, secrets).some((place) => place.from <= from && from < place.to)
      // The longest first, out of what the longer ones left, where nothing of a word is next to it.
      const left = [...secrets.keys()]
        .sort((one, other) => other.length - one.length)
        .reduce(
          (rest, secret) =>
            rest.replaceAll(secret, (_, at: number) =>
              isLetter(rest, at - 1) || isLetter(rest, at + secret.length) ? secret : '\0'.repeat(secret.length),
            ),
          text,
        )
      for (const { index } of left.matchAll(/\0/g)) expect(taken(index)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('the longest beginning of a secret is taken out before an ellipsis', () => {
  fc.assert(
    fc.property(secretsAndText, ({ secrets, text }) => {
      const length = Array.from({ length: text.length + 1 }, (_, at) => text.length - at).find((length) =>
        [...secrets.keys()].some((secret) => secret.startsWith(text.slice(text.length - length))),
      )
      const beginning = text.slice(text.length - (length ?? 0))
      const kind = [...secrets].find(([secret]) => secret.startsWith(beginning))?.[1] ?? ''
      const expected = beginning.length > 2 ? text.slice(0, -beginning.length) + marker(kind) : text
      expect(knownSecrets(secrets).withoutCut(`${text}… ${text}`)).toBe(`${expected}… ${text}`)
    }),
    { numRuns: 2000 },
  )
})
