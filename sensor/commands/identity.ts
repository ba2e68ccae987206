/** `nightjar identity`: how far a service account reaches, or all of them, from a cluster or from manifests. */
import type { Logger } from 'pino'
import { openApiServer } from '../../enrich/api-server.ts'
import { type ClusterObjects, listCluster, ManifestError, readManifests } from '../../enrich/cluster-objects.ts'
import { createReports, type IdentityReport } from '../../enrich/identity-report.ts'
import { kubernetesFrom } from '../../enrich/kubernetes.ts'
import type { Account } from '../../enrich/rbac.ts'
import { nearest } from '../../rules/problem.ts'
import { UsageError } from '../usage.ts'
import { dot, graphOf, mermaid } from './identity-graph.ts'
import { prettyIdentity, prettyRanking } from './identity-pretty.ts'

export const identityOutputs = ['json', 'pretty', 'dot', 'mermaid'] as const

export interface IdentityOptions {
  all?: true
  output: (typeof identityOutputs)[number]
  kubeconfig?: string
  /** A folder or file of manifests, in place of a cluster. */
  from?: string
}

/** Prints to stdout. The exit code is 1 if there is no such account, or if roles and bindings could not be read. */
export async function identity(subject: string | undefined, options: IdentityOptions, log: Logger): Promise<void> {
  if (subject === undefined && !options.all) throw new UsageError('identity: expected NAMESPACE/NAME, or --all')
  if (subject !== undefined && options.all)
    throw new UsageError('identity: expected NAMESPACE/NAME or --all, found both')
  const account = subject === undefined ? undefined : accountFrom(subject)
  const objects = await objectsFrom(options)
  for (const { kind, reason } of objects.missing) log.warn({ kind, reason }, `no ${kind} could be read`)
  if (objects.missing.some(({ kind }) => /Role/.test(kind))) process.exitCode = 1

  const reports = createReports(objects)
  const found = account ? reports.of(account) : undefined
  if (account && !found) {
    const name = `${account.namespace}/${account.name}`
    const near = nearest(
      name,
      reports.all().map(({ service_account: one }) => `${one.namespace}/${one.name}`),
    )
    process.stderr.write(`nightjar: found no service account ${name}${near ? `: did you mean ${near}?` : ''}\n`)
    process.exitCode = 1
    return
  }
  process.stdout.write(printed(found, found ? [found] : reports.all(), options.output))
}

function printed(
  one: IdentityReport | undefined,
  reports: readonly IdentityReport[],
  output: IdentityOptions['output'],
): string {
  const color = process.stdout.isTTY && process.stdout.hasColors()
  if (output === 'json') return reports.map((report) => `${JSON.stringify(report)}\n`).join('')
  if (output === 'dot') return dot(graphOf(reports))
  if (output === 'mermaid') return mermaid(graphOf(reports))
  return one ? prettyIdentity(one, { color }) : prettyRanking(reports, { color })
}

/** `shop/cart`, or as an alert names it, `system:serviceaccount:shop:cart`. */
function accountFrom(subject: string): Account {
  const [, namespace, name] =
    /^system:serviceaccount:([^:/]+):([^:/]+)$/.exec(subject) ?? /^([^:/]+)\/([^:/]+)$/.exec(subject) ?? []
  if (namespace && name) return { namespace, name }
  throw new UsageError(
    `identity: found ${JSON.stringify(subject)}, expected NAMESPACE/NAME or system:serviceaccount:NAMESPACE:NAME`,
  )
}

async function objectsFrom({ from, kubeconfig }: IdentityOptions): Promise<ClusterObjects> {
  if (from !== undefined) {
    try {
      return readManifests(from)
    } catch (error) {
      throw error instanceof ManifestError ? new UsageError(error.message) : error
    }
  }
  const api = openApiServer(clusterOf(kubeconfig))
  try {
    const objects = await listCluster(api)
    const [first] = objects.missing
    const kinds = Object.values(objects).filter((list) => list !== objects.missing && list.length > 0).length
    if (first && kinds === 0) throw new Error(`the cluster can't be read: ${first.reason}`)
    return objects
  } finally {
    api.close()
  }
}

function clusterOf(kubeconfig: string | undefined) {
  try {
    const found = kubernetesFrom({ enabled: 'auto', ...(kubeconfig !== undefined && { kubeconfig }) })
    if (found) return found.kubeConfig
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  throw new UsageError(
    'identity: no cluster is configured: give --kubeconfig FILE, set KUBECONFIG, or read manifests with --from DIR',
  )
}
