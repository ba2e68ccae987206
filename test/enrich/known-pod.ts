import type { V1Pod } from '@kubernetes/client-node'
import { createPodTable, type Pod } from '../../enrich/pod-table.ts'
import { recordedPod } from './api-server.ts'

const table = createPodTable(() => 0)

/** The recorded pod of this name, as the product knows it. */
export function knownPod(name: string): Pod {
  const pod = table.put(recordedPod(name))
  if (!pod) throw new Error(`${name} is no pod`)
  return pod
}

/** A static pod of the control plane, which has no service account. */
export function staticPod(): Pod {
  const pod = table.put(mirrorPod)
  if (!pod) throw new Error('no pod')
  return pod
}

/** What the kubelet shows of it to the API server. */
export const mirrorPod: V1Pod = {
  metadata: {
    ...{ uid: 'bbbbbbbb-0000-4000-8000-000000000002', namespace: 'kube-system', name: 'etcd-node-a' },
    annotations: { 'kubernetes.io/config.mirror': '8b1a9953c4611296a827abf8c47804d7' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-a', uid: 'node-a', controller: true }],
  },
  spec: {
    hostNetwork: true,
    nodeName: 'node-a',
    containers: [{ name: 'etcd', volumeMounts: [{ name: 'data', mountPath: '/var/lib/etcd' }] }],
    volumes: [{ name: 'data', hostPath: { path: '/var/lib/etcd' } }],
  },
}
