/**
 * How secrets are called. Programs, environments, connection strings, headers and JSON all name them with the same few
 * words at the end of a name: DB_PASSWORD, --admin-password, clientSecret, X-Api-Key.
 */

/** Whatever is before them: these mean nothing else. */
const words = [
  'pass[_-]?word',
  'passwd',
  'pass[_-]?phrase',
  // existingSecret names one.
  '(?<!existing[_-]?)secret',
  'token',
  'api[_-]?keys?',
  'credential',
  '(?:access|account|auth|client|encrypt(?:ion)?|master|private|root|secret|session|shared|signing|storage|unseal)[_-]?key',
  'require-?pass',
  'master-?auth',
  'cli[_-]auth',
  'sshpass',
  // Only as a word of its own, as in DB_PASS: bypass and compass are none.
  '(?<![a-z0-9])pass',
  '(?<![a-z0-9])pw',
  // PWD alone is the working directory.
  '(?<=[_.;&?-])pwd',
]

/** To be matched regardless of case. */
export const secretName = words.join('|')

const option = new RegExp(`^--?[\\w.-]*(?:${secretName})$`, 'i')
const variable = new RegExp(`^[\\w.-]*(?:${secretName})$`, 'i')

/** A switch, which has no value; and `-pass`, what ffmpeg and its kin are given there is a number. */
const noValue = /^-pass$|^--?(?:ask|change|disable|enable|has|hide|no|require|reset|show|use|with|without)[_-]/i

/** `--db-password`, `-token`. */
export const isSecretOption = (text: string) => option.test(text) && !noValue.test(text)

/** `DB_PASSWORD`, `clientSecret`. */
export const isSecretVariable = (text: string) => variable.test(text)

/** What some shell, template or program puts there later; what hides the secret already. */
const reference = /^(?:\$\{[^}]*\}|\$[A-Z_][A-Z0-9_]*|\$\(.*|`.*|\{\{.*|%[sS]|%\w+%|<[\w -]+>|\*+|\[redacted:.*)$/s
const flag = /^(?:true|false|yes|no|none|null|nil|on|off|auto|always|never|required|optional|ask|prompt|stdin|\d|-)?$/i
const path =
  /^(?:file:|env:|@[./~])|^(?:\.{1,2}|~|\/(?:app|config|data|dev|etc|home|mnt|opt|proc|root|run|secrets|srv|tmp|usr|var))\//
/** docker build --secret id=npm,src=.npmrc */
const mount = /^(?:id|type)=/
/** A value that is meant under these names is never a path. */
const neverPath = /pass|pwd|pw$|secret[_-]?access/i

/** Whether the value under a secret's name is none itself: it says where the secret is, or that there is one. */
export function isNoSecret(name: string, value: string): boolean {
  if (flag.test(value) || reference.test(value.replace(/^["']|["']$/g, ''))) return true
  return !neverPath.test(name) && (path.test(value) || mount.test(value))
}
