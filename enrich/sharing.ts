/** Which workloads of this node use the same service account. */
import type { Pod } from './pod-table.ts'

export type Sharing = {
  /** These are the pods now. Whether that changes any answer. */
  replace(pods: Pod[]): boolean
  /** As Kind/name, sorted, at most 16. */
  othersThan(pod: Pod): string[]
}

const most = 16

export function createSharing(): Sharing {
  let workloads = new Map<string, string[]>()
  let written = ''
  return {
    replace(pods) {
      const found = new Map<string, Set<string>>()
      for (const pod of pods) {
        const account = accountOf(pod)
        // Until the controllers above it are known, a ReplicaSet would pass for a workload.
        if (!account || !pod.ownersSettled) continue
        found.set(account, (found.get(account) ?? new Set()).add(workloadOf(pod)))
      }
      workloads = new Map(
        [...found].sort(([one], [other]) => order(one, other)).map(([key, names]) => [key, [...names].sort(order)]),
      )
      const before = written
      written = JSON.stringify([...workloads])
      return written !== before
    },
    othersThan(pod) {
      const own = workloadOf(pod)
      const account = accountOf(pod)
      return ((account && workloads.get(account)) || []).filter((one) => one !== own).slice(0, most)
    },
  }
}

const accountOf = ({ namespace, serviceAccount }: Pod) => serviceAccount && `${namespace}/${serviceAccount}`

function workloadOf({ owners, name }: Pod): string {
  const topmost = owners.at(-1)
  return topmost ? `${topmost.kind}/${topmost.name}` : `Pod/${name}`
}

const order = (one: string, other: string) => (one < other ? -1 : 1)
