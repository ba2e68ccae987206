/** Deeds on the kernel itself, or past its usual calls: module, bpf, io_uring, syscall. */
import { bpfCommands, ringOperations } from '../../bpf/numbers.ts'
import { type RecordOf, sections } from '../../bpf/records.ts'
import { callName } from '../calls.ts'
import type { Readers } from '../deeds.ts'
import { errorOf } from '../error-code.ts'
import { type Part, pathOf, textIn } from '../parts.ts'
import { baseName } from '../shells.ts'
import { inodeOf, named } from './opened.ts'

/** A module's file -> its name: compressed or not, and the kernel writes every hyphen as an underscore. */
const moduleName = (path: string) =>
  baseName(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_')

function module(record: RecordOf<'module'>, parts: Part[], whole: boolean) {
  const path = pathOf(parts, sections.FILE, whole)
  const name = textIn(parts, sections.NAME) ?? (path === undefined ? undefined : moduleName(path))
  const error = errorOf(record.returned)
  return {
    type: 'module' as const,
    about: {
      module: {
        operation: callName(record.call) === 'delete_module' ? 'unload' : 'load',
        ...(name !== undefined && { name }),
      },
      ...(path !== undefined && { file: { ...named(path), ...inodeOf(parts) } }),
      ...(error && { error }),
    },
  }
}

/** BPF_PROG_LOAD -> program_load */
const commands = new Map<number, string>(
  Object.entries(bpfCommands).map(([name, number]) => [
    number,
    name.slice('BPF_'.length).toLowerCase().replace('prog_', 'program_').replace('obj_', 'object_'),
  ]),
)

/** include/uapi/linux/bpf.h, enum bpf_prog_type */
const programTypes = [
  'unspecified',
  'socket_filter',
  'kprobe',
  'sched_cls',
  'sched_act',
  'tracepoint',
  'xdp',
  'perf_event',
  'cgroup_skb',
  'cgroup_sock',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
  'sock_ops',
  'sk_skb',
  'cgroup_device',
  'sk_msg',
  'raw_tracepoint',
  'cgroup_sock_addr',
  'lwt_seg6local',
  'lirc_mode2',
  'sk_reuseport',
  'flow_dissector',
  'cgroup_sysctl',
  'raw_tracepoint_writable',
  'cgroup_sockopt',
  'tracing',
  'struct_ops',
  'ext',
  'lsm',
  'sk_lookup',
  'syscall',
  'netfilter',
]

function bpf(record: RecordOf<'bpf'>, parts: Part[]) {
  const name = textIn(parts, sections.NAME)
  const error = errorOf(record.returned)
  return {
    type: 'bpf' as const,
    about: {
      bpf: {
        operation: commands.get(record.command) ?? String(record.command),
        ...(record.type >= 0 && { type: programTypes[record.type] ?? String(record.type) }),
        ...(name && { name }),
      },
      ...(error && { error }),
    },
  }
}

const ringNames = new Map<number, string>(Object.entries(ringOperations).map(([name, number]) => [number, name]))

function ring(record: RecordOf<'io_uring'>) {
  const operation = record.opcode < 0 ? 'setup' : (ringNames.get(record.opcode) ?? String(record.opcode))
  const error = errorOf(record.returned)
  return { type: 'io_uring' as const, about: { io_uring: { operation }, ...(error && { error }) } }
}

function syscall(record: RecordOf<'syscall'>) {
  const error = errorOf(record.returned)
  return { type: 'syscall' as const, about: { syscall: { name: callName(record.call) }, ...(error && { error }) } }
}

export const kernelDeeds: Readers = { module, bpf, io_uring: ring, syscall }
