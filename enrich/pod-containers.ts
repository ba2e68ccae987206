/** The containers that a pod's spec names, by name, each with what it is there for. */
import type { V1Container, V1EphemeralContainer, V1PodSpec } from '@kubernetes/client-node'

export type ContainerKind = 'app' | 'init' | 'sidecar' | 'ephemeral'

export type SpecifiedContainer = (V1Container | V1EphemeralContainer) & { kind: ContainerKind }

export function containersIn(spec: V1PodSpec | null | undefined): Map<string, SpecifiedContainer> {
  const kinds = [
    { containers: spec?.containers, kind: () => 'app' as const },
    // An init container that is always restarted runs beside the others
    // (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
    {
      containers: spec?.initContainers,
      kind: ({ restartPolicy }: V1Container) => (restartPolicy === 'Always' ? ('sidecar' as const) : ('init' as const)),
    },
    { containers: spec?.ephemeralContainers, kind: () => 'ephemeral' as const },
  ]
  const found = new Map<string, SpecifiedContainer>()
  for (const { containers, kind } of kinds) {
    for (const container of containers ?? []) found.set(container.name, { ...container, kind: kind(container) })
  }
  return found
}
