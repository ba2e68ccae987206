/** Shells, and where they take their commands from. */
const shells = new Set([
  'sh',
  'bash',
  'dash',
  'ash',
  'zsh',
  'ksh',
  'ksh93',
  'mksh',
  'yash',
  'fish',
  'csh',
  'tcsh',
  'rbash',
])

/** Options of these shells that take the next argument as their value. */
const withValue = new Set(['-o', '+o', '-O', '+O', '--rcfile', '--init-file', '-C', '--init-command'])

/** Binaries that are many programs, told apart by argv[0]. */
const multiCall = new Set(['busybox', 'toybox', 'coreutils', 'busybox.static'])

/**
 * `stdin`, `argument` (-c) or `script` for a shell, undefined for any other program. By the arguments, as POSIX sh
 * reads them: options first, then `-c` makes the next operand the commands, else the first operand is a script.
 */
export function readsCommandsFrom(name: string | undefined, args: string[]): string | undefined {
  if (name === undefined || !shells.has(name)) return undefined
  const options = multiCall.has(baseName(args[0] ?? '')) ? 2 : 1 // `busybox sh ...`
  for (let at = options; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '--' || arg === '-') return at + 1 < args.length ? 'script' : 'stdin'
    if (withValue.has(arg)) at++
    else if (arg.startsWith('--')) continue
    else if (!/^[-+]/.test(arg)) return 'script'
    else if (arg.startsWith('-') && arg.includes('c')) return 'argument'
    else if (arg.startsWith('-') && arg.includes('s')) return 'stdin'
  }
  return 'stdin'
}

export const baseName = (path: string) => path.slice(path.lastIndexOf('/') + 1)

/** What program this is: the executable's file name or, for a multi-call binary, the applet it was called as. */
export function programName(executable: string, args: string[]): string {
  const file = baseName(executable)
  if (!multiCall.has(file)) return file
  const called = baseName(args[0] ?? '').replace(/^-/, '')
  return (called === file ? baseName(args[1] ?? '') : called) || file
}
