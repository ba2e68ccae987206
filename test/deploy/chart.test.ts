import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { made } from '../../deploy/manifests.ts'
import { usualSockets } from '../../enrich/cri.ts'
import { chart, charted, helm, repository } from './helm.ts'

type Mount = { name: string; mountPath: string; readOnly?: boolean }
type Container = {
  image: string
  args: string[]
  ports: { containerPort: number }[]
  securityContext: Record<string, unknown>
  resources: { requests?: object; limits?: object }
  volumeMounts: Mount[]
} & Record<`${'startup' | 'liveness' | 'readiness'}Probe`, { httpGet: { path: string }; [seconds: string]: unknown }>
type Pod = {
  hostPID?: boolean
  hostNetwork?: boolean
  hostIPC?: boolean
  tolerations?: unknown
  priorityClassName?: string
  automountServiceAccountToken?: boolean
  terminationGracePeriodSeconds?: number
  securityContext?: Record<string, unknown>
  containers: [Container]
  volumes: { name: string; hostPath?: unknown }[]
}
type Manifest = {
  kind: string
  metadata: { name: string; namespace?: string }
  data: Record<string, string>
  value?: number
  rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[]
  spec: { template: { metadata: { annotations: Record<string, string> }; spec: Pod } }
}

const render = (values: unknown = {}) => {
  const { stdout, stderr, status } = helm(['template', 'release', chart], values)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const manifests = parseAllDocuments(stdout).map((document): Manifest => document.toJS())
  const find = (kind: string, name = 'nightjar') => {
    const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name)
    if (!found) throw new Error(`the chart has no ${kind} ${name}`)
    return found
  }
  const template = find('DaemonSet').spec.template
  return { find, kinds: manifests.map(({ kind }) => kind), template, container: template.spec.containers[0] }
}

charted('the sensor is not privileged and holds two capabilities, BPF and PERFMON', () => {
  expect(render().container.securityContext).toEqual({
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsUser: 0,
    capabilities: { drop: ['ALL'], add: ['BPF', 'PERFMON'] },
    seccompProfile: { type: 'RuntimeDefault' },
  })
})

charted('of the node it shares the PID namespace, two directories that it can only read, and one for its spool', () => {
  const { template, container } = render()
  expect(template.spec).toMatchObject({ hostPID: true })
  expect(template.spec.hostNetwork ?? template.spec.hostIPC).toBeUndefined()
  const ofTheNode = template.spec.volumes.filter(({ hostPath }) => hostPath).map(({ name }) => name)
  expect(ofTheNode).toEqual(['tracing', 'cgroup', 'spool'])
  const mounts = container.volumeMounts.filter(({ name }) => ofTheNode.includes(name))
  expect(mounts.filter(({ readOnly }) => !readOnly)).toEqual([{ name: 'spool', mountPath: '/var/lib/nightjar' }])
})

charted("alerts wait in the node's directory that is named, or in the pod's own storage", () => {
  const spool = (values: unknown) => render(values).template.spec.volumes.find(({ name }) => name === 'spool')
  const hostPath = (path: string) => ({ name: 'spool', hostPath: { path, type: 'DirectoryOrCreate' } })
  expect(spool({})).toEqual(hostPath('/var/lib/nightjar'))
  expect(spool({ spool: { hostPath: '/data/nightjar' } })).toEqual(hostPath('/data/nightjar'))
  expect(spool({ spool: { hostPath: '' } })).toEqual({ name: 'spool', emptyDir: { sizeLimit: '1Gi' } })
})

charted('it may read what tells who did it, no Secrets, and write nothing', () => {
  const { rules } = render().find('ClusterRole')
  expect(rules.flatMap(({ resources }) => resources)).toEqual([
    ...['pods', 'serviceaccounts', 'namespaces', 'nodes', 'clusterspiffeids', 'replicasets', 'jobs'],
    ...['roles', 'clusterroles', 'rolebindings', 'clusterrolebindings'],
    ...['services', 'endpointslices', 'networkpolicies'],
  ])
  for (const { verbs } of rules) for (const verb of verbs) expect(['get', 'list', 'watch']).toContain(verb)
})

