/** System calls by their number, which each architecture has its own of: x86-64's, and arm64's (the generic ones). */
const calls: Record<string, { x64?: number; arm64?: number }> = {
  acct: { x64: 163, arm64: 89 },
  add_key: { x64: 248, arm64: 217 },
  capset: { x64: 126, arm64: 91 },
  chroot: { x64: 161, arm64: 51 },
  clock_settime: { x64: 227, arm64: 112 },
  delete_module: { x64: 176, arm64: 106 },
  fanotify_init: { x64: 300, arm64: 262 },
  finit_module: { x64: 313, arm64: 273 },
  fsmount: { x64: 432, arm64: 432 },
  init_module: { x64: 175, arm64: 105 },
  ioperm: { x64: 173 },
  iopl: { x64: 172 },
  kexec_file_load: { x64: 320, arm64: 294 },
  kexec_load: { x64: 246, arm64: 104 },
  keyctl: { x64: 250, arm64: 219 },
  memfd_secret: { x64: 447, arm64: 447 },
  mknod: { x64: 133 },
  mknodat: { x64: 259, arm64: 33 },
  modify_ldt: { x64: 154 },
  mount: { x64: 165, arm64: 40 },
  mount_setattr: { x64: 442, arm64: 442 },
  move_mount: { x64: 429, arm64: 429 },
  open_by_handle_at: { x64: 304, arm64: 265 },
  open_tree: { x64: 428, arm64: 428 },
  open_tree_attr: { x64: 467, arm64: 467 },
  perf_event_open: { x64: 298, arm64: 241 },
  personality: { x64: 135, arm64: 92 },
  pidfd_getfd: { x64: 438, arm64: 438 },
  pivot_root: { x64: 155, arm64: 41 },
  process_vm_readv: { x64: 310, arm64: 270 },
  process_vm_writev: { x64: 311, arm64: 271 },
  ptrace: { x64: 101, arm64: 117 },
  quotactl: { x64: 179, arm64: 60 },
  quotactl_fd: { x64: 443, arm64: 443 },
  reboot: { x64: 169, arm64: 142 },
  request_key: { x64: 249, arm64: 218 },
  setdomainname: { x64: 171, arm64: 162 },
  setgid: { x64: 106, arm64: 144 },
  sethostname: { x64: 170, arm64: 161 },
  setns: { x64: 308, arm64: 268 },
  setregid: { x64: 114, arm64: 143 },
  setresgid: { x64: 119, arm64: 149 },
  setresuid: { x64: 117, arm64: 147 },
  setreuid: { x64: 113, arm64: 145 },
  settimeofday: { x64: 164, arm64: 170 },
  setuid: { x64: 105, arm64: 146 },
  swapoff: { x64: 168, arm64: 225 },
  swapon: { x64: 167, arm64: 224 },
  syslog: { x64: 103, arm64: 116 },
  umount: { x64: 166, arm64: 39 },
  unshare: { x64: 272, arm64: 97 },
  userfaultfd: { x64: 323, arm64: 282 },
}

const architecture = process.arch === 'arm64' ? 'arm64' : 'x64'
const names = new Map(Object.entries(calls).map(([name, numbers]) => [numbers[architecture], name]))

/** Its name; the number as it is if it isn't in the table. */
export const callName = (number: number): string => names.get(number) ?? String(number)

/** The number that a call has here; undefined if this architecture doesn't have it. For tests. */
export const callNumber = (name: string): number | undefined => calls[name]?.[architecture]
