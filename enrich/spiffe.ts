/**
 * The SPIFFE ID of a workload: as SPIRE's controller manager registers it by the ClusterSPIFFEID resources
 * (https://github.com/spiffe/spire-controller-manager/blob/main/docs/clusterspiffeid-crd.md), else by the template that
 * is configured, for pods that have the Workload API at hand.
 *
 * Nothing is guessed: without its trust domain, with a template that is not understood, where more than the pod decides
 * (workloadSelectorTemplates), or in a namespace that the manager ignores, there is no ID.
 */
import { RE2JS } from 're2js'
import { handedTo } from './container-mounts.ts'
import { parseTemplate, type Template } from './go-template.ts'
import { type Labels, matches, type Selector } from './label-selector.ts'
import type { Pod } from './pod-table.ts'

/** What is kept of a ClusterSPIFFEID. */
export type Registration = {
  name: string
  podSelector?: Selector
  namespaceSelector?: Selector
  fallback: boolean
  className?: string
  /** Absent: it asks for more than a pod (workloadSelectorTemplates), so whom it registers can't be told from here. */
  template?: string
}

/** All but the template as the controller manager has it in its configuration. */
export type SpiffeConfig = {
  trustDomain?: string | null
  template?: string | null
  /** Regular expressions in RE2 syntax. */
  ignoreNamespaces?: string[]
  className?: string | null
  watchClassless?: boolean
}

// https://github.com/spiffe/spire-controller-manager/blob/main/docs/spire-controller-manager-config.md
export const ignoredByDefault = ['kube-system', 'kube-public', 'spire-system']

export type Spiffe = {
  /** `namespaceLabels`: absent while they are not known. */
  idOf(
    pod: Pod,
    container: string | undefined,
    registrations: Iterable<Registration>,
    namespaceLabels: Labels | undefined,
  ): { spiffe_id: string; spiffe_source: string } | undefined
}

type ClusterSpiffeId = {
  metadata?: { name?: string; deletionTimestamp?: unknown }
  spec?: {
    spiffeIDTemplate?: string
    podSelector?: Selector | null
    namespaceSelector?: Selector | null
    workloadSelectorTemplates?: string[] | null
    fallback?: boolean
    className?: string
  }
}

/** undefined: it registers nobody (any more). */
export function registrationFrom({ metadata, spec }: ClusterSpiffeId): Registration | undefined {
  const { spiffeIDTemplate: template, podSelector, namespaceSelector, workloadSelectorTemplates } = spec ?? {}
  if (!metadata?.name || !template || metadata.deletionTimestamp) return undefined
  return {
    name: metadata.name,
    ...(podSelector && { podSelector }),
    ...(namespaceSelector && { namespaceSelector }),
    fallback: spec?.fallback === true,
    ...(spec?.className && { className: spec.className }),
    ...((workloadSelectorTemplates ?? []).length === 0 && { template }),
  }
}

