/**
 * How a container proves who it is: the tokens of its service account that it holds.
 *
 * A projected token is bound to the pod and expires. A Secret of type kubernetes.io/service-account-token is the older
 * kind: it holds a token that never does. The admission controller adds the API server's token, in a volume named
 * kube-api-access-*, to the containers that mount nothing at its place, unless the pod or else the account says no
 * (kubernetes plugin/pkg/admission/serviceaccount/admission.go).
 */
import type { Identity } from '../sensor/event.ts'
import type { Handed, MountedToken } from './container-mounts.ts'
import type { Pod } from './pod-table.ts'
import type { ServiceAccount } from './service-account.ts'

export type Credential = NonNullable<Identity['credential']>

/** What is known of a Secret that holds a token: never the token. `created`: RFC 3339. */
export type TokenSecret = { serviceAccount: string; created?: string }

const tokenPlace = '/var/run/secrets/kubernetes.io/serviceaccount'
const dayMs = 86_400_000

/**
 * `account`: absent while it is not known. `tokenSecretOf`: by name, in the pod's namespace; where token Secrets may
 * not be read, only those count that the account lists. `now`: Unix time in milliseconds.
 */
export function credentialOf(
  { tokens, secrets }: Handed,
  { spec, serviceAccount }: Pick<Pod, 'spec' | 'serviceAccount'>,
  account: ServiceAccount | undefined,
  tokenSecretOf: (name: string) => TokenSecret | undefined,
  now: number,
): Credential {
  const forApiServer = tokens.filter(({ audience }) => !audience)
  const automounted = forApiServer.some(isAutomounted)
  const decided = automountDecidedBy(spec.automountServiceAccountToken, account)
  const audiences = [...new Set(tokens.flatMap(({ audience }) => audience || []))]
  const lifetimes = (forApiServer.length > 0 ? forApiServer : tokens).map(lifetimeOf)
  const secret = legacySecret(
    secrets.filter(({ via }) => via !== 'image_pull').map(({ name }) => name),
    (name) => tokenSecretOf(name) ?? (account?.secrets?.includes(name) ? { serviceAccount } : undefined),
    now,
  )
  return {
    kind: secret ? 'legacy_secret' : tokens.length > 0 ? 'projected' : 'none',
    ...(audiences.length > 0 && { audiences }),
    ...(lifetimes.length > 0 && { expiration_seconds: Math.max(...lifetimes) }),
    api_server: forApiServer.length > 0 || secret !== undefined,
    automounted,
    ...(decided && { automount: decided }),
    ...(secret && { secret }),
  }
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
