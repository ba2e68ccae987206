/**
 * How a container proves who it is: the tokens of its service account that it holds.
 *
 * A projected token is bound to the pod and expires. A Secret of type kubernetes.io/service-account-token is the older
 * kind: it holds a token that never does. The admission controller adds the API server's token, in a volume named
 * kube-api-access-*, to the containers that mount nothing at its place, unless the pod or else the account says no
 * (kubernetes plugin/pkg/admission/serviceaccount/admission.go).
 */
import type { Identity } from '../sensor/event.ts'
import { cloudAudiences } from './cloud.ts'
import type { Handed, MountedToken } from './container-mounts.ts'
import { containersIn } from './pod-containers.ts'
import type { Pod } from './pod-table.ts'
import type { ServiceAccount } from './service-account.ts'

export type Credential = NonNullable<Identity['credential']>

/** What is known of a Secret that holds a token: never the token. `created`: RFC 3339. */
export type TokenSecret = { serviceAccount: string; created?: string }

const tokenPlace = '/var/run/secrets/kubernetes.io/serviceaccount'
const dayMs = 86_400_000

/**
 * `account`: absent while it is not known. `tokenSecretOf`: by name, in the pod's namespace; absent where it is not known
 * which Secrets hold tokens. `now`: Unix time in milliseconds.
 */
export function credentialOf(
  { tokens, secrets }: Handed,
  { spec, serviceAccount }: Pick<Pod, 'spec' | 'serviceAccount'>,
  account: ServiceAccount | undefined,
  tokenSecretOf: ((name: string) => TokenSecret | undefined) | undefined,
  now: number,
): Credential {
  const forApiServer = tokens.filter(({ audience }) => isForApiServer(audience) === true)
  const mayBe = tokens.some(({ audience }) => isForApiServer(audience) === undefined)
  const automounted = forApiServer.some(isAutomounted)
  const decided = automountDecidedBy(spec.automountServiceAccountToken, account)
  const audiences = [...new Set(tokens.flatMap(({ audience }) => audience || []))]
  const lifetimes = (forApiServer.length > 0 ? forApiServer : tokens).map(lifetimeOf)
  const secret = legacySecret(
    secrets.filter(({ via }) => via !== 'image_pull').map(({ name }) => name),
    tokenSecretOf ?? ((name) => looksLikeToken(name, spec, serviceAccount, account)),
    now,
  )
  const good = forApiServer.length > 0 || secret !== undefined
  return {
    kind: secret ? 'legacy_secret' : tokens.length > 0 ? 'projected' : 'none',
    ...(audiences.length > 0 && { audiences }),
    ...(lifetimes.length > 0 && { expiration_seconds: Math.max(...lifetimes) }),
    ...((good || !mayBe) && { api_server: good }),
    automounted,
    ...(decided && { automount: decided }),
    ...(secret && { secret }),
  }
}

/**
 * Audiences that are the API server's: the issuers that kubeadm sets, that EKS takes, and that Kubernetes 1.12 to 1.19 was
 * told to have for Istio and Kubeflow. Without --api-audiences a server takes its --service-account-issuer.
 */
const ofApiServer: readonly string[] = [
  'https://kubernetes.default.svc.cluster.local',
  'https://kubernetes.default.svc',
  'kubernetes.default.svc',
]

/**
 * Whether the API server takes a projected token for this audience. One that names none is for all that the server takes
 * (kubernetes pkg/registry/core/serviceaccount/storage/token.go). undefined: it may, only the server's flags tell; of
 * audiences that are not clouds' servers were told to take istio-ca (Istio's instructions for kOps), spire-server (SPIRE's
 * for minikube) and vault.
 */
export function isForApiServer(audience: string | undefined): boolean | undefined {
  if (!audience || ofApiServer.includes(audience)) return true
  return cloudAudiences.some((one) => one.test(audience)) ? false : undefined
}

const isAutomounted = ({ volume, mountPath }: MountedToken) =>
  volume.startsWith('kube-api-access-') && mountPath === tokenPlace

/** The API server's default where the spec names none: one hour. */
const lifetimeOf = ({ expirationSeconds }: MountedToken) => expirationSeconds ?? 3600

/** The pod's word goes first. */
function automountDecidedBy(
  ofPod: boolean | undefined | null,
  account: ServiceAccount | undefined,
): string | undefined {
  if (typeof ofPod === 'boolean') return 'pod'
  return account && (account.automount === undefined ? 'default' : 'service_account')
}

// k8s.io/apiserver pkg/storage/names/generate.go: five characters, of k8s.io/apimachinery pkg/util/rand, on 58 at most.
const longestGenerated = 58
const generatedEnd = /^[bcdfghjklmnpqrstvwxz2456789]{5}$/

/**
 * An account lists Secrets of any type that its pods may mount, a password for git as well. Those that the control plane
 * made for each account until Kubernetes 1.24 are known by their name (pkg/controller/serviceaccount/tokens_controller.go),
 * or because admission mounted them at the token's place.
 */
function looksLikeToken(
  name: string,
  spec: Pod['spec'],
  serviceAccount: string | undefined,
  account: ServiceAccount | undefined,
): TokenSecret | undefined {
  if (serviceAccount === undefined || !account?.secrets?.includes(name)) return undefined
  const generated = `${serviceAccount}-token-`.slice(0, longestGenerated)
  const named = name.startsWith(generated) && generatedEnd.test(name.slice(generated.length))
  return named || isAtTokenPlace(name, spec) ? { serviceAccount } : undefined
}

/** In any container: what the Secret holds is the same for all. */
function isAtTokenPlace(name: string, spec: Pod['spec']): boolean {
  const volumes = new Set(
    (spec.volumes ?? []).filter(({ secret }) => secret?.secretName === name).map((one) => one.name),
  )
  return [...containersIn(spec).values()].some(({ volumeMounts = [] }) =>
    volumeMounts.some((mount) => mount.mountPath === tokenPlace && volumes.has(mount.name)),
  )
}

/** The oldest, if there are several. */
function legacySecret(
  names: string[],
  known: (name: string) => TokenSecret | undefined,
  now: number,
): Credential['secret'] {
  const [oldest] = names
    .flatMap((name) => {
      const secret = known(name)
      return secret ? [{ name, ...secret }] : []
    })
    .sort((one, other) => (one.created ?? '~').localeCompare(other.created ?? '~'))
  if (!oldest) return undefined
  const { name, serviceAccount, created } = oldest
  const age = created === undefined ? Number.NaN : now - Date.parse(created)
  return {
    name,
    service_account: serviceAccount,
    ...(created && { created }),
    ...(age >= 0 && { age_days: Math.floor(age / dayMs) }),
  }
}
