/**
 * @kubernetes/client-node, loaded when it is first asked for: it brings its models of every object of Kubernetes, some
 * 75 MB of memory, and neither a sensor that stands alone nor one in a pod needs them: a kubeconfig does.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export const kubernetesLibrary = (): typeof import('@kubernetes/client-node') => require('@kubernetes/client-node')
