/** Tells of a break-glass annotation that does not hold once: for a pod, as long as what is wrong with it stays the same. */
import { LRUCache } from 'lru-cache'
import type { OnRefused, RefusedBreakGlass } from '../rules/phase.ts'

export interface PodRefused extends RefusedBreakGlass {
  readonly namespace?: string
  readonly pod?: string
}

/** Pods that are remembered: several times those of a full node. */
const mostPods = 1_000

export function refusalsOnce(tell: (refused: PodRefused) => void): OnRefused {
  const told = new LRUCache<string, string>({ max: mostPods })
  return ({ k8s }, refused) => {
    const [namespace, pod] = [k8s?.namespace?.name, k8s?.pod?.name]
    const key = k8s?.pod?.uid ?? `${namespace}/${pod}`
    if (told.get(key) === refused.detail) return
    told.set(key, refused.detail)
    tell({ ...refused, ...(namespace !== undefined && { namespace }), ...(pod !== undefined && { pod }) })
  }
}
