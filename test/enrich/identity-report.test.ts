import type { V1ClusterRoleBinding, V1Pod, V1PodSpec, V1Volume } from '@kubernetes/client-node'
import { expect, test } from 'vitest'
import type { ClusterObjects } from '../../enrich/cluster-objects.ts'
import { createReports } from '../../enrich/identity-report.ts'
import { mirrorPod } from './known-pod.ts'

const podOf = (name: string, namespace: string, spec: Partial<V1PodSpec> = {}): V1Pod => ({
  metadata: { uid: `${namespace}/${name}`, namespace, name },
  spec: { serviceAccountName: 'default', containers: [{ name: 'app' }], ...spec },
})
const everything: V1ClusterRoleBinding = {
  metadata: { name: 'everything' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ kind: 'ServiceAccount', namespace: 'kube-system', name: 'default' }],
}
/** A cluster with these pods, in which kube-system/default may do anything. */
const reportsOf = (...pods: V1Pod[]) =>
  createReports({
    ...nothing,
    Pod: pods,
    ClusterRole: [
      { metadata: { name: 'cluster-admin' }, rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] },
    ],
    ClusterRoleBinding: [everything],
  })
const nothing: ClusterObjects = {
  ...{ ServiceAccount: [], Pod: [], Namespace: [], Service: [], EndpointSlice: [], NetworkPolicy: [] },
  ...{ Role: [], ClusterRole: [], RoleBinding: [], ClusterRoleBinding: [], missing: [] },
}

test('static pods are no workloads of the account default, whose own pods are', () => {
  const reports = reportsOf(mirrorPod, podOf('dns', 'kube-system'))
  const account = { namespace: 'kube-system', name: 'default' }
  expect(reports.of(account)?.workloads.map(({ name }) => name)).toEqual(['Pod/dns'])
  expect(reports.all().map(({ subject, workloads }) => [subject, workloads.length])).toEqual([
    ['system:serviceaccount:kube-system:default', 1],
  ])
})

test('a manifest that names no account means default', () => {
  const { serviceAccountName: _, ...spec } = podOf('dns', 'kube-system').spec ?? { containers: [] }
  const reports = reportsOf({ ...podOf('dns', 'kube-system'), spec })
  expect(reports.of({ namespace: 'kube-system', name: 'default' })?.workloads.map(({ name }) => name)).toEqual([
    'Pod/dns',
  ])
})

test.each([
  ['none', undefined, true],
  ['the API server', 'https://kubernetes.default.svc.cluster.local', true],
  ['who knows whom', 'ours', true],
  ['a cloud', 'sts.amazonaws.com', false],
])('a workload with a token that names %s as its audience', (_, audience, counts) => {
  const sources = [{ serviceAccountToken: { path: 'token', ...(audience && { audience }) } }]
  const volumes: V1Volume[] = [{ name: 'token', projected: { sources } }]
  const reports = reportsOf(podOf('dns', 'kube-system', { volumes }))
  const [workload] = reports.of({ namespace: 'kube-system', name: 'default' })?.workloads ?? []
  expect(workload).toMatchObject({ token: counts, blast_radius: { score: counts ? 100 : 0 } })
})
