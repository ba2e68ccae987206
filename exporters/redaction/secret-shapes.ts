/**
 * Secrets that show in any text by their own form, or by what stands right before them.
 *
 * These expressions run on text that an attacker writes, in an engine that backtracks. Each is linear all the same:
 * it begins with fixed text, or at the first character of a run (a lookbehind), so that no run is read twice; what
 * follows are classes that exclude the character after them, and the last one is not followed by anything that could
 * fail.
 */
import { isNoSecret, secretName } from './secret-names.ts'
import type { Span } from './span.ts'

interface Shape {
  kind: string
  /** Group `secret` is the secret, the whole match if there is no such group; group `name` what it is called. */
  pattern: RegExp
  /** Found in each text that the pattern matches, at a fraction of its cost. */
  clue: RegExp
}

/** Tokens that their issuers made recognisable: a fixed prefix, then characters of an alphabet. */
const vendorTokens = [
  'gh[pousr]_[A-Za-z0-9]{30,}',
  'github_pat_\\w{22,}',
  'gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|oas|ffct)-[\\w.-]{16,}',
  'xox[a-z](?:\\.[a-z]+)?-[\\w.-]{10,}',
  'xapp-[\\w-]{10,}',
  '(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}',
  'whsec_[A-Za-z0-9+/=_-]{16,}',
  'npm_[A-Za-z0-9]{30,}',
  'pypi-[\\w-]{40,}',
  'sk-[\\w-]{20,}',
  'SG\\.[\\w-]{16,}\\.[\\w-]{16,}',
  'hv[bsr]\\.[\\w-]{20,}',
  'do[opr]_v1_[a-f0-9]{40,}',
  'dckr_(?:pat|oat)_[\\w-]{20,}',
  'hf_[A-Za-z0-9]{30,}',
  'gl(?:sa|c)_[\\w=+/-]{20,}',
  'dapi[a-f0-9]{32}',
  'shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}',
  'SK[0-9a-f]{32}',
  'key-[0-9a-f]{32}',
  'AGE-SECRET-KEY-1[A-Z0-9]{40,}',
  '[0-9]{8,10}:AA[\\w-]{32,}',
]

const schemes = '(?:bearer|basic|token|negotiate|ntlm|apikey)'
const header = `(?<!\\w)(?:proxy-)?authorization["']?\\s{0,4}[:=]\\s{0,4}["']?`
const named = `(?<name>${secretName})`

