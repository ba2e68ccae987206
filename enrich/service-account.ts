/** What is kept of a service account: what decides about the credentials of its pods, in the cluster and in clouds. */
import type { V1ServiceAccount } from '@kubernetes/client-node'
import { accountAnnotations } from './cloud.ts'

export type ServiceAccount = {
  automount?: boolean
  /** The Secrets that it lists: of any type that its pods may mount, and before Kubernetes 1.24 the tokens made for it. */
  secrets?: string[]
  /** Those that clouds read. */
  annotations?: Record<string, string>
}

export function serviceAccountFrom({
  metadata,
  automountServiceAccountToken: automount,
  secrets,
}: V1ServiceAccount): ServiceAccount {
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([name]) => accountAnnotations.has(name))
  const names = (secrets ?? []).flatMap(({ name }) => name ?? [])
  return {
    ...(typeof automount === 'boolean' && { automount }),
    ...(names.length > 0 && { secrets: names }),
    ...(annotations.length > 0 && { annotations: Object.fromEntries(annotations) }),
  }
}
