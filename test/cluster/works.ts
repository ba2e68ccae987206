/**
 * Workloads of every kind, each of which leaves a mark: it runs a shell whose command line names it. All are made of
 * Nightjar's own image, on one node.
 */
import type { KubernetesObject, V1Container, V1Pod, V1PodSpec } from '@kubernetes/client-node'
import { namespaces, ofImage, on, ours } from './scene.ts'

export const { works } = namespaces
export const mark = 'nightjar-mark'
export const account = 'worker'
export const role = 'arn:aws:iam::111122223333:role/worker'

/** Matches the marks; those of one program in one container are folded after the tenth. */
export const markRules = {
  pack: 'marks',
  version: '1',
  rules: [
    {
      id: 'marked',
      name: 'A mark',
      on: ['exec'],
      when: {
        'process.name': { regex: '^(sh|dash|bash|tick-[0-9]+)$' },
        'process.command_line': { contains: `${mark} ` },
      },
      severity: 'info',
      message: '{process.command_line}',
      tests: [],
    },
  ],
}

/** Marks, then runs the rest of the script. */
export const marking = (name: string, rest = '') => ['sh', '-c', `: ${mark} ${name}${rest && `; ${rest}`}`]
const stays = 'trap exit TERM; sleep infinity & wait'

const marked = (name: string, rest = stays): V1Container => ofImage('app', marking(name, rest))
const spec = (node: string, containers: V1Container[], more: Partial<V1PodSpec> = {}): V1PodSpec => ({
  ...on(node, containers),
  serviceAccountName: account,
  ...more,
})

const metadata = (name: string) => ({ name, namespace: works, labels: { app: name } })

function template(name: string, node: string, more: Partial<V1PodSpec> = {}, rest = stays) {
  return { metadata: { labels: { app: name } }, spec: spec(node, [marked(name, rest)], more) }
}

export const namespaceObject = (): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: works, labels: { ...ours, 'pod-security.kubernetes.io/enforce': 'privileged', team: 'payments' } },
})

export const accounts = (): object[] => [
  {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: account, namespace: works, annotations: { 'eks.amazonaws.com/role-arn': role } },
  },
  {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'tokenless', namespace: works },
    automountServiceAccountToken: false,
  },
]

/** Gives the account of most of them a right that is worth something. */
export const sharedRights = (): object => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: 'shared', namespace: works },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
  subjects: [{ kind: 'ServiceAccount', name: account, namespace: works }],
})

export const spiffeKind = 'clusterspiffeids.spire.spiffe.io'

/** As spire-controller-manager has it, without its checks. */
export const spiffeDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: spiffeKind, labels: ours },
  spec: {
    group: 'spire.spiffe.io',
    names: {
      kind: 'ClusterSPIFFEID',
      listKind: 'ClusterSPIFFEIDList',
      plural: 'clusterspiffeids',
      singular: 'clusterspiffeid',
    },
    scope: 'Cluster',
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}

export const registration = {
  apiVersion: 'spire.spiffe.io/v1alpha1',
  kind: 'ClusterSPIFFEID',
  metadata: { name: 'nightjar-test', labels: ours },
  spec: {
    spiffeIDTemplate: 'spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/app/{{ .PodMeta.Labels.app }}',
    namespaceSelector: { matchLabels: { ...ours, team: 'payments' } },
    podSelector: { matchLabels: { app: 'statefulset' } },
  },
}

