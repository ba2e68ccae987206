/**
 * Whether NetworkPolicies let one pod open a connection to another, or to an address
 * (https://kubernetes.io/docs/concepts/services-networking/network-policies/).
 *
 * A pod that no policy selects for a direction is open in it. Of those that do, one that allows the connection is
 * enough. Both ends must agree: egress of the pod that connects, ingress of the pod that is connected to.
 *
 * Not everything can be known here: the labels of a Service's pods may be known in part, network plug-ins differ on
 * whether an ipBlock holds for pods, and pod selectors on pods in the node's network. Then the answer is `unknown`.
 */
import type { V1NetworkPolicy } from '@kubernetes/client-node'
import ipaddr from 'ipaddr.js'
import { all, any, type Labels, type Maybe, mayMatch, type Selector } from './label-selector.ts'

/** none: no policy selects either end. */
export type Verdict = 'none' | 'allowed' | 'denied' | 'unknown'

export type PodEnd = {
  namespace: string
  labels: Labels
  /** The pod may have other labels, too. */
  labelsInPart?: boolean
  ips: readonly string[]
  hostNetwork?: boolean
}
/** What is in no pod has addresses alone. */
export type End = PodEnd | { ips: readonly string[] }

/** The port of the pod, not of a Service; `name`: of the container port, if that is how the Service names it. */
export type Port = { number: number; name?: string; protocol?: string }

/** What the sensor keeps of a policy. */
export type Policy = {
  namespace: string
  selects: Selector
  /** Absent: it says nothing of that direction. */
  ingress?: readonly PolicyRule[]
  egress?: readonly PolicyRule[]
}
type PolicyRule = { peers: readonly PolicyPeer[]; ports: readonly PolicyPort[] }
type PolicyPort = { protocol: string; port?: number | string; endPort?: number }
type PolicyPeer = { pods?: Selector; namespaces?: Selector; block?: { cidr: string; except: readonly string[] } }

/** The labels of a namespace; undefined: not known. */
export type NamespaceLabels = (namespace: string) => Labels | undefined

export function policyFrom({ metadata, spec }: V1NetworkPolicy): Policy {
  // Without policyTypes a policy is about ingress, and about egress if it has egress rules.
  const types = spec?.policyTypes ?? ['Ingress', ...(spec?.egress ? ['Egress'] : [])]
  const rulesOf = (rules: { ports?: unknown[]; from?: unknown[]; to?: unknown[] }[] | undefined): PolicyRule[] =>
    (rules ?? []).map(({ ports, from, to }) => ({
      ports: ((ports ?? []) as { protocol?: string; port?: number | string; endPort?: number }[]).map((port) => ({
        ...port,
        protocol: port.protocol ?? 'TCP',
      })),
      peers: ((from ?? to ?? []) as RawPeer[]).map(({ podSelector, namespaceSelector, ipBlock }) => ({
        ...(podSelector && { pods: podSelector }),
        ...(namespaceSelector && { namespaces: namespaceSelector }),
        ...(ipBlock && { block: { cidr: ipBlock.cidr, except: ipBlock.except ?? [] } }),
      })),
    }))
  return {
    namespace: metadata?.namespace ?? '',
    selects: (spec?.podSelector ?? {}) as Selector,
    ...(types.includes('Ingress') && { ingress: rulesOf(spec?.ingress) }),
    ...(types.includes('Egress') && { egress: rulesOf(spec?.egress) }),
  }
}
type RawPeer = {
  podSelector?: Selector
  namespaceSelector?: Selector
  ipBlock?: { cidr: string; except?: string[] }
}

