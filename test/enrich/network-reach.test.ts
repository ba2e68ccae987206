import type { V1EndpointSlice, V1Namespace, V1NetworkPolicy, V1Pod, V1Service } from '@kubernetes/client-node'
import { describe, expect, test } from 'vitest'
import { dataStoresOf, type Service } from '../../enrich/data-stores.ts'
import { type End, type PodEnd, type Port, policyFrom, type Verdict, verdict } from '../../enrich/network-policy.ts'
import { createNetwork } from '../../enrich/network-reach.ts'
import { areRecorded, recordedList } from './recorded.ts'

type Spec = V1NetworkPolicy['spec']
const policy = (namespace: string, spec: Spec) => policyFrom({ metadata: { namespace, name: 'p' }, spec })

const web: PodEnd = { namespace: 'shop', labels: { app: 'web' }, ips: ['10.244.0.5'] }
const db: PodEnd = { namespace: 'data', labels: { app: 'db' }, ips: ['10.244.0.9'] }
const outside: End = { ips: ['203.0.113.7'] }
const labels: Record<string, Record<string, string>> = { shop: { team: 'front' }, data: { team: 'back' } }
const port: Port = { number: 5432 }
const says = (policies: ReturnType<typeof policy>[], to: End = db, on: Port = port, from: PodEnd = web): Verdict =>
  verdict(policies, from, to, on, (namespace) => labels[namespace])

const everyPod = { podSelector: {} }

describe('NetworkPolicies', () => {
  test('without one that selects either end all is open', () => {
    expect(says([])).toBe('none')
    expect(says([policy('shop', { podSelector: { matchLabels: { app: 'other' } }, policyTypes: ['Egress'] })])).toBe(
      'none',
    )
    expect(says([policy('elsewhere', { ...everyPod, policyTypes: ['Egress', 'Ingress'] })])).toBe('none')
  })

  test.each<[string, 'shop' | 'data', Spec, Verdict]>([
    ['egress of the pod is closed', 'shop', { ...everyPod, policyTypes: ['Egress'] }, 'denied'],
    ['ingress of the target is closed', 'data', { ...everyPod, policyTypes: ['Ingress'] }, 'denied'],
    ['without types a policy is about ingress', 'data', { ...everyPod }, 'denied'],
    ['and not about egress', 'shop', { ...everyPod, ingress: [] }, 'none'],
    ['unless it has egress rules', 'shop', { ...everyPod, egress: [] }, 'denied'],
    ['an empty rule allows all', 'shop', { ...everyPod, policyTypes: ['Egress'], egress: [{}] }, 'allowed'],
    ['a policy about ingress says nothing of egress', 'shop', { ...everyPod, policyTypes: ['Ingress'] }, 'none'],
    [
      'a pod selector alone means pods of its own namespace',
      'data',
      { ...everyPod, ingress: [{ _from: [{ podSelector: { matchLabels: { app: 'web' } } }] }] },
      'denied',
    ],
    [
      'a namespace selector lets in all pods of such namespaces',
      'data',
      { ...everyPod, ingress: [{ _from: [{ namespaceSelector: { matchLabels: { team: 'front' } } }] }] },
      'allowed',
    ],
    [
      'both selectors must hold: the pod does not',
      'data',
      {
        ...everyPod,
        ingress: [{ _from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'cart' } } }] }],
      },
      'denied',
    ],
    [
      'two entries are two ways in',
      'data',
      { ...everyPod, ingress: [{ _from: [{ podSelector: {} }, { namespaceSelector: {} }] }] },
      'allowed',
    ],
    [
      'an expression selects namespaces, too',
      'data',
      {
        ...everyPod,
        ingress: [
          {
            _from: [{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['front'] }] } }],
          },
        ],
      },
      'allowed',
    ],
    ['another port is closed', 'data', { ...everyPod, ingress: [{ ports: [{ port: 80 }] }] }, 'denied'],
    ['a range of ports', 'data', { ...everyPod, ingress: [{ ports: [{ port: 5000, endPort: 6000 }] }] }, 'allowed'],
    [
      'a range that ends before',
      'data',
      { ...everyPod, ingress: [{ ports: [{ port: 5000, endPort: 5431 }] }] },
      'denied',
    ],
    [
      'the same port of UDP',
      'data',
      { ...everyPod, ingress: [{ ports: [{ port: 5432, protocol: 'UDP' }] }] },
      'denied',
    ],
    ['all ports of TCP', 'data', { ...everyPod, ingress: [{ ports: [{ protocol: 'TCP' }] }] }, 'allowed'],
    ['a port by its name can not be told', 'data', { ...everyPod, ingress: [{ ports: [{ port: 'sql' }] }] }, 'unknown'],
    [
      'plug-ins differ on whether an ipBlock lets pods in',
      'data',
      { ...everyPod, ingress: [{ _from: [{ ipBlock: { cidr: '10.244.0.0/16' } }] }] },
      'unknown',
    ],
    [
      'but not on an ipBlock that leaves it out',
      'data',
      { ...everyPod, ingress: [{ _from: [{ ipBlock: { cidr: '10.244.0.0/16', except: ['10.244.0.0/24'] } }] }] },
      'denied',
    ],
  ])('%s', (_, namespace, spec, expected) => {
    // The client calls `from` `_from`; the API server calls it `from`.
    const served = JSON.parse(JSON.stringify(spec).replaceAll('"_from"', '"from"'))
    expect(says([policy(namespace, served)])).toBe(expected)
  })

  test('one that allows is enough; both ends must allow', () => {
    const closed = policy('data', { ...everyPod, policyTypes: ['Ingress'] })
    const open = policy('data', { ...everyPod, ingress: [{}] })
    expect(says([closed, open])).toBe('allowed')
    expect(says([closed, open, policy('shop', { ...everyPod, policyTypes: ['Egress'] })])).toBe('denied')
  })

  test('addresses outside are a matter of ipBlocks alone', () => {
    const egress = (...to: object[]) => policy('shop', { ...everyPod, egress: [{ to }] })
    expect(says([egress({ namespaceSelector: {} })], outside)).toBe('denied')
    expect(says([egress({ ipBlock: { cidr: '0.0.0.0/0' } })], outside)).toBe('allowed')
    expect(says([egress({ ipBlock: { cidr: '0.0.0.0/0', except: ['203.0.113.0/24'] } })], outside)).toBe('denied')
    expect(says([egress({ ipBlock: { cidr: '::/0' } })], outside)).toBe('denied')
    expect(says([egress({ ipBlock: { cidr: '0.0.0.0/0' } })], { ips: [] })).toBe('unknown')
  })

  test("do not hold for a pod in the node's network", () => {
    expect(says([policy('shop', { ...everyPod, egress: [] })], db, port, { ...web, hostNetwork: true })).toBe('none')
    const ingress = { ...everyPod, ingress: [{ from: [{ namespaceSelector: {} }] }] } as object as Spec
    expect(says([policy('data', ingress)], db, port, { ...web, hostNetwork: true })).toBe('unknown')
  })

  test('what is asked of labels that are not known can not be told; what is known, can', () => {
    const inPart: PodEnd = { ...db, labelsInPart: true }
    const selecting = (matchLabels: Record<string, string>, ingress?: object[]) =>
      policy('data', { podSelector: { matchLabels }, policyTypes: ['Ingress'], ...(ingress && { ingress }) })
    expect(says([selecting({ tier: 'x' })], inPart)).toBe('unknown')
    expect(says([selecting({ app: 'db' })], inPart)).toBe('denied')
    expect(says([selecting({ app: 'web' })], inPart)).toBe('none')
    expect(says([selecting({ tier: 'x' }, [{}])], inPart)).toBe('allowed')
    expect(says([selecting({ app: 'db' }), selecting({ tier: 'x' }, [{}])], inPart)).toBe('unknown')
  })
})

