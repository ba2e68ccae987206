/** Deeds on other processes: ptrace, kill. */
import { constants } from 'node:os'
import type { RecordOf } from '../../bpf/records.ts'
import { callName } from '../calls.ts'
import type { Readers } from '../deeds.ts'
import { errorOf } from '../error-code.ts'

/** include/uapi/linux/ptrace.h */
const requests = new Map([
  [0, 'traceme'],
  [1, 'peek'],
  [2, 'peek'],
  [3, 'peek'],
  [4, 'poke'],
  [5, 'poke'],
  [6, 'poke'],
  [13, 'set_registers'],
  [15, 'set_registers'],
  [16, 'attach'],
  [0x4205, 'set_registers'],
  [0x4206, 'seize'],
])

const signals = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

function traced(record: RecordOf<'ptrace'>) {
  const call = callName(record.call)
  const request = call === 'ptrace' ? (requests.get(record.request) ?? String(record.request)) : call
  const error = errorOf(record.returned)
  return {
    type: 'ptrace' as const,
    about: { ptrace: { request }, ...(error && { error }) },
    ...(record.target !== 0 && { target: record.target }),
  }
}

function killed({ signal, target }: RecordOf<'kill'>) {
  const name = signals.get(signal) ?? `SIGRTMIN+${signal - 34}` // 34 is what C libraries leave of the real-time signals
  return { type: 'kill' as const, about: { signal: { name, number: signal } }, target }
}

export const tracedDeeds: Readers = { ptrace: traced, kill: killed }
