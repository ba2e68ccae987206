import { createPodTable, type Pod } from '../../enrich/pod-table.ts'
import { recordedPod } from './api-server.ts'

const table = createPodTable(() => 0)

/** The recorded pod of this name, as the product knows it. */
export function knownPod(name: string): Pod {
  const pod = table.put(recordedPod(name))
  if (!pod) throw new Error(`${name} is no pod`)
  return pod
}