describe('a Service is taken for a data store', () => {
  const service = (more: Partial<Service>): Service => ({
    ...{ namespace: 'data', name: 'thing', labels: {}, annotations: {}, ports: [{ port: 80 }] },
    ...more,
  })
  const found = (more: Partial<Service>) => dataStoresOf(service(more)).map(({ type, evidence }) => [type, evidence])

  test.each<[string, Partial<Service>, string[][]]>([
    ['by its port', { ports: [{ port: 5432 }] }, [['postgresql', 'port 5432']]],
    ['by the port behind it', { ports: [{ port: 80, targetPort: 6379 }] }, [['redis', 'port 6379']]],
    ["by its port's name", { ports: [{ port: 80, name: 'tcp-mysql' }] }, [['mysql', 'port name tcp-mysql']]],
    [
      'by a label',
      { labels: { 'app.kubernetes.io/name': 'mongodb' }, ports: [{ port: 1 }] },
      [['mongodb', 'name mongodb']],
    ],
    ['by its name', { name: 'orders-postgres' }, [['postgresql', 'name orders-postgres']]],
    [
      'by where it leads',
      { externalName: 'x.mysql.database.azure.com' },
      [['mysql', 'name x.mysql.database.azure.com']],
    ],
    [
      'because it says so',
      { annotations: { 'nightjar.dev/data-store': 'ledger' } },
      [['ledger', 'annotation nightjar.dev/data-store']],
    ],
    [
      'never where it says it is none',
      { annotations: { 'nightjar.dev/data-store': 'none' }, ports: [{ port: 5432 }] },
      [],
    ],
    [
      'by a port that others use, too, only with its name',
      { name: 'minio', ports: [{ port: 9000 }, { port: 9001 }] },
      [['minio', 'port 9000 and name minio']],
    ],
    ['not by such a port alone', { ports: [{ port: 9000 }] }, []],
    ['not because it measures one', { name: 'postgres-exporter', ports: [{ port: 9187 }] }, []],
    ['not over UDP', { ports: [{ port: 6379, protocol: 'UDP' }] }, []],
    ['not a web server', { name: 'frontend' }, []],
  ])('%s', (_, more, expected) => expect(found(more)).toEqual(expected))
})

