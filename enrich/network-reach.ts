/**
 * What a pod can open a connection to: data stores and the control plane, as far as NetworkPolicies let it.
 *
 * Kept: Services, the addresses behind them, and NetworkPolicies. Of the pods behind a Service on
 * other nodes the labels are known as far as the Service selects by them.
 */
import type { V1EndpointSlice, V1NetworkPolicy, V1Service } from '@kubernetes/client-node'
import type { Endpoint } from '../sensor/event.ts'
import { type DataStore, dataStoresOf, type Service, type ServicePort } from './data-stores.ts'
import type { Labels } from './label-selector.ts'
import {
  type End,
  type NamespaceLabels,
  type PodEnd,
  type Policy,
  type Port,
  policyFrom,
  verdict,
} from './network-policy.ts'

export type NetworkObjects = {
  Service: V1Service
  EndpointSlice: V1EndpointSlice
  NetworkPolicy: V1NetworkPolicy
}
export type NetworkKind = keyof NetworkObjects

/** A pod that connects. */
export type Connecting = PodEnd & { nodeName?: string; hostIp?: string }

export type Network = {
  replace<K extends NetworkKind>(kind: K, objects: readonly NetworkObjects[K][]): void
  put<K extends NetworkKind>(kind: K, object: NetworkObjects[K]): void
  remove<K extends NetworkKind>(kind: K, object: NetworkObjects[K]): void
  reachOf(pod: Connecting): { data_stores: Endpoint[]; control_plane: Endpoint[] }
}

type Slice = { service: string; addresses: readonly string[]; pods: readonly string[]; ports: readonly Backend[] }
type Backend = { name: string; number: number; protocol: string }

const mostEndpoints = 32
const kubeletPort = 10250
const apiService = 'default/kubernetes'