/** How the sensor gets at the socket of the runtime, and by which name it knows it. */
const runtimeOf = (runtimeSocket: string) => {
  const { template, container, find } = render({ runtimeSocket })
  const { name, hostPath } = template.spec.volumes.find(({ name }) => name === 'runtime') ?? {}
  const { mountPath, readOnly } = container.volumeMounts.find((mount) => mount.name === name) ?? {}
  return { hostPath, mountPath, readOnly, cri: parse(find('ConfigMap').data['config.yaml'] ?? '').cri }
}
const inDirectories = usualSockets.filter((socket) => dirname(socket) !== '/run')
for (const socket of [...inDirectories, '/var/run/crio/crio.sock', '/tmp/cluster/containerd.sock'])
  charted(`the socket of the runtime, ${socket}, is there on demand: its directory, read-only, out of the way`, () => {
    expect(runtimeOf(socket)).toEqual({
      hostPath: { path: dirname(socket), type: 'Directory' },
      mountPath: '/host/runtime',
      readOnly: true,
      cri: { socket: `/host/runtime/${basename(socket)}` },
    })
  })

for (const socket of ['/run/cri-dockerd.sock', '/var/run/cri-dockerd.sock'])
  charted(`of a directory with all that runs on the node, ${dirname(socket)}, the sensor gets the socket alone`, () => {
    expect(runtimeOf(socket)).toEqual({
      hostPath: { path: socket, type: 'Socket' },
      mountPath: '/host/runtime/cri-dockerd.sock',
      readOnly: true,
      cri: { socket: '/host/runtime/cri-dockerd.sock' },
    })
  })

charted('token Secrets are read only on demand', () => {
  const { find } = render({ readTokenSecrets: true })
  expect(find('ClusterRole').rules).toContainEqual({
    apiGroups: [''],
    resources: ['secrets'],
    verbs: ['list', 'watch'],
  })
  expect(parse(find('ConfigMap').data['config.yaml'] ?? '').kubernetes).toEqual({ enabled: 'auto', tokenSecrets: true })
})

charted('only a configuration that asks for Events lets it create them, and nothing else', () => {
  const rulesOf = (kubernetesEvents: unknown) =>
    render({ config: { exporters: { kubernetesEvents } } }).find('ClusterRole').rules
  const writing = { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] }
  const writes = (rules: ReturnType<typeof rulesOf>) =>
    rules.filter(({ verbs }) => verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)))
  expect(writes(rulesOf({ enabled: true }))).toEqual([writing])
  for (const off of [null, {}, { enabled: false }]) expect(writes(rulesOf(off))).toEqual([])
})

charted('it runs on every node unless told otherwise', () => {
  expect(render().template.spec.tolerations).toEqual([{ operator: 'Exists' }])
})

charted("the values' config is the configuration, over the few defaults that a pod needs", () => {
  const webhook = { name: 'soc', url: 'https://soc.example/', headersFile: null }
  const { data } = render({ config: { exporters: { webhooks: [webhook] }, kubernetes: { clusterName: 'prod' } } }).find(
    'ConfigMap',
  )
  expect(parse(data['config.yaml'] ?? '')).toEqual({
    exporters: { stdout: { format: 'json' }, webhooks: [webhook] },
    kubernetes: { enabled: 'auto', clusterName: 'prod' },
    metrics: { address: '0.0.0.0:9464' },
    presenceFile: '/var/lib/nightjar/presence',
  })
})