describe('what a pod reaches', () => {
  const service = (name: string, more: object): V1Service => ({
    metadata: { namespace: 'data', name },
    spec: { ports: [{ port: 5432 }], ...more },
  })
  const slice = (name: string, addresses: string[], pods: string[] = []): V1EndpointSlice => ({
    addressType: 'IPv4',
    metadata: { namespace: 'data', name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    endpoints: addresses.map((address, at) => ({
      addresses: [address],
      ...(pods[at] && { targetRef: { kind: 'Pod', name: pods[at] } }),
    })),
    ports: [{ name: '', port: 5432, protocol: 'TCP' }],
  })
  const closed = (selector: object, more: object): V1NetworkPolicy => ({
    metadata: { namespace: 'data', name: JSON.stringify([selector, more]) },
    spec: { podSelector: selector, policyTypes: ['Ingress'], ...more },
  })
  const networkOf = (labelsOf?: (namespace: string, pod: string) => Record<string, string> | undefined) =>
    createNetwork({ namespaceLabels: (namespace) => labels[namespace], ...(labelsOf && { labelsOf }) })
  const stores = (network: ReturnType<typeof networkOf>) =>
    network.reachOf(web).data_stores.map(({ name, policy }) => [name, policy])

  test('changes with Services, endpoints and policies', () => {
    const network = networkOf()
    network.replace('Service', [service('db', { selector: { app: 'db' } })])
    expect(stores(network)).toEqual([['data/db', 'none']])
    const lock = closed({ matchLabels: { app: 'db' } }, {})
    network.put('NetworkPolicy', lock)
    expect(stores(network)).toEqual([])
    network.remove('NetworkPolicy', lock)
    network.put('Service', service('db', { ports: [{ port: 80 }], selector: { app: 'other' } }))
    expect(stores(network)).toEqual([])
    network.put('Service', service('db', {}))
    expect(stores(network)).toEqual([['data/db', 'none']])
    network.replace('Service', [])
    expect(stores(network)).toEqual([])
  })

  test('policies are judged by the labels of the pods behind a Service where they are known', () => {
    const lock = closed({ matchLabels: { tier: 'gold' } }, {})
    const objects = {
      Service: service('db', { selector: { app: 'db' } }),
      EndpointSlice: slice('db', ['10.244.0.9'], ['db-0']),
    }
    const of = (labelsOf?: (namespace: string, pod: string) => Record<string, string> | undefined) => {
      const network = networkOf(labelsOf)
      network.put('Service', objects.Service)
      network.put('EndpointSlice', objects.EndpointSlice)
      network.put('NetworkPolicy', lock)
      return stores(network)
    }
    expect(of()).toEqual([['data/db', 'unknown']])
    expect(of((_, pod) => (pod === 'db-0' ? { app: 'db', tier: 'gold' } : undefined))).toEqual([])
    expect(of(() => ({ app: 'db' }))).toEqual([['data/db', 'none']])
  })

  test('a Service without a selector leads to its addresses, which egress policies are asked about', () => {
    const network = networkOf()
    network.put('Service', service('db', {}))
    network.put('EndpointSlice', slice('db', ['192.0.2.10']))
    const egress = (cidr: string): V1NetworkPolicy => ({
      metadata: { namespace: 'shop', name: 'p' },
      spec: { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr } }] }] },
    })
    network.put('NetworkPolicy', egress('192.0.2.0/24'))
    expect(stores(network)).toEqual([['data/db', 'allowed']])
    network.put('NetworkPolicy', egress('198.51.100.0/24'))
    expect(stores(network)).toEqual([])
    network.remove('EndpointSlice', slice('db', []))
    expect(stores(network)).toEqual([['data/db', 'unknown']])
  })

  test.skipIf(!areRecorded)('in the recorded cluster', () => {
    const namespaces = new Map(
      recordedList<V1Namespace>('namespaces').map(({ metadata }) => [metadata?.name, metadata?.labels]),
    )
    const network = createNetwork({ namespaceLabels: (name) => namespaces.get(name) })
    network.replace('Service', recordedList('services'))
    network.replace('EndpointSlice', recordedList('endpointslices'))
    network.replace('NetworkPolicy', recordedList('networkpolicies'))
    const reached = (name: string) => {
      const pod = recordedList<V1Pod>('pods').find(({ metadata }) => metadata?.name?.startsWith(name))
      const { data_stores, control_plane } = network.reachOf({
        namespace: pod?.metadata?.namespace ?? '',
        labels: pod?.metadata?.labels ?? {},
        ips: pod?.status?.podIP ? [pod.status.podIP] : [],
        ...(pod?.status?.hostIP && { hostIp: pod.status.hostIP }),
      })
      return [...data_stores, ...control_plane].map(({ type, policy }) => `${type} ${policy}`)
    }
    // Only payments-api may connect to postgres; nothing may connect out of batch, but to its own node.
    expect(reached('payments-api')).toEqual(['postgresql allowed', 'redis none', 'kubernetes-api none', 'kubelet none'])
    expect(reached('runner')).toEqual(['redis none', 'kubernetes-api none', 'kubelet none'])
    expect(reached('monthly-report')).toEqual(['kubelet none'])
  })
})
