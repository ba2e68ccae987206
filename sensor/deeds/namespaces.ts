/** What a process sees of the machine, changed: namespace, mount. */
import { newNamespaces } from '../../bpf/numbers.ts'
import { type RecordOf, sections } from '../../bpf/records.ts'
import { callName } from '../calls.ts'
import type { Readers } from '../deeds.ts'
import { errorOf } from '../error-code.ts'
import { type Part, pathOf, textIn } from '../parts.ts'

const kinds: { type: string; flag: number; names: string[] }[] = [
  { type: 'mount', flag: newNamespaces.CLONE_NEWNS, names: ['mnt'] },
  { type: 'pid', flag: newNamespaces.CLONE_NEWPID, names: ['pid', 'pid_for_children'] },
  { type: 'network', flag: newNamespaces.CLONE_NEWNET, names: ['net'] },
  { type: 'ipc', flag: newNamespaces.CLONE_NEWIPC, names: ['ipc'] },
  { type: 'uts', flag: newNamespaces.CLONE_NEWUTS, names: ['uts'] },
  { type: 'user', flag: newNamespaces.CLONE_NEWUSER, names: ['user'] },
  { type: 'cgroup', flag: newNamespaces.CLONE_NEWCGROUP, names: ['cgroup'] },
  { type: 'time', flag: newNamespaces.CLONE_NEWTIME, names: ['time', 'time_for_children'] },
]

function namespace(record: RecordOf<'namespace'>, parts: Part[], whole: boolean) {
  const operation = record.call === -1 ? 'clone' : callName(record.call)
  // A namespace's descriptor says its kind; setns may be told none (0), and needs the flags for a process's descriptor.
  const name = textIn(parts, sections.NAME)
  const meant = kinds.filter(({ flag, names }) => (name ? names.includes(name) : (record.flags & flag) !== 0))
  const error = errorOf(record.returned)
  const entered = operation === 'setns' && !error && whole
  return {
    type: 'namespace' as const,
    about: {
      namespace: {
        operation,
        ...(meant.length > 0 && { types: meant.map(({ type }) => type) }),
        ...(entered && { host: meant.some(({ flag }) => (record.host & flag) !== 0) }),
      },
      ...(error && { error }),
    },
    ...(record.target !== 0 && { target: record.target }),
  }
}

/** include/uapi/linux/mount.h */
const mountFlags: Record<string, number> = {
  MS_RDONLY: 1,
  MS_NOSUID: 2,
  MS_NODEV: 4,
  MS_NOEXEC: 8,
  MS_SYNCHRONOUS: 16,
  MS_REMOUNT: 32,
  MS_MANDLOCK: 64,
  MS_DIRSYNC: 128,
  MS_NOSYMFOLLOW: 256,
  MS_NOATIME: 1024,
  MS_NODIRATIME: 2048,
  MS_BIND: 4096,
  MS_MOVE: 8192,
  MS_REC: 16384,
  MS_SILENT: 32768,
  MS_POSIXACL: 1 << 16,
  MS_UNBINDABLE: 1 << 17,
  MS_PRIVATE: 1 << 18,
  MS_SLAVE: 1 << 19,
  MS_SHARED: 1 << 20,
  MS_RELATIME: 1 << 21,
  MS_STRICTATIME: 1 << 24,
  MS_LAZYTIME: 1 << 25,
}
/** include/linux/fs.h */
const umountFlags: Record<string, number> = { MNT_FORCE: 1, MNT_DETACH: 2, MNT_EXPIRE: 4, UMOUNT_NOFOLLOW: 8 }

const namesOf = (flags: number, table: Record<string, number>) =>
  Object.keys(table).filter((name) => (flags & (table[name] ?? 0)) !== 0)

/** In the order in which the kernel asks: fs/namespace.c, path_mount. */
function mountOperation(flags: string[]): string {
  const has = (...names: string[]) => names.some((name) => flags.includes(name))
  if (has('MS_REMOUNT')) return 'remount'
  if (has('MS_BIND')) return 'bind'
  if (has('MS_SHARED', 'MS_PRIVATE', 'MS_SLAVE', 'MS_UNBINDABLE')) return 'propagation'
  return has('MS_MOVE') ? 'move' : 'mount'
}

/** The old magic number in the upper half of mount's flags, which the kernel ignores: MS_MGC_VAL. */
const withoutMagic = (flags: number) => (flags >>> 16 === 0xc0ed ? flags & 0xffff : flags)

/** What the calls besides mount(2) do. */
const mountCalls: Record<string, { operation: string; flags?: Record<string, number> }> = {
  umount: { operation: 'umount', flags: umountFlags },
  pivot_root: { operation: 'pivot_root' },
  fsmount: { operation: 'mount' },
  move_mount: { operation: 'move' },
  open_tree: { operation: 'bind' },
  open_tree_attr: { operation: 'bind' },
  mount_setattr: { operation: 'remount' },
}

function mounted(record: RecordOf<'mount'>, parts: Part[], whole: boolean) {
  const call = callName(record.call)
  const known = mountCalls[call]
  const flags = known ? namesOf(record.flags, known.flags ?? {}) : namesOf(withoutMagic(record.flags), mountFlags)
  const operation = known?.operation ?? mountOperation(flags)
  const source = textIn(parts, sections.OTHER)
  const target = pathOf(parts, sections.FILE, whole) ?? textIn(parts, sections.REQUESTED)
  // mount(2) is given a type also where it doesn't mean anything.
  const filesystem = known || operation === 'mount' ? textIn(parts, sections.NAME) : undefined
  const error = errorOf(record.returned)
  return {
    type: 'mount' as const,
    about: {
      mount: {
        operation,
        ...(source !== undefined && { source }),
        ...(target !== undefined && { target }),
        ...(filesystem !== undefined && { filesystem }),
        ...(flags.length > 0 && { flags }),
      },
      ...(error && { error }),
    },
  }
}

export const namespaceDeeds: Readers = { namespace, mount: mounted }
