/** Shells, and where they take their commands from. */
import { posix } from 'node:path'
import { isMultiCall } from '../bpf/multi-call.ts'

/** How a shell reads its options. */
interface Options {
  /** Letters that take the next argument as their value, in a cluster as well: `-eo pipefail`. */
  valued: RegExp
  /** Long options that do, without their dashes. */
  valuedWords: ReadonlySet<string>
  /** Long options that are known after a single dash, too. */
  words: ReadonlySet<string>
}

/** POSIX sh and its kin, with all that bash adds (bash(1), OPTIONS; shell.c takes its long options after one dash). */
const sh: Options = {
  valued: /[oO]/g,
  valuedWords: new Set(['rcfile', 'init-file', 'emulate']),
  words: new Set([
    'debug',
    'debugger',
    'dump-po-strings',
    'dump-strings',
    'help',
    'init-file',
    'login',
    'noediting',
    'noprofile',
    'norc',
    'posix',
    'pretty-print',
    'protected',
    'rcfile',
    'restricted',
    'verbose',
    'version',
    'wordexp',
  ]),
}

/** fish(1) */
const fish: Options = {
  valued: /[CdDfop]/g,
  valuedWords: new Set(['init-command', 'debug', 'debug-output', 'features', 'profile', 'profile-startup']),
  words: new Set(),
}

const shells = new Map<string, Options>([
  ...[
    ...['sh', 'bash', 'bash-static', 'rbash', 'dash', 'ash', 'posh', 'yash', 'zsh', 'zsh5'],
    ...['ksh', 'ksh93', 'pdksh', 'mksh', 'mksh-static', 'lksh', 'oksh', 'csh', 'bsd-csh', 'tcsh'],
  ].map((name): [string, Options] => [name, sh]),
  ['fish', fish],
])

/**
 * `stdin`, `argument` (-c) or `script` for a shell, undefined for any other program. By the arguments, as POSIX sh
 * reads them: options first, then `-c` makes the next operand the commands, else the first operand is a script.
 */
export function readsCommandsFrom(name: string | undefined, args: string[]): string | undefined {
  const options = shells.get(name ?? '')
  if (!options) return undefined
  const applet = appletAt(args)
  const first = baseName(args[applet] ?? '') === name ? applet + 1 : 1 // `busybox sh ...`
  for (let at = first; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '--' || arg === '-') return operand(args[at + 1])
    if (!/^[-+]/.test(arg)) return operand(arg)
    const letters = arg.slice(1)
    if (arg.startsWith('--') || (arg.startsWith('-') && options.words.has(letters))) {
      const word = arg.replace(/^--?/, '')
      if (/^command(=|$)/.test(word)) return 'argument'
      if (options.valuedWords.has(word)) at++
      continue
    }
    if (arg.startsWith('-') && letters.includes('c')) return 'argument'
    if (arg.startsWith('-') && letters.includes('s')) return 'stdin'
    at += letters.match(options.valued)?.length ?? 0
  }
  return 'stdin'
}

const standardInput = new Set(['/dev/stdin', '/dev/fd/0', '/proc/self/fd/0', '/proc/thread-self/fd/0'])
const operand = (path: string | undefined) =>
  path === undefined || standardInput.has(posix.normalize(path)) ? 'stdin' : 'script'

export const baseName = (path: string) => path.slice(path.lastIndexOf('/') + 1)

/** The argument that a multi-call binary is called as: the first that is not its own name. */
function appletAt(args: string[]): number {
  let at = 0
  while (isMultiCall(calledAs(args, at))) at++
  return at
}

/** A login shell's own name begins with a dash. */
const calledAs = (args: string[], at: number) => baseName((args[at] ?? '').replace(at === 0 ? /^-/ : '', ''))

/** What program this is: the executable's file name or, for a multi-call binary, the applet it was called as. */
export function programName(executable: string, args: string[]): string {
  const file = baseName(executable)
  if (!isMultiCall(file)) return file
  const applet = calledAs(args, appletAt(args))
  return applet === '' || applet.startsWith('-') ? file : applet
}
