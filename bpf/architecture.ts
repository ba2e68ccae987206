/**
 * What differs between machines: where a system call's arguments are, the numbers of calls, which calls there are; and where
 * fields of the kernel are that bpftrace can't be asked for in a way that all kernels take.
 */
import { existsSync, readFileSync } from 'node:fs'
import { offsetOf } from './btf.ts'
import { sets } from './conditions.ts'
import { mapKeys } from './numbers.ts'

export interface Architecture {
  /** Macros under the names that the fragments call them by. */
  readonly macros: Readonly<Record<string, string>>
  /** Of the program; ARGUMENT_n and RETURNED are texts that read what a call was given and gave, see the macro `frame`. */
  readonly constants: Readonly<Record<string, number | string>>
  /** Whether the calls of 32-bit programs pass functions of their own: see compat.ts. */
  readonly compatFunctions: boolean
  /** Calls that others have and it doesn't, by the names of their tracepoints: the program attaches to none of them. */
  readonly lacks: ReadonlySet<string>
}

/** The number of a call that the architecture doesn't have: no call has it. */
const NONE = 0xffff

/**
 * Whether the running call is one of 32-bit programs, which the tracepoints leave out (ARCH_TRACE_IGNORE_COMPAT_SYSCALLS). x86:
 * TS_COMPAT, arch/x86/include/asm/thread_info.h, is set from the call's beginning to its end, also by the `int 0x80` of a
 * 64-bit program, whose code segment is the usual one. arm64: TIF_32BIT, of the program itself.
 */
const compatCall = {
  x64: '(curtask->thread_info.status & 2) != 0',
  arm64: '(curtask->thread_info.flags & 0x400000) != 0',
}

const x64: Architecture = {
  macros: { frame: 'frame-x64' },
  constants: {
    THREAD_SIZE: 16384, // arch/x86/include/asm/page_64_types.h
    COMPAT_CALL: compatCall.x64,
    // An x32 call (__X32_SYSCALL_BIT), whose end neither a tracepoint nor a function of its own shows; and the lchown, fchown and
    // chown with 16 bits of 32-bit programs, which compat.ts leaves out, and whose numbers elsewhere are of no call on names.
    CALL_WITHOUT_END: '($call & 0x40000000) != 0 || $call == 16 || $call == 95 || $call == 182',
    RETURNED: '(int64)$regs->ax',
    ARGUMENT_1: '(uint64)$regs->di', // arch/x86/entry/entry_64.S
    ARGUMENT_2: '(uint64)$regs->si',
    ARGUMENT_3: '(uint64)$regs->dx',
    ARGUMENT_4: '(uint64)$regs->r10',
    ARGUMENT_5: '(uint64)$regs->r8',
    COMPAT_ARGUMENT_1: '((uint64)$regs->bx & 0xffffffff)', // arch/x86/entry/entry_64_compat.S
    COMPAT_ARGUMENT_2: '((uint64)$regs->cx & 0xffffffff)',
    COMPAT_ARGUMENT_3: '((uint64)$regs->dx & 0xffffffff)',
    COMPAT_ARGUMENT_4: '((uint64)$regs->si & 0xffffffff)',
    COMPAT_ARGUMENT_5: '((uint64)$regs->di & 0xffffffff)',
    COMPAT_OPEN: 5, // arch/x86/entry/syscalls/syscall_32.tbl
    COMPAT_CREAT: 8,
    COMPAT_OPENAT: 295,
    COMPAT_OPENAT2: 437,
    COMPAT_OPEN_BY_HANDLE_AT: 342,
    COMPAT_SOCKETCALL: 102,
    SYS_OPEN: 2, // arch/x86/entry/syscalls/syscall_64.tbl
    SYS_CREAT: 85,
    SYS_OPENAT2: 437,
    SYS_RENAME: 82,
    SYS_RMDIR: 84,
    SYS_FCHMOD: 91,
    SYS_FCHOWN: 93,
    SYS_MKDIRAT: 258,
    SYS_FCHOWNAT: 260,
    SYS_UNLINKAT: 263,
    SYS_LINKAT: 265,
    SYS_SYMLINKAT: 266,
    SYS_FCHMODAT: 268,
    SYS_FCHMODAT2: 452,
    SYS_WRITE: 1,
    SYS_WRITEV: 20,
    SYS_SENDTO: 44,
    SYS_SENDMSG: 46,
    SYS_SENDMMSG: 307,
    SYS_IO_URING_ENTER: 426,
  },
  compatFunctions: true,
  lacks: new Set(['arm64_personality']),
}

