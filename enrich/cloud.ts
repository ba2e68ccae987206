/**
 * Whom a container can act as in a cloud, by what its pod, its service account and its node say. One entry of the table
 * for each way that there is; each names the principal only where the cluster's objects do.
 */
import { posix } from 'node:path'
import type { Identity } from '../sensor/event.ts'
import type { Handed, MountedToken } from './container-mounts.ts'
import type { Pod } from './pod-table.ts'
import type { ServiceAccount } from './service-account.ts'

export type CloudPrincipal = NonNullable<Identity['cloud']>[number]

/** Of the node: whose machine it is, and whether GKE's metadata server stands between its pods and the cloud's. */
export type CloudNode = { provider?: string; gkeMetadataServer: boolean }

type Known = {
  pod: Pick<Pod, 'spec' | 'labels'>
  handed: Handed
  annotation(name: string): string | undefined
  variable(name: string): string | undefined
  /** The projected token in the file that the variable names. */
  tokenAt(variable: string): MountedToken | undefined
  /** A projected token for this audience. */
  tokenFor(audience: RegExp | string): MountedToken | undefined
  node: CloudNode | undefined
}

type Way = {
  provider: string
  source: string
  /** undefined: nothing of this way is there. */
  find(known: Known): Omit<CloudPrincipal, 'provider' | 'source'> | undefined
}

const roleArn = 'eks.amazonaws.com/role-arn'
const stsAudience = 'eks.amazonaws.com/audience'
const gcpServiceAccount = 'iam.gke.io/gcp-service-account'
const azureClient = 'azure.workload.identity/client-id'

/** The annotations of service accounts that are read here. */
export const accountAnnotations: ReadonlySet<string> = new Set([roleArn, stsAudience, gcpServiceAccount, azureClient])

// The agent's addresses: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
const podIdentityAgent = /^http:\/\/(?:169\.254\.170\.23|\[fd00:ec2::23\])\//

/** What clouds want the tokens of service accounts to be for. */
const audiences = {
  sts: /^sts\.amazonaws\.com(?:\.cn)?$/,
  podIdentity: /^pods\.eks\.amazonaws\.com$/,
  googlePool: /^(?:https?:)?\/\/iam\.googleapis\.com\/projects\//,
  azure: /^api:\/\/AzureADTokenExchange/,
}
/** With kOps' for AWS, and that of GKE's own pools: a token for one of these is for a cloud. */
export const cloudAudiences: readonly RegExp[] = [
  ...Object.values(audiences),
  /^amazonaws\.com(?:\.cn)?$/,
  /\.svc\.id\.goog$/,
]

const ways: Way[] = [
  {
    // https://docs.aws.amazon.com/eks/latest/userguide/pod-configuration.html: a webhook adds the token and the variables.
    // Its --token-audience is another elsewhere (amazonaws.com with kOps), so the file goes before the audience.
    provider: 'aws',
    source: 'eks_irsa',
    find({ annotation, variable, tokenAt, tokenFor }) {
      const own = annotation(stsAudience)
      const held = tokenAt('AWS_WEB_IDENTITY_TOKEN_FILE') ?? tokenFor(own ?? audiences.sts)
      const injected = variable('AWS_WEB_IDENTITY_TOKEN_FILE') && variable('AWS_ROLE_ARN')
      return found(injected || annotation(roleArn), held)
    },
  },
  {
    // The role is in an association that the EKS API keeps, not in the cluster.
    provider: 'aws',
    source: 'eks_pod_identity',
    find({ variable, tokenFor }) {
      const held = tokenFor(audiences.podIdentity)
      if (held) return found(undefined, held)
      return podIdentityAgent.test(variable('AWS_CONTAINER_CREDENTIALS_FULL_URI') ?? '') ? { held: true } : undefined
    },
  },
  {
    // https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity: the node's metadata server gives the
    // token out; a pod in the node's network doesn't get to it.
    provider: 'gcp',
    source: 'gke_workload_identity',
    find({ annotation, pod, node }) {
      const principal = annotation(gcpServiceAccount)
      if (!principal) return undefined
      if (pod.spec.hostNetwork) return { principal, held: false }
      return { principal, ...(node?.provider === 'gcp' && { held: node.gkeMetadataServer }) }
    },
  },
  {
    // A token for a workload identity pool outside GKE's own; which principal it becomes, the pool's mapping decides.
    provider: 'gcp',
    source: 'gcp_federation',
    find({ tokenFor }) {
      return found(undefined, tokenFor(audiences.googlePool))
    },
  },
  {
    // https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
    provider: 'azure',
    source: 'azure_workload_identity',
    find({ annotation, variable, tokenAt, tokenFor }) {
      const held = tokenAt('AZURE_FEDERATED_TOKEN_FILE') ?? tokenFor(audiences.azure)
      const injected = variable('AZURE_FEDERATED_TOKEN_FILE') && variable('AZURE_CLIENT_ID')
      return found(injected || annotation(azureClient), held)
    },
  },
]

/** Sorted as the table is. Empty: none is known. `account`, `node`: absent while they are not known. */
export function cloudOf(
  pod: Pick<Pod, 'spec' | 'labels'>,
  handed: Handed,
  account: ServiceAccount | undefined,
  node: CloudNode | undefined,
): CloudPrincipal[] {
  const variable = (name: string) => handed.env.get(name)?.value || undefined
  const known: Known = {
    pod,
    handed,
    annotation: (name) => account?.annotations?.[name] || undefined,
    variable,
    tokenAt(name) {
      const file = posix.normalize(variable(name) ?? '')
      return handed.tokens.find(({ files }) => files.includes(file))
    },
    tokenFor: (meant) =>
      handed.tokens.find(
        ({ audience }) => audience && (audience === meant || (meant instanceof RegExp && meant.test(audience))),
      ),
    node,
  }
  const own = ways.flatMap(({ provider, source, find }) => {
    const principal = find(known)
    return principal ? [{ provider, source, ...principal }] : []
  })
  return [...own, ...nodeRole(pod, own, node)]
}

/**
 * The node's own role, which the metadata service gives to whoever reaches it: where the container holds nothing better.
 * Whether it does reach it (a hop limit of 1, a NetworkPolicy, a firewall on the node) can't be told from here, but for
 * pods in the node's network.
 */
function nodeRole(pod: Pick<Pod, 'spec'>, own: CloudPrincipal[], node: CloudNode | undefined): CloudPrincipal[] {
  const provider = node?.provider
  const inNodeNetwork = pod.spec.hostNetwork === true
  if (!provider || own.some((one) => one.provider === provider && one.held)) return []
  if (node.gkeMetadataServer && !inNodeNetwork) return []
  return [{ provider, source: 'node_role', ...(inNodeNetwork && { held: true }) }]
}

function found(principal: string | undefined, token: MountedToken | undefined) {
  if (!principal && !token) return undefined
  const audience = token?.audience
  return { ...(principal && { principal }), held: token !== undefined, ...(audience && { audience }) }
}

const providers: Record<string, string> = { aws: 'aws', gce: 'gcp', azure: 'azure' }

/** Of a Node object: `spec.providerID` is `<provider>://<what it is there>`. */
export function cloudNodeFrom(object: {
  metadata?: { name?: string; labels?: Record<string, string> }
  spec?: { providerID?: string }
}): CloudNode {
  const provider = providers[/^([a-z]+):\/\//.exec(object.spec?.providerID ?? '')?.[1] ?? '']
  return {
    ...(provider && { provider }),
    gkeMetadataServer: object.metadata?.labels?.['iam.gke.io/gke-metadata-server-enabled'] === 'true',
  }
}
