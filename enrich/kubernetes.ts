/** Whether this sensor knows a Kubernetes, which one, and which of its nodes it stands on. */
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { delimiter } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import { type ClusterAccess, podAccess } from './cluster-access.ts'
import { kubernetesLibrary } from './kubernetes-library.ts'

export type KubernetesConfig = {
  enabled: 'auto' | boolean
  kubeconfig?: string | null
  nodeName?: string | null
  clusterName?: string | null
}

export type Kubernetes = { kubeConfig: ClusterAccess; nodeName: string; clusterName?: string; source: string }

/** `tokenFile`: where the kubelet mounts a pod's service account. */
const thisMachine = { hostName: hostname(), tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' }

/**
 * Looked at in this order: `kubernetes.kubeconfig`, KUBECONFIG, the service account of this pod. `auto` without any of
 * them, or `enabled: false`: undefined, the sensor stands alone. Throws, with what to do, when `enabled: true` finds
 * none, and when one was named that can't be read.
 *
 * The node's name is `kubernetes.nodeName`, NIGHTJAR_NODE_NAME, else the host name in lower case (as the kubelet
 * registers itself by default).
 */
export function kubernetesFrom(
  config: KubernetesConfig,
  env: NodeJS.ProcessEnv = process.env,
  machine = thisMachine,
): Kubernetes | undefined {
  if (config.enabled === false) return undefined
  const found = sources(config, env, machine.tokenFile).find((source) => source.there)
  if (!found) {
    if (config.enabled === 'auto') return undefined
    throw new Error(
      `kubernetes.enabled is true, but no cluster is configured: kubernetes.kubeconfig and KUBECONFIG are not set, and ` +
        `${machine.tokenFile} (the service account of a pod) is not there. ` +
        'Set kubernetes.kubeconfig to a file, run in a pod, or set kubernetes.enabled to false.',
    )
  }
  return {
    kubeConfig: found.load(),
    nodeName: config.nodeName || env.NIGHTJAR_NODE_NAME || machine.hostName.toLowerCase(),
    ...(config.clusterName && { clusterName: config.clusterName }),
    source: found.name,
  }
}

type Source = { name: string; there: boolean; load(): ClusterAccess }

function sources(config: KubernetesConfig, env: NodeJS.ProcessEnv, tokenFile: string): Source[] {
  const files = (env.KUBECONFIG ?? '').split(delimiter).filter((file) => file !== '')
  return [
    {
      name: 'kubernetes.kubeconfig',
      there: Boolean(config.kubeconfig),
      load: () => fromFiles([config.kubeconfig ?? ''], 'kubernetes.kubeconfig'),
    },
    { name: 'KUBECONFIG', there: files.length > 0, load: () => fromFiles(files, 'KUBECONFIG') },
    {
      name: 'service account',
      there: Boolean(env.KUBERNETES_SERVICE_HOST) && existsSync(tokenFile),
      load: () => podAccess(env, tokenFile),
    },
  ]
}

/** Several files are merged as kubectl does it: what comes first counts. */
function fromFiles(files: string[], setBy: string): KubeConfig {
  const { KubeConfig } = kubernetesLibrary()
  const [kubeConfig, ...others] = files.map((file) => {
    try {
      const one = new KubeConfig()
      one.loadFromFile(file)
      return one
    } catch (error) {
      throw new Error(
        `${file} (from ${setBy}): can't be used as a kubeconfig: ${reason(error)}. ` +
          'Expected a readable kubeconfig in YAML or JSON; name another, or set kubernetes.enabled to false.',
      )
    }
  })
  const first = kubeConfig ?? new KubeConfig()
  for (const other of others) {
    const names = { clusters: known(first.clusters), users: known(first.users), contexts: known(first.contexts) }
    other.clusters = other.clusters.filter((one) => !names.clusters.has(one.name))
    other.users = other.users.filter((one) => !names.users.has(one.name))
    other.contexts = other.contexts.filter((one) => !names.contexts.has(one.name))
    first.mergeConfig(other, Boolean(first.currentContext))
  }
  if (!first.getCurrentCluster()) {
    throw new Error(
      `${files.join(delimiter)} (from ${setBy}): current-context is ${JSON.stringify(first.currentContext ?? null)}, ` +
        'which names no cluster in it. Expected the name of one of its contexts: kubectl config use-context NAME.',
    )
  }
  return first
}

const known = (entries: { name: string }[]) => new Set(entries.map((entry) => entry.name))
const reason = (error: unknown) => (error instanceof Error ? error.message : String(error))
