/**
 * Binaries that are many programs, told apart by what they are called as. Busybox takes every name that begins with its
 * own for itself (libbb/appletlib.c), and more than once: `busybox-x busybox sh`.
 */
export const multiCallPrefix = 'busybox'
export const multiCallPrograms: readonly string[] = ['toybox', 'coreutils']
export const isMultiCall = (name: string): boolean =>
  name.startsWith(multiCallPrefix) || multiCallPrograms.includes(name)