/** Name of each is its mark; `owner`: the topmost controller that the alert has to name. */
export function controllers(node: string): { object: object; name: string; owner: { kind: string; name: string } }[] {
  const selector = (name: string) => ({ matchLabels: { app: name } })
  const ends = { restartPolicy: 'Never' }
  return [
    {
      name: 'deployment',
      owner: { kind: 'Deployment', name: 'deployment' },
      object: {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: metadata('deployment'),
        spec: { replicas: 1, selector: selector('deployment'), template: template('deployment', node) },
      },
    },
    {
      name: 'statefulset',
      owner: { kind: 'StatefulSet', name: 'statefulset' },
      object: {
        apiVersion: 'apps/v1',
        kind: 'StatefulSet',
        metadata: metadata('statefulset'),
        spec: {
          replicas: 1,
          serviceName: 'statefulset',
          selector: selector('statefulset'),
          template: template('statefulset', node),
        },
      },
    },
    {
      name: 'daemonset',
      owner: { kind: 'DaemonSet', name: 'daemonset' },
      object: {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: metadata('daemonset'),
        spec: {
          selector: selector('daemonset'),
          template: template('daemonset', node, {
            nodeName: undefined,
            nodeSelector: { 'kubernetes.io/hostname': node },
          }),
        },
      },
    },
    {
      name: 'job',
      owner: { kind: 'Job', name: 'job' },
      object: {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: metadata('job'),
        spec: { backoffLimit: 0, template: template('job', node, ends, '') },
      },
    },
    {
      name: 'cronjob',
      owner: { kind: 'CronJob', name: 'cronjob' },
      object: {
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        metadata: metadata('cronjob'),
        spec: {
          // Never by the clock: the test makes a Job of it, as `kubectl create job --from` does.
          schedule: '0 0 31 2 *',
          jobTemplate: { spec: { backoffLimit: 0, template: template('cronjob', node, ends, '') } },
        },
      },
    },
    ...[
      { name: 'host', more: { hostPID: true, hostNetwork: true, hostIPC: true }, security: { privileged: true } },
      { name: 'tokenless', more: { serviceAccountName: 'tokenless' } },
    ].map(({ name, more, security }) => ({
      name,
      owner: { kind: 'Deployment', name },
      object: {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: metadata(name),
        spec: {
          replicas: 1,
          selector: selector(name),
          template: {
            metadata: { labels: { app: name } },
            spec: spec(node, [{ ...marked(name), ...(security && { securityContext: security }) }], more),
          },
        },
      },
    })),
  ]
}

/** A pod with a container of each kind but the ephemeral one, and a probe that runs a command in it. */
export const manifold = (node: string): V1Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: metadata('manifold'),
  spec: spec(
    node,
    [
      {
        ...marked('manifold-app'),
        livenessProbe: { exec: { command: marking('manifold-probe') }, periodSeconds: 5, timeoutSeconds: 5 },
      },
    ],
    {
      initContainers: [
        { ...ofImage('prepare', marking('manifold-init')) },
        { ...ofImage('beside', marking('manifold-sidecar', stays)), restartPolicy: 'Always' },
      ],
    },
  ),
})

/** Leaves a numbered mark about every second, `count` of them, each by a program of its own: none is folded. */
export const ticking = (node: string, count: number): V1Pod => {
  const tick = `cp /bin/sh /tmp/tick-$i; /tmp/tick-$i -c ": ${mark} tick $i"; rm /tmp/tick-$i`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata('ticking'),
    spec: spec(node, [ofImage('app', ['bash', '-c', `for i in $(seq ${count}); do ${tick}; sleep 1; done; ${stays}`])]),
  }
}

/** Its container ends after so many seconds, and the kubelet starts another, whether the API server is there or not. */
export const returning = (node: string, seconds: number): V1Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: metadata('returning'),
  spec: spec(node, [ofImage('app', marking('returning', `sleep ${seconds}`))], { restartPolicy: 'Always' }),
})

/** Its only process lives for a millisecond. */
export const fleeting = (name: string, node: string): V1Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: works, labels: { app: 'fleeting' } },
  spec: spec(node, [ofImage('app', marking(name))], { restartPolicy: 'Never' }),
})

/** Writes a static pod's manifest into the kubelet's directory, and takes it away again when it ends. */
export function staticPod(node: string, directory: string): V1Pod {
  const manifest: V1Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'fixed', namespace: works, labels: { app: 'fixed' } },
    // A static pod may name no service account.
    spec: { ...spec('', [marked('static')]), serviceAccountName: undefined, nodeName: undefined },
  }
  const script = `echo "$MANIFEST" > /manifests/nightjar-test.json; trap 'rm -f /manifests/nightjar-test.json; exit' TERM; sleep infinity & wait`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata('writer'),
    spec: {
      ...spec(node, [
        {
          ...ofImage('app', ['bash', '-c', script]),
          env: [{ name: 'MANIFEST', value: JSON.stringify(manifest) }],
          volumeMounts: [{ name: 'manifests', mountPath: '/manifests' }],
        },
      ]),
      terminationGracePeriodSeconds: 10,
      volumes: [{ name: 'manifests', hostPath: { path: directory, type: 'DirectoryOrCreate' } }],
    },
  }
}
