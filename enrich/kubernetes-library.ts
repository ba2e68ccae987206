/**
 * @kubernetes/client-node, loaded when it is first asked for: it brings its models of every object of Kubernetes, some
 * 60 MB of memory, and a sensor that stands alone needs none of it.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export const kubernetesLibrary = (): typeof import('@kubernetes/client-node') => require('@kubernetes/client-node')
