/** What there is to say of service accounts as a whole: their rights, and each workload that runs as one of them. */
import type { V1Pod } from '@kubernetes/client-node'
import { type BlastRadius, blastRadius } from './blast-radius.ts'
import type { ClusterObjects } from './cluster-objects.ts'
import { isForApiServer } from './credential.ts'
import { serviceAccountOf } from './pod-table.ts'
import type { Account, Grant } from './rbac.ts'
import { createReach, networkKinds, type PodReach, type Reach, type ReachPod, rbacKinds } from './reach.ts'

export type WorkloadReport = PodReach & {
  /** `Deployment/web`; of a pod that nothing controls `Pod/web`. */
  name: string
  pods: number
  nodes: string[]
  /** Whether one of its containers holds a token of the account that the API server may take, or a Secret that may be one. */
  token: boolean
}

export type IdentityReport = {
  subject: string
  service_account: Account
  /** There is such an account; undefined: they could not be listed. */
  exists?: boolean
  /** The worst of its rights alone and of each workload. Absent: RBAC could not be read. */
  score?: number
  level?: string
  /** Its rights alone, as somebody with its token would have them anywhere. Absent: RBAC could not be read. */
  rights?: BlastRadius
  /** Every role it holds but those of all accounts. */
  roles: { binding: string; role: string; namespace?: string }[]
  workloads: WorkloadReport[]
}

export type Reports = {
  /** undefined: no such account, no binding names it and no pod runs as it. */
  of(account: Account): IdentityReport | undefined
  /** Every account, the farthest-reaching first. */
  all(): IdentityReport[]
}