charted('rule packs, as text or as objects, are mounted and handed to the sensor', () => {
  const pack = { name: 'mine', rules: [{ id: 'a<b&c' }] }
  const { find, container } = render({ rules: { 'object.json': pack, 'text.json': JSON.stringify(pack) } })
  const { data } = find('ConfigMap', 'nightjar-rules')
  expect(JSON.parse(data['object.json'] ?? '')).toEqual(pack)
  expect(JSON.parse(data['text.json'] ?? '')).toEqual(pack)
  expect(container.args.slice(-2)).toEqual(['--rules', '/etc/nightjar-rules'])
  expect(container.volumeMounts).toContainEqual({ name: 'rules', mountPath: '/etc/nightjar-rules', readOnly: true })
})

charted('a secret for webhooks is mounted at /etc/nightjar, readable by its owner alone', () => {
  const { container, template } = render({ webhookSecrets: 'soc' })
  expect(container.volumeMounts).toContainEqual({ name: 'webhook-secrets', mountPath: '/etc/nightjar', readOnly: true })
  expect(template.spec.volumes).toContainEqual({
    name: 'webhook-secrets',
    secret: { secretName: 'soc', defaultMode: 0o400 },
  })
})

charted('another metrics address moves the port that probes and Prometheus use', () => {
  expect(render({ config: { metrics: { address: '[::]:9999' } } }).container.ports[0]?.containerPort).toBe(9999)
})

charted('a changed configuration rolls the pods; changed rules do not: the sensor takes them over as it runs', () => {
  const template = (values: unknown) => render(values).template
  const rules = { 'a.json': '{}' }
  expect(template({ config: { builtinRules: false } })).not.toEqual(template({}))
  expect(template({ rules: { 'a.json': '{"pack":"a"}' } })).toEqual(template({ rules }))
})

charted(
  'each container has requests, limits and a security context; the sensor has probes, the test needs none',
  () => {
    const { container, find } = render()
    expect(container.resources).toEqual({ requests: { cpu: '50m', memory: '320Mi' }, limits: { memory: '1Gi' } })
    const trial = find('Pod', 'nightjar-test').spec as unknown as Pod
    expect(trial.containers[0].resources).toEqual({
      requests: { cpu: '10m', memory: '64Mi' },
      limits: { memory: '256Mi' },
    })
    expect(container).toMatchObject({
      startupProbe: { httpGet: { path: '/healthz' } },
      livenessProbe: { httpGet: { path: '/healthz' } },
      readinessProbe: { httpGet: { path: '/readyz' } },
    })
  },
)

charted('helm test runs without rights: no token, no root, no capability, nothing to write', () => {
  const { automountServiceAccountToken, securityContext, containers } = render().find('Pod', 'nightjar-test')
    .spec as unknown as Pod
  expect(automountServiceAccountToken).toBe(false)
  expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  expect(containers[0].securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
})

charted('the chart makes a PriorityClass above all that users run, unless another one is named', () => {
  expect(render().find('PriorityClass').value).toBe(1_000_000_000)
  expect(render().template.spec.priorityClassName).toBe('nightjar')
  const named = render({ priorityClassName: 'system-node-critical' })
  expect(named.kinds).not.toContain('PriorityClass')
  expect(named.template.spec.priorityClassName).toBe('system-node-critical')
})

charted('a network policy lets in who scrapes, and out to DNS, the API server and the receivers', () => {
  const peer = { namespaceSelector: { matchLabels: { team: 'monitoring' } } }
  const receiver = { to: [{ ipBlock: { cidr: '192.0.2.0/24' } }], ports: [{ port: 8443, protocol: 'TCP' }] }
  const values = {
    enabled: true,
    metricsFrom: [peer],
    apiServer: { cidrs: ['198.51.100.7/32'], ports: [6443] },
    egress: [receiver],
  }
  const trial = {
    podSelector: {
      matchLabels: { 'app.kubernetes.io/name': 'nightjar-test', 'app.kubernetes.io/instance': 'release' },
    },
  }
  expect(render().kinds).not.toContain('NetworkPolicy')
  expect(render({ networkPolicy: values }).find('NetworkPolicy').spec).toEqual({
    podSelector: { matchLabels: { 'app.kubernetes.io/name': 'nightjar', 'app.kubernetes.io/instance': 'release' } },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ ports: [{ port: 'metrics', protocol: 'TCP' }], from: [peer, trial] }],
    egress: [
      { ports: ['UDP', 'TCP'].map((protocol) => ({ port: 53, protocol })) },
      { to: [{ ipBlock: { cidr: '198.51.100.7/32' } }], ports: [{ port: 6443, protocol: 'TCP' }] },
      receiver,
    ],
  })
})