const arm64 = (pageSize: number): Architecture => ({
  macros: { frame: 'frame-arm64' },
  constants: {
    // arch/arm64/include/asm/memory.h: 16 KiB, but a page at least, as a stack is mapped by pages.
    THREAD_SIZE: Math.max(16384, pageSize),
    COMPAT_CALL: compatCall.arm64,
    CALL_WITHOUT_END: compatCall.arm64,
    RETURNED: '*kptr((int64 *)$regs)',
    ARGUMENT_1: '*kptr((uint64 *)((uint64)$regs + 272))', // orig_x0: the first register has the result
    ARGUMENT_2: '*kptr((uint64 *)((uint64)$regs + 8))',
    ARGUMENT_3: '*kptr((uint64 *)((uint64)$regs + 16))',
    ARGUMENT_4: '*kptr((uint64 *)((uint64)$regs + 24))',
    ARGUMENT_5: '*kptr((uint64 *)((uint64)$regs + 32))',
    COMPAT_ARGUMENT_1: '(*kptr((uint64 *)((uint64)$regs + 272)) & 0xffffffff)',
    COMPAT_ARGUMENT_2: '(*kptr((uint64 *)((uint64)$regs + 8)) & 0xffffffff)',
    COMPAT_ARGUMENT_3: '(*kptr((uint64 *)((uint64)$regs + 16)) & 0xffffffff)',
    COMPAT_OPEN: 5, // arch/arm/tools/syscall.tbl
    COMPAT_CREAT: 8,
    COMPAT_OPENAT: 322,
    COMPAT_OPENAT2: 437,
    COMPAT_OPEN_BY_HANDLE_AT: 371,
    COMPAT_SOCKETCALL: NONE, // it is older than the calls that this kernel knows of 32-bit programs
    SYS_OPEN: NONE, // include/uapi/asm-generic/unistd.h
    SYS_CREAT: NONE,
    SYS_OPENAT2: 437,
    SYS_RENAME: NONE,
    SYS_RMDIR: NONE,
    SYS_FCHMOD: 52,
    SYS_FCHOWN: 55,
    SYS_MKDIRAT: 34,
    SYS_FCHOWNAT: 54,
    SYS_UNLINKAT: 35,
    SYS_LINKAT: 37,
    SYS_SYMLINKAT: 36,
    SYS_FCHMODAT: 53,
    SYS_FCHMODAT2: 452,
    SYS_WRITE: 64,
    SYS_WRITEV: 66,
    SYS_SENDTO: 206,
    SYS_SENDMSG: 211,
    SYS_SENDMMSG: 269,
    SYS_IO_URING_ENTER: 426,
  },
  compatFunctions: false,
  lacks: new Set([
    ...'open creat chmod chown lchown link symlink rename unlink rmdir mkdir mknod dup2'.split(' '),
    ...'ioperm iopl modify_ldt personality'.split(' '),
  ]),
})

/** By Node's name of the architecture; `pageSize` in bytes, 4096 where that can't be known. */
export function architectureOf(name: string, pageSize = 4096): Architecture {
  const architecture = name === 'arm64' ? arm64(pageSize) : x64
  const constants = { ...architecture.constants, ...layoutOf(undefined), ...rowsFor(2), OUTSIDE: sets.ON_HOST }
  return { ...architecture, constants }
}

/** getauxval(3), include/uapi/linux/auxvec.h: pairs of words, a kind and its value. */
const AT_PAGESZ = 6n
function pageSizeIn(vector: Buffer): number | undefined {
  for (let at = 0; at + 16 <= vector.length; at += 16)
    if (vector.readBigUInt64LE(at) === AT_PAGESZ) return Number(vector.readBigUInt64LE(at + 8))
  return undefined
}

const types = '/sys/kernel/btf/vmlinux'
const possible = '/sys/devices/system/cpu/possible'
const longestRow = 32
const mostSteps = 640

/**
 * For what each processor puts off (macros/put-off.bt): how many rows, how long they are, a power of two; and how many steps
 * the flush takes in one turn, for which the verifier walks through some 600 instructions each.
 */
export function rowsFor(processors: number): Readonly<Record<string, number>> {
  const row = 2 ** Math.floor(Math.log2(Math.min(longestRow, mapKeys / processors)))
  return { CPUS: processors, ROW: row, FLUSH_STEPS: Math.min(processors * (row + 1), mostSteps) }
}

/** How many processors there can be: one more than the last number of a list such as `0-3,8-11`. */
const processorsIn = (list: string) => Number(/(\d+)\s*$/.exec(list)?.[1] ?? 0) + 1

/** Of this kernel, by its own types. Without them (bpftrace would find none either): as in kernels since 6.7. */
export function layoutOf(btf: Buffer | undefined): Readonly<Record<string, number>> {
  return {
    // d_iname, or d_shortname since 6.14: where a dentry keeps a short name.
    DENTRY_ROOM: (btf && (offsetOf(btf, 'dentry', 'd_iname') ?? offsetOf(btf, 'dentry', 'd_shortname'))) ?? 56,
    // cap_effective is a structure, whose only member is a number since 6.3 and was an array before. cap_ambient is 16 on.
    CRED_EFFECTIVE: (btf && offsetOf(btf, 'cred', 'cap_effective')) ?? 64,
    // x86-64: what a kernel that can do FRED, which has this structure, leaves above what a call came with
    // (TOP_OF_KERNEL_STACK_PADDING, arch/x86/include/asm/thread_info.h).
    FRAME_PADDING: btf && offsetOf(btf, 'fred_frame', 'info') !== undefined ? 16 : 0,
  }
}

/** cgroups(7): lines of hierarchy:controllers:path. Hierarchy 0 is version 2; one without a controller limits nothing. */
const cgroups = '/proc/self/cgroup'

/** Whether control groups of version 1 limit anything here. */
export const usesVersion1 = (hierarchies = existsSync(cgroups) ? readFileSync(cgroups, 'utf8') : ''): boolean =>
  /^[1-9]\d*:(?!name=)[^:]+:/m.test(hierarchies)

let own: Architecture | undefined

/** Of the machine that this runs on. */
export function ownArchitecture(): Architecture {
  if (own) return own
  const pageSize = process.arch === 'arm64' ? pageSizeIn(readFileSync('/proc/self/auxv')) : undefined
  const architecture = architectureOf(process.arch, pageSize)
  const layout = layoutOf(existsSync(types) ? readFileSync(types) : undefined)
  const rows = existsSync(possible) ? rowsFor(processorsIn(readFileSync(possible, 'utf8'))) : {}
  // What can hold outside of the cgroups (v2) that look like a container's: see macros/cgroup-kind.bt.
  const OUTSIDE = usesVersion1() ? sets.ANYWHERE : sets.ON_HOST
  own = { ...architecture, constants: { ...architecture.constants, ...layout, ...rows, OUTSIDE } }
  return own
}
