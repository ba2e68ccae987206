/** Deeds on one's own credentials, but those by exec, which the process table tells. */
import type { RecordOf } from '../../bpf/records.ts'
import { callName } from '../calls.ts'
import { capabilityNames, without } from '../capabilities.ts'
import type { Readers } from '../deeds.ts'
import { errorOf } from '../error-code.ts'

/** The calls with which a process changes its user; those of the group and of capabilities go by their first letters. */
const operationOf = (call: string) => (call === 'capset' ? call : /^set(re|res)?uid$/.test(call) ? 'setuid' : 'setgid')

function changed(record: RecordOf<'credentials'>) {
  const { previous_uid, previous_gid } = record
  const operation = operationOf(callName(record.call))
  const error = errorOf(record.returned)
  if (error) return { type: 'credentials' as const, about: { credentials: { operation }, error } }
  const gained = capabilityNames(without(record.capabilities, record.previous))
  return {
    type: 'credentials' as const,
    about: {
      credentials: {
        operation,
        previous: { user: { id: previous_uid }, group: { id: previous_gid } },
        ...(gained.length > 0 && { gained }),
      },
    },
  }
}

export const credentialDeeds: Readers = { credentials: changed }