/** `policies`: those of both ends' namespaces; others do no harm. */
export function verdict(
  policies: readonly Policy[],
  from: PodEnd,
  to: End,
  port: Port,
  namespaceLabels: NamespaceLabels,
): Verdict {
  const egress = direction('egress', policies, from, to, port, namespaceLabels)
  const ingress = isPod(to) ? direction('ingress', policies, to, from, port, namespaceLabels) : 'none'
  if (egress === 'denied' || ingress === 'denied') return 'denied'
  if (egress === 'unknown' || ingress === 'unknown') return 'unknown'
  return egress === 'none' && ingress === 'none' ? 'none' : 'allowed'
}

const isPod = (end: End): end is PodEnd => 'namespace' in end

/** What the policies that select `end` say of its connection with `other`. */
function direction(
  which: 'ingress' | 'egress',
  policies: readonly Policy[],
  end: PodEnd,
  other: End,
  port: Port,
  namespaceLabels: NamespaceLabels,
): Verdict {
  // Policies are for pods with a network of their own.
  if (end.hostNetwork) return 'none'
  const votes = policies.flatMap((policy) => {
    const rules = policy[which]
    if (!rules || policy.namespace !== end.namespace) return []
    const selected = mayMatch(policy.selects, end.labels, end.labelsInPart ?? false)
    if (selected === false) return []
    const allows = any(rules.map((rule) => ruleHolds(rule, policy.namespace, other, port, namespaceLabels)))
    return [{ selected, allows }]
  })
  if (votes.length === 0) return 'none'
  const sure = votes.filter(({ selected }) => selected === true)
  if (sure.some(({ allows }) => allows === true)) return 'allowed'
  // Whether they select it or not, it gets through.
  if (sure.length === 0 && votes.every(({ allows }) => allows === true)) return 'allowed'
  return sure.length > 0 && votes.every(({ allows }) => allows === false) ? 'denied' : 'unknown'
}

function ruleHolds(
  { peers, ports }: PolicyRule,
  namespace: string,
  other: End,
  port: Port,
  namespaceLabels: NamespaceLabels,
): Maybe {
  const portHolds = ports.length === 0 ? true : any(ports.map((one) => samePort(one, port)))
  const peerHolds =
    peers.length === 0 ? true : any(peers.map((peer) => isPeer(peer, namespace, other, namespaceLabels)))
  return all([portHolds, peerHolds])
}

function samePort({ protocol, port, endPort }: PolicyPort, asked: Port): Maybe {
  if (protocol !== (asked.protocol ?? 'TCP')) return false
  if (port === undefined) return true
  if (typeof port === 'number') return asked.number >= port && asked.number <= (endPort ?? port)
  // A name stands for whatever number the selected pod's container gives it.
  return asked.name === port ? true : undefined
}

function isPeer(peer: PolicyPeer, namespace: string, other: End, namespaceLabels: NamespaceLabels): Maybe {
  const { pods, namespaces, block } = peer
  if (block) return inBlock(block, other)
  if (!isPod(other)) return false
  const place = namespaces ? inNamespaces(namespaces, namespaceLabels(other.namespace)) : other.namespace === namespace
  const pod = pods ? mayMatch(pods, other.labels, other.labelsInPart ?? false) : true
  const both = all([place, pod])
  return both && other.hostNetwork ? undefined : both
}

const inNamespaces = (selector: Selector, labels: Labels | undefined): Maybe =>
  labels === undefined ? undefined : mayMatch(selector, labels, false)

function inBlock({ cidr, except }: { cidr: string; except: readonly string[] }, other: End): Maybe {
  if (other.ips.length === 0) return undefined
  const inside = other.ips.some((ip) => isIn(ip, cidr) && !except.some((one) => isIn(ip, one)))
  return inside && isPod(other) ? undefined : inside
}

function isIn(ip: string, cidr: string): boolean {
  if (!ipaddr.isValid(ip) || !ipaddr.isValidCIDR(cidr)) return false
  const address = ipaddr.process(ip)
  const [network, bits] = ipaddr.parseCIDR(cidr)
  return address.kind() === network.kind() && address.match([network, bits] as [ipaddr.IPv4, number])
}