const shapes: Shape[] = [
  {
    kind: 'private_key',
    clue: /PRIVATE KEY/,
    // Of a key that is cut off the rest of the text: the marker at its end may be what was cut.
    pattern:
      /-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END ).)*(?:-----END [A-Z0-9 ]{0,32}-----)?/gs,
  },
  // RFC 7515 and 7516, compact: the header is a JSON object, so its base64url begins with eyJ.
  { kind: 'jwt', clue: /eyJ/, pattern: /(?<![\w-])eyJ[\w-]{6,}(?:\.[\w-]+){1,4}\.?/g },
  {
    kind: 'aws_key',
    clue: /A(?:KIA|SIA|BIA|CCA)/,
    // The id, and a secret access key (40 characters of base64) that follows it.
    pattern:
      /(?<![A-Za-z0-9])A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,124}(?:["':,\s]{1,4}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+]))?/g,
  },
  { kind: 'gcp_key', clue: /AIza|ya29\.|GOCSPX-/, pattern: /(?:AIza|ya29\.|GOCSPX-)[\w.-]{20,}/g },
  {
    kind: 'azure_key',
    clue: /8Q~|sig=/,
    // An application's client secret, and the signature of a shared access URL.
    pattern: /(?<![\w~.-])[\w~.-]{3}8Q~[\w~.-]{31,}|(?<=[?&]sig=)[A-Za-z0-9%/+=_-]{20,}/g,
  },
  {
    kind: 'vendor_token',
    clue: /gh[pousr]_|github_|gl\w{1,5}[-_]|xox|xapp-|[srp]k_|whsec_|npm_|pypi-|sk-|SG\.|hv[bsr]\.|_v1_|dckr_|hf_|dapi|shp|SK|key-|AGE-|:AA/,
    pattern: new RegExp(`(?<![A-Za-z0-9])(?:${vendorTokens.join('|')})`, 'g'),
  },
  {
    // A chat's incoming webhook: who knows the path may post.
    kind: 'webhook_url',
    clue: /hooks\.slack|\/webhooks?\//i,
    pattern:
      /(?<=hooks\.slack(?:-gov)?\.com\/(?:services|workflows|triggers)\/|(?:discord(?:app)?\.com\/api|webhook\.office\.com)\/webhooks?(?:b2)?\/)[\w/@-]{10,}/gi,
  },
  {
    kind: 'url_password',
    clue: /@/,
    pattern: new RegExp(
      [
        // RFC 3986, 3.2.1: it may hold neither slash nor @; those that do all the same must not begin as a port does.
        `(?<=://[^\\s:/@"'<>]{0,128}:)[^\\s/"'<>]+(?=@)`,
        `(?<=://[^\\s:/@"'<>]{0,128}:)(?!\\d{1,5}[/?#])[^\\s"'<>@]{1,256}(?=@)`,
        // Without a scheme, as the Go MySQL driver has it.
        `(?<=(?<![\\w.-])[\\w.-]{1,64}:)[^\\s:@/"']+(?=@(?:tcp|unix)\\()`,
      ].join('|'),
      'g',
    ),
  },
  {
    kind: 'authorization',
    clue: /authorization|cookie|bearer|basic/i,
    // RFC 9110, 11.4: a scheme and its credentials, or the bare token that some servers take.
    pattern: new RegExp(
      [
        // These have parameters, with spaces between them.
        `(?<=${header}(?:digest|aws4-hmac-sha256)\\s{1,4})[^'\\r\\n]+`,
        `(?<=${header}(?:${schemes}\\s{1,4})?)(?!(?:${schemes}|digest|aws4-hmac-sha256)\\s|[$"'{<[\\s])[^\\s"']+`,
        `(?<=(?<!\\w)(?:set-)?cookie["']?\\s{0,4}:\\s{0,4}["']?)[^\\s"'$][^"'\\r\\n]*`,
        // Without the name of the header it must be longer than a word, and not only letters.
        `(?<=(?<![\\w-])(?:bearer|basic)\\s{1,4})(?![a-z-]+(?![\\w+/=.~-]))[\\w+/=.~-]{16,}`,
      ].join('|'),
      'gi',
    ),
  },
  {
    // In a query, a form, a connection string or JSON.
    kind: 'password',
    clue: /[=:]/,
    pattern: new RegExp(
      [
        // ?access_token=x&, ;Password=x;, --from-literal=password=x
        `(?<=[?&;,={(][\\w.-]{0,64})${named}\\s{0,2}=\\s{0,2}["']?(?<secret>[^\\s"'&;)}\\]]+)`,
        // "password": "x", with the quotes of JSON, of Python, or escaped.
        `${named}\\\\?["']\\s{0,4}:\\s{0,4}\\\\?["'](?<secret>[^"'\\\\]+)`,
        // X-Api-Key: x, PRIVATE-TOKEN: x, password: x
        `(?<=(?<![\\w-])(?:[\\w]{1,32}-){1,4})${named}:\\s{0,4}(?<secret>[^\\s"',;]+)`,
        `(?<![\\w-])(?<name>password|passwd|passphrase|api[_-]?key):\\s{0,4}["']?(?<secret>[^\\s"',;/][^\\s"',;]*)`,
      ].join('|'),
      'gi',
    ),
  },
]

/** The kinds that these shapes find. */
export const shapeKinds = shapes.map(({ kind }) => kind)
/** What can't be anything else, wherever it stands. */
const certain = new Set(['private_key', 'jwt', 'aws_key', 'gcp_key', 'azure_key', 'vendor_token', 'url_password'])

/** @param all also what is a secret by the words before it, which text that nobody wrote as a command may have too */
export function secretShapes(text: string, all: boolean): Span[] {
  const spans: Span[] = []
  for (const { kind, pattern, clue } of shapes) {
    if (!(all || certain.has(kind)) || !clue.test(text)) continue
    for (const match of text.matchAll(pattern)) {
      const { secret = match[0], name = '' } = match.groups ?? {}
      if (secret === '' || (name !== '' && isNoSecret(name, secret))) continue
      const to = match.index + match[0].length
      spans.push({ kind, from: to - secret.length, to })
    }
  }
  return spans
}
