/** The rules of the pack posture speak of what stands in the cluster: there is nothing to act out in the kernel. */
import type { Act } from './act.ts'

const why = 'What the cluster’s objects say, not an act: test/enrich/posture.test.ts has it found.'

export const acts: Act[] = [
  { rule: 'cluster-admin-workload', why },
  { rule: 'default-account-with-rights', why },
  { rule: 'shared-account', why },
  { rule: 'token-without-use', why },
  { rule: 'legacy-token', why },
  { rule: 'wide-token', why },
]