export function createReports(objects: ClusterObjects): Reports {
  const reach = reachFrom(objects)
  const withAccount = objects.Pod.filter((pod) => isRunning(pod) && serviceAccountOf(pod) !== undefined)
  const pods = Map.groupBy(withAccount, (pod) => `${pod.metadata?.namespace}/${serviceAccountOf(pod)}`)
  const existing = new Map(
    objects.ServiceAccount.map(({ metadata }) => {
      const account = { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' }
      return [keyOf(account), account] as const
    }),
  )
  const listed = !objects.missing.some(({ kind }) => kind === 'ServiceAccount')

  function of(account: Account): IdentityReport | undefined {
    const key = keyOf(account)
    const own = pods.get(key) ?? []
    const grants = reach.rbac.grantsOf(account)
    const named = reach.rbac.accounts().some((one) => keyOf(one) === key)
    return existing.has(key) || own.length > 0 || named ? reportOf(account, own, grants) : undefined
  }

  function reportOf(account: Account, own: readonly V1Pod[], grants: readonly Grant[]): IdentityReport {
    const escalations = reach.escalationsOf(account)
    const rights = escalations && blastRadius({ escalations, exposures: [], dataStores: [] })
    const workloads = [...Map.groupBy(own, workloadOf)].map(([name, some]) => workloadReport(reach, name, some))
    workloads.sort((one, other) => scoreOf(other) - scoreOf(one) || (one.name < other.name ? -1 : 1))
    const worst = [rights, ...workloads.map(({ blast_radius }) => blast_radius)].reduce(
      (worst, one) => ((one?.score ?? 0) > (worst?.score ?? 0) ? one : worst),
      rights,
    )
    return {
      subject: `system:serviceaccount:${account.namespace}:${account.name}`,
      service_account: account,
      ...(listed && { exists: existing.has(keyOf(account)) }),
      ...(rights && worst && { score: worst.score, level: worst.level, rights }),
      roles: grants
        .filter(({ forAll }) => !forAll)
        .map(({ binding, role, namespace }) => ({ binding, role: role.title, ...(namespace && { namespace }) })),
      workloads,
    }
  }

  return {
    of,
    all() {
      const accounts = new Map([...existing, ...reach.rbac.accounts().map((one) => [keyOf(one), one] as const)])
      for (const key of pods.keys()) if (!accounts.has(key)) accounts.set(key, accountFrom(key))
      return [...accounts.values()]
        .map((account) => reportOf(account, pods.get(keyOf(account)) ?? [], reach.rbac.grantsOf(account)))
        .sort((one, other) => (other.score ?? 0) - (one.score ?? 0) || (one.subject < other.subject ? -1 : 1))
    },
  }
}

const keyOf = ({ namespace, name }: Account) => `${namespace}/${name}`
const accountFrom = (key: string): Account => ({
  namespace: key.slice(0, key.indexOf('/')),
  name: key.slice(key.indexOf('/') + 1),
})
const isRunning = ({ status }: V1Pod) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed'
const scoreOf = ({ blast_radius }: PodReach) => blast_radius?.score ?? 0

function reachFrom(objects: ClusterObjects): Reach {
  const namespaces = new Map(objects.Namespace.map(({ metadata }) => [metadata?.name, metadata?.labels ?? {}]))
  const labels = new Map(
    objects.Pod.map(({ metadata }) => [`${metadata?.namespace}/${metadata?.name}`, metadata?.labels ?? {}]),
  )
  const reach = createReach({
    namespaceLabels: (namespace) => namespaces.get(namespace),
    labelsOf: (namespace, pod) => labels.get(`${namespace}/${pod}`),
  })
  const missing = new Set(objects.missing.map(({ kind }) => kind))
  for (const kind of [...rbacKinds, ...networkKinds])
    if (!missing.has(kind)) reach.replace(kind, objects[kind] as never)
  return reach
}

/** Of pods of one workload the first: their specs come from one template. */
function workloadReport(reach: Reach, name: string, pods: readonly V1Pod[]): WorkloadReport {
  const reported = pods.map((pod) => ({ pod, token: mayHoldToken(pod) }))
  const reaches = reported.map(({ pod, token }) => reach.reachOf(reachPodOf(pod), token))
  const worst = reaches.reduce((worst, one) => (scoreOf(one) > scoreOf(worst) ? one : worst), reaches[0] ?? {})
  return {
    name,
    pods: pods.length,
    nodes: [...new Set(pods.flatMap(({ spec }) => spec?.nodeName ?? []))].sort(),
    token: reported.some(({ token }) => token),
    ...worst,
  }
}

function reachPodOf(pod: V1Pod): ReachPod {
  const { metadata, spec, status } = pod
  const serviceAccount = serviceAccountOf(pod)
  return {
    uid: metadata?.uid ?? `${metadata?.namespace}/${metadata?.name}`,
    namespace: metadata?.namespace ?? '',
    ...(metadata?.labels && { labels: metadata.labels }),
    ...(serviceAccount && { serviceAccount }),
    spec: spec ?? { containers: [] },
    ...(status?.podIPs && { ips: status.podIPs.map(({ ip }) => ip) }),
    ...(status?.hostIP && { hostIp: status.hostIP }),
  }
}

/** Of a Secret only its contents could tell. */
function mayHoldToken({ spec }: V1Pod): boolean {
  const mounted = [...(spec?.volumes ?? [])].some(
    ({ secret, projected }) =>
      secret !== undefined ||
      (projected?.sources ?? []).some(
        (source) =>
          source.secret ||
          (source.serviceAccountToken && isForApiServer(source.serviceAccountToken.audience) !== false),
      ),
  )
  const containers = [
    ...(spec?.containers ?? []),
    ...(spec?.initContainers ?? []),
    ...(spec?.ephemeralContainers ?? []),
  ]
  return (
    mounted ||
    containers.some(
      ({ env, envFrom }) =>
        (env ?? []).some(({ valueFrom }) => valueFrom?.secretKeyRef) ||
        (envFrom ?? []).some(({ secretRef }) => secretRef),
    )
  )
}

/** The topmost controller as far as the pod's own names tell it: a ReplicaSet's and a Job's carry their maker's. */
function workloadOf({ metadata }: V1Pod): string {
  const controller = metadata?.ownerReferences?.find((one) => one.controller)
  if (!controller) return `Pod/${metadata?.name}`
  const hash = metadata?.labels?.['pod-template-hash']
  if (controller.kind === 'ReplicaSet' && hash && controller.name.endsWith(`-${hash}`)) {
    return `Deployment/${controller.name.slice(0, -hash.length - 1)}`
  }
  // A CronJob names its Jobs by the minute, in eight digits of minutes since 1970.
  const cronJob = controller.kind === 'Job' && /^(.+)-\d{8}$/.exec(controller.name)?.[1]
  return cronJob ? `CronJob/${cronJob}` : `${controller.kind}/${controller.name}`
}
