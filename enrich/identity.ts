/** The identity block of an event: whose rights the process acts with, and how sure that is. */
import type { Identity } from '../sensor/event.ts'

export type Freshness = 'live' | 'stale'

/** What is known of an identity beside whose it is. */
export type IdentityDetail = Omit<Identity, 'subject' | 'kind' | 'service_account' | 'freshness'>

/** A process in a container of a known pod acts as the pod's service account. */
export function serviceAccount(
  namespace: string,
  name: string,
  freshness: Freshness,
  detail: IdentityDetail = {},
): Identity {
  return {
    subject: `system:serviceaccount:${namespace}:${name}`,
    kind: 'service_account',
    service_account: { namespace, name },
    freshness,
    ...detail,
  }
}

/** One in a static pod acts as none. */
export function staticPod(freshness: Freshness, detail: IdentityDetail = {}): Identity {
  return { kind: 'unknown', freshness, ...detail }
}

/** A process outside containers acts as its user. */
export function hostUser(uid: number | undefined, name: string | undefined): Identity {
  if (uid === undefined) return { kind: 'host_user' }
  return { subject: name === undefined ? `uid:${uid}` : `user:${name}`, kind: 'host_user' }
}

/** A container of a pod that the API server has not shown (in time). */
export const podNotFound: Identity = { kind: 'unknown', freshness: 'unknown' }

/** A container of a pod that only the runtime has shown: it doesn't know service accounts. */
export const podOfRuntime: Identity = { kind: 'unknown', freshness: 'runtime' }

/** A container outside Kubernetes, or a process of which nothing is known. */
export const noIdentity: Identity = { kind: 'unknown' }
