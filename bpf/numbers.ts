/** Numbers of the kernel's interface that both sides know: the fragments choose by them, user space names what it got. */

/** Flags of clone, unshare and setns, by what they make or enter: include/uapi/linux/sched.h. */
export const newNamespaces = {
  CLONE_NEWTIME: 0x80,
  CLONE_NEWNS: 0x20000,
  CLONE_NEWCGROUP: 0x2000000,
  CLONE_NEWUTS: 0x4000000,
  CLONE_NEWIPC: 0x8000000,
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
} as const

/** The commands of bpf(2) that are told: include/uapi/linux/bpf.h, enum bpf_cmd. */
export const bpfCommands = {
  BPF_MAP_CREATE: 0,
  BPF_PROG_LOAD: 5,
  BPF_OBJ_PIN: 6,
  BPF_OBJ_GET: 7,
  BPF_PROG_ATTACH: 8,
  BPF_PROG_DETACH: 9,
  BPF_PROG_GET_FD_BY_ID: 13,
  BPF_MAP_GET_FD_BY_ID: 14,
  BPF_RAW_TRACEPOINT_OPEN: 17,
  BPF_LINK_CREATE: 28,
  BPF_LINK_UPDATE: 29,
  BPF_LINK_DETACH: 34,
} as const

/** The requests to an io_uring that are told: include/uapi/linux/io_uring.h, enum io_uring_op. */
export const ringOperations = {
  accept: 13,
  connect: 16,
  openat: 18,
  openat2: 28,
  renameat: 35,
  unlinkat: 36,
  mkdirat: 37,
  symlinkat: 38,
  linkat: 39,
  fsetxattr: 41,
  setxattr: 42,
  socket: 45,
  bind: 56,
  listen: 57,
} as const

/** A set of numbers below 63 as bits. */
export const bits = (numbers: readonly number[]): bigint => numbers.reduce((set, n) => set | (1n << BigInt(n)), 0n)

/** How many keys each of the program's maps holds. */
export const mapKeys = 16_384