/** `onProblem` is told once for each template that can't be used. */
export function createSpiffe(
  config: SpiffeConfig,
  clusterName: string | undefined,
  onProblem: (template: string, problem: string) => void,
): Spiffe {
  const templates = new Map<string, Template | undefined>()
  const ignored = (config.ignoreNamespaces ?? ignoredByDefault).map((pattern) => RE2JS.compile(pattern))

  /** As the manager finds its own (reconcileClass in its pkg/spireentry/reconciler.go), if it is known which that is. */
  const isOurs = ({ className }: Registration): boolean =>
    !config.className || className === config.className || (!className && config.watchClassless === true)

  function templateOf(source: string): Template | undefined {
    if (templates.has(source)) return templates.get(source)
    const parsed = parseTemplate(source)
    const problem =
      'problem' in parsed
        ? parsed.problem
        : /\.TrustDomain\b/.test(source) && !config.trustDomain
          ? 'it wants the trust domain, which spiffe.trustDomain does not tell'
          : undefined
    if (problem) onProblem(source, problem)
    const template = 'problem' in parsed || problem ? undefined : parsed
    // As many templates as a cluster has resources; what is no longer used is forgotten with the process.
    if (templates.size < mostTemplates) templates.set(source, template)
    return template
  }

  function render(source: string, pod: Pod): string | undefined {
    const id = templateOf(source)?.render(valuesOf(pod, config, clusterName))
    if (id === undefined || !isSpiffeId(id)) return undefined
    return !config.trustDomain || id.startsWith(`spiffe://${config.trustDomain}/`) ? id : undefined
  }

  return {
    idOf(pod, container, registrations, namespaceLabels) {
      // A part of the name is enough, as for the manager (its pkg/namespace/namespace.go).
      if (ignored.some((pattern) => pattern.test(pod.namespace))) return undefined
      const ours = [...registrations].filter(isOurs)
      const verdicts = ours.map((one) => ({ one, selects: selects(one, pod, namespaceLabels) }))
      // One of which it isn't known whether it selects the pod could come first, or rule out the fallbacks.
      if (verdicts.some((verdict) => verdict.selects === undefined)) return undefined
      const chosen = verdicts.filter((verdict) => verdict.selects).map(({ one }) => one)
      const ordinary = chosen.filter(({ fallback }) => !fallback)
      // Of several the first by name: the workload gets them all, and by default uses one of them.
      const inOrder = (ordinary.length > 0 ? ordinary : chosen).sort((one, other) => (one.name < other.name ? -1 : 1))
      for (const { name, template } of inOrder) {
        const id = template && render(template, pod)
        if (id) return { spiffe_id: id, spiffe_source: `ClusterSPIFFEID/${name}` }
      }
      if (chosen.length > 0 || !config.template || !hasWorkloadApi(pod, container)) return undefined
      const id = render(config.template, pod)
      return id ? { spiffe_id: id, spiffe_source: 'configuration' } : undefined
    },
  }
}

const mostTemplates = 1_000

/** undefined: it can't be told without the labels of the namespace. */
function selects(
  { podSelector, namespaceSelector }: Registration,
  pod: Pod,
  namespaceLabels: Labels | undefined,
): boolean | undefined {
  if (podSelector && !matches(podSelector, pod.labels ?? {})) return false
  if (!namespaceSelector) return true
  return namespaceLabels && matches(namespaceSelector, namespaceLabels)
}

/** The driver of https://github.com/spiffe/spiffe-csi, or the variable that the SPIFFE Workload Endpoint standard names. */
function hasWorkloadApi(pod: Pod, container: string | undefined): boolean {
  const { volumes, env } = handedTo(pod, container)
  return volumes.some(({ csi }) => csi?.driver === 'csi.spiffe.io') || env.has('SPIFFE_ENDPOINT_SOCKET')
}

/** What the controller manager gives to its templates, as far as it is known here. */
function valuesOf(pod: Pod, { trustDomain }: SpiffeConfig, clusterName: string | undefined): unknown {
  return {
    ...(trustDomain && { TrustDomain: trustDomain }),
    ...(clusterName && { ClusterName: clusterName }),
    PodMeta: {
      Name: pod.name,
      Namespace: pod.namespace,
      UID: pod.uid,
      Labels: pod.labels ?? {},
      Annotations: pod.annotations ?? {},
    },
    PodSpec: {
      ServiceAccountName: pod.serviceAccount,
      NodeName: pod.spec.nodeName,
      Hostname: pod.spec.hostname,
      Subdomain: pod.spec.subdomain,
      PriorityClassName: pod.spec.priorityClassName,
    },
    NodeMeta: { Name: pod.spec.nodeName },
  }
}

/** https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md */
export function isSpiffeId(text: string): boolean {
  const [, path] = /^spiffe:\/\/[a-z0-9._-]{1,255}((?:\/[A-Za-z0-9._-]+)*)$/.exec(text) ?? []
  return path !== undefined && text.length <= 2048 && !path.split('/').some((part) => part === '.' || part === '..')
}