/** `labelsOf`: the labels of a pod, where they are known; `namespaceLabels` those of a namespace. */
export function createNetwork(options: {
  namespaceLabels: NamespaceLabels
  labelsOf?(namespace: string, pod: string): Labels | undefined
}): Network {
  const { namespaceLabels, labelsOf } = options
  const services = new Map<string, Service>()
  const stores = new Map<string, DataStore[]>()
  const slices = new Map<string, Slice>()
  const byService = new Map<string, Set<string>>()
  const policies = new Map<string, Policy>()
  const byNamespace = new Map<string, Policy[]>()

  function putSlice(key: string, slice: Slice): void {
    dropSlice(key)
    slices.set(key, slice)
    byService.set(slice.service, (byService.get(slice.service) ?? new Set()).add(key))
  }

  function dropSlice(key: string): void {
    const service = slices.get(key)?.service ?? ''
    slices.delete(key)
    byService.get(service)?.delete(key)
    if (byService.get(service)?.size === 0) byService.delete(service)
  }

  const kinds: {
    [K in NetworkKind]: {
      put(key: string, object: NetworkObjects[K]): void
      drop(key: string): void
      keys(): Iterable<string>
    }
  } = {
    Service: {
      put(key, object) {
        const service = serviceFrom(object)
        const found = dataStoresOf(service)
        // Of the many that are nothing here, nothing is kept.
        if (found.length > 0 || key === apiService) services.set(key, service)
        else services.delete(key)
        if (found.length > 0) stores.set(key, found)
        else stores.delete(key)
      },
      drop(key) {
        services.delete(key)
        stores.delete(key)
      },
      keys: () => services.keys(),
    },
    EndpointSlice: {
      put: (key, object) => putSlice(key, sliceFrom(object)),
      drop: dropSlice,
      keys: () => slices.keys(),
    },
    NetworkPolicy: {
      put(key, object) {
        policies.set(key, policyFrom(object))
        byNamespace.clear()
      },
      drop(key) {
        policies.delete(key)
        byNamespace.clear()
      },
      keys: () => policies.keys(),
    },
  }

  function policiesOf(namespace: string): readonly Policy[] {
    if (byNamespace.size === 0) {
      for (const policy of policies.values()) {
        const some = byNamespace.get(policy.namespace)
        if (some) some.push(policy)
        else byNamespace.set(policy.namespace, [policy])
      }
    }
    return byNamespace.get(namespace) ?? []
  }

  /** Where a connection to the Service's port ends. */
  function endsOf(service: Service, port: ServicePort): { end: End; port: Port }[] {
    const known = [...(byService.get(`${service.namespace}/${service.name}`) ?? [])].flatMap(
      (key) => slices.get(key) ?? [],
    )
    const ips = known.flatMap(({ addresses }) => addresses)
    const backend = known.flatMap(({ ports }) => ports).find(({ name }) => name === (port.name ?? ''))
    const number = backend?.number ?? (typeof port.targetPort === 'number' ? port.targetPort : port.port)
    const to: Port = { number, ...(typeof port.targetPort === 'string' && { name: port.targetPort }) }
    if (!service.selector) return [{ end: { ips }, port: to }]
    const labels = known
      .flatMap(({ pods }) => pods)
      .map((pod) => labelsOf?.(service.namespace, pod))
      .find((labels) => labels !== undefined)
    const pod: PodEnd = { namespace: service.namespace, labels: labels ?? service.selector, ips, labelsInPart: !labels }
    return [{ end: pod, port: to }]
  }

  function reached(from: Connecting, { type, service, port, evidence }: DataStore): Endpoint[] {
    return endsOf(service, port).flatMap(({ end, port: to }) => {
      const both = [
        ...policiesOf(from.namespace),
        ...('namespace' in end && end.namespace !== from.namespace ? policiesOf(end.namespace) : []),
      ]
      const policy = verdict(both, from, end, to, namespaceLabels)
      if (policy === 'denied') return []
      return [
        {
          type,
          name: `${service.namespace}/${service.name}`,
          address: service.externalName ?? `${service.name}.${service.namespace}.svc`,
          port: port.port,
          evidence,
          policy,
        },
      ]
    })
  }

  function controlPlane(from: Connecting): Endpoint[] {
    const api = services.get(apiService)
    const port = api?.ports[0]
    return [
      ...(api && port
        ? reached(from, { type: 'kubernetes-api', service: api, port, evidence: 'the Service of the API server' })
        : []),
      ...[...stores.entries()].flatMap(([key, found]) =>
        key.startsWith('kube-system/') ? found.flatMap((store) => reached(from, store)) : [],
      ),
      // No policy keeps a pod from its own node, where the kubelet listens.
      ...(from.hostIp
        ? [
            {
              type: 'kubelet',
              name: from.nodeName ?? 'the node',
              address: from.hostIp,
              port: kubeletPort,
              evidence: "the pod's own node",
              policy: 'none',
            },
          ]
        : []),
    ]
  }

  return {
    replace(kind, objects) {
      const kept = new Set(objects.map(keyOf))
      for (const key of [...kinds[kind].keys()]) if (!kept.has(key)) kinds[kind].drop(key)
      for (const object of objects) kinds[kind].put(keyOf(object), object)
    },
    put: (kind, object) => kinds[kind].put(keyOf(object), object),
    remove: (kind, object) => kinds[kind].drop(keyOf(object)),
    reachOf(from) {
      const others = [...stores].filter(([key]) => !key.startsWith('kube-system/')).flatMap(([, found]) => found)
      // Its own namespace's first: there the pod most likely has the credentials, too.
      const near = (store: DataStore) => Number(store.service.namespace !== from.namespace)
      return {
        data_stores: others
          .sort((one, other) => near(one) - near(other))
          .flatMap((store) => reached(from, store))
          .slice(0, mostEndpoints),
        control_plane: controlPlane(from).slice(0, mostEndpoints),
      }
    },
  }
}

const keyOf = ({ metadata }: { metadata?: { namespace?: string; name?: string } }) =>
  `${metadata?.namespace ?? ''}/${metadata?.name}`

function serviceFrom({ metadata, spec }: V1Service): Service {
  const { selector, externalName } = spec ?? {}
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    labels: metadata?.labels ?? {},
    annotations: metadata?.annotations ?? {},
    ...(selector && Object.keys(selector).length > 0 && { selector }),
    ...(externalName && { externalName }),
    ports: (spec?.ports ?? []).map(({ port, name, targetPort, protocol }) => ({
      port,
      ...(name && { name }),
      ...(targetPort !== undefined && { targetPort: targetPort as number | string }),
      ...(protocol && { protocol }),
    })),
  }
}

function sliceFrom({ metadata, endpoints, ports }: V1EndpointSlice): Slice {
  return {
    service: `${metadata?.namespace}/${metadata?.labels?.['kubernetes.io/service-name'] ?? ''}`,
    addresses: (endpoints ?? []).flatMap(({ addresses }) => addresses),
    pods: (endpoints ?? []).flatMap(({ targetRef }) =>
      targetRef?.kind === 'Pod' && targetRef.name ? [targetRef.name] : [],
    ),
    ports: (ports ?? []).flatMap(({ name, port, protocol }) =>
      port === undefined ? [] : [{ name: name ?? '', number: port, protocol: protocol ?? 'TCP' }],
    ),
  }
}
