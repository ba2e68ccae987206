/**
 * What is in the cluster besides Nightjar: a shop (the workload), and outside of it an attacker and the SOC's receiver.
 * All of it is made of Nightjar's own image, the only one that the nodes surely have, and on one node, so that the
 * clocks that are compared are one clock.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type {
  V1ConfigMap,
  V1Container,
  V1Deployment,
  V1Job,
  V1Namespace,
  V1Pod,
  V1PodSpec,
  V1Service,
  V1ServiceAccount,
} from '@kubernetes/client-node'

export const image = process.env.NIGHTJAR_IMAGE ?? ''

/** As the chart's values have it: what is after the last colon is the tag, or the digest, or a registry's port. */
export function imageValues(reference = image) {
  const at = reference.lastIndexOf(':')
  const tagged = at > reference.lastIndexOf('/')
  return { repository: tagged ? reference.slice(0, at) : reference, tag: tagged ? reference.slice(at + 1) : 'latest' }
}

export const namespaces = {
  nightjar: 'nightjar',
  shop: 'nightjar-test-shop',
  outside: 'nightjar-test-outside',
  works: 'nightjar-test-works',
}

/** What test/cluster/run removes by. */
export const ours = { 'nightjar.dev/test': 'cluster' }

/** Pod Security would refuse Nightjar's hostPID, and under `restricted` the root of all the others. */
export const namespaceObjects: V1Namespace[] = Object.values(namespaces).map((name) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { ...ours, 'pod-security.kubernetes.io/enforce': 'privileged' } },
}))

/** The service account of everything in the shop. */
export const shopper = 'storefront'
const ports = { storefront: 8080, receiver: 8080, attacker: 4444 }

/** Everything that stays, to be applied when the node is known. */
export function scene(node: string): object[] {
  const account: V1ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: shopper, namespace: namespaces.shop },
  }
  return [
    account,
    ...server('storefront', namespaces.shop, node, shopper),
    ...server('receiver', namespaces.outside, node),
    ...server('attacker', namespaces.outside, node),
  ]
}

/** A program of pods/ as a Deployment behind a Service of its name. */
function server(
  name: keyof typeof ports,
  namespace: string,
  node: string,
  serviceAccountName?: string,
): [V1ConfigMap, V1Deployment, V1Service] {
  const port = ports[name]
  const metadata = { name, namespace }
  const container: V1Container = {
    ...ofImage(name === 'storefront' ? 'web' : name, ['node', '/programs/program.mts']),
    ports: [{ containerPort: port }],
    readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
    volumeMounts: [{ name: 'programs', mountPath: '/programs', readOnly: true }],
  }
  const spec: V1PodSpec = {
    ...on(node, [container]),
    ...(serviceAccountName && { serviceAccountName }),
    volumes: [{ name: 'programs', configMap: { name } }],
  }
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { 'program.mts': readFileSync(join(import.meta.dirname, 'pods', `${name}.ts`), 'utf8') },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name, team: 'payments' } }, spec },
      },
    },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: { app: name }, ports: [{ port }] } },
  ]
}

export const ofImage = (name: string, command: string[]): V1Container => ({
  name,
  image,
  imagePullPolicy: 'Never',
  command,
})

export const on = (node: string, containers: V1Container[]): V1PodSpec => ({
  nodeName: node,
  tolerations: [{ operator: 'Exists' }],
  terminationGracePeriodSeconds: 1,
  enableServiceLinks: false,
  containers,
})

/**
 * Prints the time, asks the metadata service for a connection, waits for no answer and ends: one process (exec keeps
 * it) that lives some milliseconds.
 */
const connectOnly = `use Socket qw(:DEFAULT SOCK_NONBLOCK);
socket(my $socket, PF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) or die $!;
connect($socket, sockaddr_in(80, inet_aton("169.254.169.254")));`
const momentary = (name: string): V1Container =>
  ofImage(name, ['bash', '-c', `echo "asked at $EPOCHREALTIME"; exec perl -e '${connectOnly}'`])

const shopPod = (node: string, containers: V1Container[]): V1PodSpec => ({
  ...on(node, containers),
  serviceAccountName: shopper,
  restartPolicy: 'Never',
})

/** A Job whose container lives for a moment. */
export const momentaryJob = (name: string, node: string): V1Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name, namespace: namespaces.shop },
  spec: {
    backoffLimit: 0,
    template: { metadata: { labels: { app: name } }, spec: shopPod(node, [momentary('once')]) },
  },
})

/** A pod of nobody's whose only container lives for a moment. */
export const momentaryPod = (name: string, node: string): V1Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: namespaces.shop, labels: { app: name } },
  spec: shopPod(node, [momentary('once')]),
})

/** A pod whose init container lives for a moment, before the container that the pod is there for. */
export const initialisedPod = (name: string, node: string): V1Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: namespaces.shop, labels: { app: name } },
  spec: { ...shopPod(node, [ofImage('main', ['sleep', 'infinity'])]), initContainers: [momentary('prepare')] },
})
