/**
 * What a pod's spec hands to one of its containers: the volumes that it mounts, its environment, the tokens and Secrets
 * among them. Of a container that the spec doesn't name (or none) it is all that any container of the pod gets.
 */
import { posix } from 'node:path'
import type { V1EnvVar, V1ServiceAccountTokenProjection, V1Volume, V1VolumeMount } from '@kubernetes/client-node'
import { containersIn, type SpecifiedContainer } from './pod-containers.ts'
import type { Pod } from './pod-table.ts'

/**
 * A projected token, and where the container finds it. `files`: its paths, but for mounts with a subPath, where the
 * kubelet never renews it (https://kubernetes.io/docs/concepts/storage/projected-volumes/).
 */
export type MountedToken = V1ServiceAccountTokenProjection & { volume: string; mountPath: string; files: string[] }

/** `via`: how the container gets it. */
export type HandedSecret = { name: string; via: 'volume' | 'env' | 'image_pull' }

export type Handed = {
  env: ReadonlyMap<string, V1EnvVar>
  volumes: V1Volume[]
  tokens: MountedToken[]
  secrets: HandedSecret[]
}

export function handedTo({ spec }: Pick<Pod, 'spec'>, container: string | undefined): Handed {
  const all = containersIn(spec)
  const named = container === undefined ? undefined : all.get(container)
  const containers = named ? [named] : [...all.values()]
  const allMounts = containers.flatMap(({ volumeMounts }) => volumeMounts ?? [])
  const mounts = new Map(allMounts.map((mount) => [mount.name, mount]))
  const volumes = (spec.volumes ?? []).filter(({ name }) => mounts.has(name))
  const env = new Map(containers.flatMap((one) => (one.env ?? []).map((variable) => [variable.name, variable])))
  return {
    env,
    volumes,
    tokens: volumes.flatMap((volume) =>
      sourcesOf(volume).flatMap(({ serviceAccountToken }) =>
        serviceAccountToken
          ? [
              {
                ...serviceAccountToken,
                volume: volume.name,
                mountPath: mounts.get(volume.name)?.mountPath ?? '',
                files: filesIn(allMounts, volume.name, serviceAccountToken.path),
              },
            ]
          : [],
      ),
    ),
    secrets: once([
      ...volumes.flatMap(secretsOfVolume).map((name) => ({ name, via: 'volume' as const })),
      ...containers.flatMap(secretsOfEnvironment).map((name) => ({ name, via: 'env' as const })),
      ...(spec.imagePullSecrets ?? []).map(({ name = '' }) => ({ name, via: 'image_pull' as const })),
    ]),
  }
}

/** Where a file of a volume is. */
const filesIn = (mounts: V1VolumeMount[], volume: string, path: string): string[] =>
  mounts
    .filter(({ name, subPath, subPathExpr }) => name === volume && !subPath && !subPathExpr)
    .map(({ mountPath }) => posix.join(mountPath, path))

const sourcesOf = ({ projected }: V1Volume) => projected?.sources ?? []

/** Projected ones count too; what a CSI driver or FlexVolume uses to mount, the container doesn't see. */
const secretsOfVolume = (volume: V1Volume): string[] =>
  [volume.secret?.secretName, ...sourcesOf(volume).map(({ secret }) => secret?.name)].filter(isName)

const secretsOfEnvironment = ({ env, envFrom }: SpecifiedContainer): string[] =>
  [
    ...(env ?? []).map(({ valueFrom }) => valueFrom?.secretKeyRef?.name),
    ...(envFrom ?? []).map(({ secretRef }) => secretRef?.name),
  ].filter(isName)

const isName = (name: string | null | undefined): name is string => typeof name === 'string' && name !== ''

function once(secrets: HandedSecret[]): HandedSecret[] {
  const found = new Map(
    secrets.filter(({ name }) => name !== '').map((secret) => [`${secret.via} ${secret.name}`, secret]),
  )
  return [...found.values()]
}