charted("the operator's alerts are those of deploy/prometheus/rules.yaml", () => {
  const plain = parse(readFileSync(join(repository, 'deploy/prometheus/rules.yaml'), 'utf8'))
  expect(render({ prometheusRule: { enabled: true } }).find('PrometheusRule').spec).toEqual(plain)
})

for (const [file, contents] of Object.entries(made))
  charted(`deploy/${file} is what npm run manifests makes`, () => {
    const found = readFileSync(join(repository, 'deploy', file), 'utf8')
    const read = file.endsWith('.json') ? JSON.parse : String
    expect(read(found)).toEqual(read(contents()))
  })

test('the plain manifests ask for no privileged container and no wildcard, and say the Pod Security level', () => {
  const text = readFileSync(join(repository, 'deploy/manifests/nightjar.yaml'), 'utf8')
  const objects: Manifest[] = parseAllDocuments(text).map((document) => document.toJS())
  const of = (kind: string) => objects.find((object) => object.kind === kind)
  expect(of('Namespace')?.metadata).toMatchObject({ labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } })
  expect(of('DaemonSet')?.spec.template.spec.containers[0].securityContext.privileged).toBe(false)
  expect(of('ClusterRole')?.rules.flatMap((rule) => Object.values(rule).flat())).not.toContain('*')
  expect(text).not.toContain('Helm')
})

charted('it asks for the Prometheus operator only where that is wanted', () => {
  const operators = ['PrometheusRule', 'ServiceMonitor', 'PodMonitor']
  expect(render().kinds).not.toEqual(expect.arrayContaining(operators))
  const both = {
    serviceMonitor: { enabled: true },
    podMonitor: { enabled: true },
    prometheusRule: { enabled: true },
    networkPolicy: { enabled: true },
  }
  expect(render(both).kinds).toEqual(expect.arrayContaining(operators))
  expect(helm(['lint', '--strict', chart], { ...both, rules: { 'a.json': '{}' }, webhookSecrets: 'soc' }).status).toBe(
    0,
  )
})

const refused: [what: string, values: unknown, named: string][] = [
  ['a key that is not there', { hostNetwork: true }, 'hostNetwork'],
  ['a rule file that is not JSON', { rules: { 'a.yaml': '' } }, 'a.yaml'],
  ['a capability with its prefix', { extraCapabilities: ['CAP_SYS_RESOURCE'] }, '/extraCapabilities/0'],
  ['a path for the spool that leads elsewhere', { spool: { hostPath: '/var/lib/../../etc' } }, '/spool/hostPath'],
  ['a path for the socket that leads elsewhere', { runtimeSocket: '/run/crio/../x.sock' }, '/runtimeSocket'],
  ['a socket in the root of the node', { runtimeSocket: '///x.sock' }, '/runtimeSocket'],
  ['a metrics address without a port', { config: { metrics: { address: '0.0.0.0' } } }, '/config/metrics/address'],
]
for (const [what, values, named] of refused)
  charted(`${what} is refused by name`, () => {
    const { status, stderr } = helm(['template', 'release', chart], values)
    expect(status).toBe(1)
    expect(stderr).toContain(named)
  })

test('the chart installs the version that it is part of', () => {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
  expect(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8'))).toMatchObject({ version, appVersion: version })
})
