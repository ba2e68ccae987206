/**
 * Calls as 32-bit programs make them, on a 64-bit kernel. The tracepoints of system calls leave them out; but on x86 they pass
 * functions of their own, which no other call passes (arch/x86/include/asm/syscall_wrapper.h), and whose return a kretprobe
 * sees. So each block of a fragment that runs at the end of such a call is made once more for these functions, with the
 * registers that their arguments come in, and the number that the call has for 64-bit programs. It tells the same.
 *
 * Not all calls: those whose end is seldom looked at, or that are seen in another way, aren't worth what a probe takes to
 * be attached. Opens that succeed are told by open-compat.bt, which can't miss one.
 */
import type { Architecture } from './architecture.ts'

interface Call {
  /** Its number for 64-bit programs, arch/x86/entry/syscalls/syscall_64.tbl, and for 32-bit ones, syscall_32.tbl. */
  numbers: readonly [own: number, compat: number]
  /** Its number in socketcall(2), by which C libraries make it: include/uapi/linux/net.h. */
  socketcall?: number
  /** What it passes, if that is not `sys_` and the name of the tracepoint; of several those that the kernel has. */
  functions?: readonly string[]
}

/** By the names of their tracepoints. */
const calls: Readonly<Record<string, Call>> = {
  bind: { numbers: [49, 361], socketcall: 2 },
  bpf: { numbers: [321, 357] },
  chmod: { numbers: [90, 15] },
  chown: { numbers: [92, 212] },
  connect: { numbers: [42, 362], socketcall: 3 },
  delete_module: { numbers: [176, 129] },
  fchmod: { numbers: [91, 94] },
  fchmodat: { numbers: [268, 306] },
  fchmodat2: { numbers: [452, 452] },
  fchown: { numbers: [93, 207] },
  fchownat: { numbers: [260, 298] },
  finit_module: { numbers: [313, 350] },
  fsmount: { numbers: [432, 432] },
  init_module: { numbers: [175, 128] },
  lchown: { numbers: [94, 198] },
  link: { numbers: [86, 9] },
  linkat: { numbers: [265, 303] },
  memfd_create: { numbers: [319, 356] },
  mkdir: { numbers: [83, 39] },
  mkdirat: { numbers: [258, 296] },
  mount: { numbers: [165, 21], functions: ['sys_mount', 'compat_sys_mount'] },
  mount_setattr: { numbers: [442, 442] },
  move_mount: { numbers: [429, 429] },
  open_tree: { numbers: [428, 428] },
  pivot_root: { numbers: [155, 217] },
  process_vm_readv: { numbers: [310, 347], functions: ['sys_process_vm_readv', 'compat_sys_process_vm_readv'] },
  process_vm_writev: { numbers: [311, 348], functions: ['sys_process_vm_writev', 'compat_sys_process_vm_writev'] },
  ptrace: { numbers: [101, 26], functions: ['compat_sys_ptrace'] },
  rename: { numbers: [82, 38] },
  renameat: { numbers: [264, 302] },
  renameat2: { numbers: [316, 353] },
  rmdir: { numbers: [84, 40] },
  setns: { numbers: [308, 346] },
  socket: { numbers: [41, 359], socketcall: 1 },
  symlink: { numbers: [88, 83] },
  symlinkat: { numbers: [266, 304] },
  umount: { numbers: [166, 52] },
  unlink: { numbers: [87, 10] },
  unlinkat: { numbers: [263, 301] },
  unshare: { numbers: [272, 310] },
}

/** The ways in which such a call comes, and the macros that a fragment is made with for each. */
const ways = {
  itself: {},
  socketcall: { arguments: 'arguments-socketcall', 'first-arguments': 'arguments-socketcall' },
} as const
type Way = keyof typeof ways

const macros = {
  frame: 'frame-compat',
  resolved: 'resolved-compat',
  // These are about names alone.
  'filter-where': 'known-already',
  named: 'known-already',
  'named-by-descriptor': 'known-already',
}

/** The blocks of a fragment for the calls of the table; none: ''. `expand` gives its text with the macros of an architecture. */
export function compatBlocks(architecture: Architecture, expand: (architecture: Architecture) => string): string {
  const made = (way: Way) => {
    const { frame = 'frame', ...others } = architecture.macros
    const text = expand({ ...architecture, macros: { ...others, 'own-frame': frame, ...macros, ...ways[way] } })
    return [...text.matchAll(/^((?:tracepoint:syscalls:sys_exit_\w+,?\n)+)((?:\/[^{}]*?\/\n)?\{\n(?:.*\n)*?\}\n)/gm)]
      .map(([, probes = '', block = '']) => compatBlock(way, probes, block))
      .join('')
  }
  return made('itself') + made('socketcall')
}

function compatBlock(way: Way, probes: string, block: string): string {
  const these = [...probes.matchAll(/sys_exit_(\w+)/g)].flatMap(([, name = '']) => {
    const call = calls[name]
    return call && (way === 'itself' || call.socketcall) ? [{ functions: [`sys_${name}`], ...call }] : []
  })
  const [first, ...others] = these
  if (first === undefined) return ''
  // One after the other: bpftrace 0.23 doesn't survive a `?:` in a `?:` in a third one.
  const number = [
    `$call = (uint64)${first.numbers[0]};`,
    ...others.map(({ numbers: [own, compat] }) => `if ($compat == ${compat}) { $call = (uint64)${own}; }`),
  ]
  const functions = way === 'socketcall' ? ['compat_sys_socketcall'] : these.flatMap((call) => call.functions)
  const attached = functions.map((name) => `kretprobe:__ia32_${name}`)
  const body = block
    .replaceAll(/\bargs->ret\b|\bRETURNED\b/g, '(int64)retval')
    .replaceAll(/\bARGUMENT_(?=\d)/g, 'COMPAT_ARGUMENT_')
    .replaceAll(/\bSOCKETCALL\b/g, String(first.socketcall))
    .replaceAll(/^( *)NUMBER_OF_CALL$/gm, (_, indent: string) => number.map((line) => indent + line).join('\n'))
  return `\n${attached.join(',\n')}\n${body.replaceAll(/^\s*\/\/.*\n/gm, '')}`
}
