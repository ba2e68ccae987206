/** What a test had kept on the node is removed by a pod, and then the pod. */
import { basename, dirname, join } from 'node:path'
import type { V1Pod } from '@kubernetes/client-node'
import { apply, kubectl } from './commands.ts'
import { namespaces, ofImage, on } from './scene.ts'

const { outside } = namespaces

/** Removes a directory of the node. */
export async function removeFromNode(directory: string, node: string): Promise<void> {
  await apply([removalPod(directory, node)])
  const removed = ['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/removal', '--namespace', outside]
  await kubectl([...removed, '--timeout=60s'])
  await kubectl(['delete', 'pod', 'removal', '--namespace', outside])
}

const removalPod = (directory: string, node: string): V1Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'removal', namespace: namespaces.outside },
  spec: {
    ...on(node, [
      {
        ...ofImage('removal', ['rm', '-rf', join('/parent', basename(directory))]),
        volumeMounts: [{ name: 'parent', mountPath: '/parent' }],
      },
    ]),
    restartPolicy: 'Never',
    volumes: [{ name: 'parent', hostPath: { path: dirname(directory), type: 'Directory' } }],
  },
})
