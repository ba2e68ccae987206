/**
 * How the workloads of this node are set up, where that is a risk by itself: one table of findings, each told once when
 * it is there and again if it comes back after it was gone.
 */
import type { Event, Identity } from '../sensor/event.ts'
import { handedTo } from './container-mounts.ts'
import type { Escalation } from './escalation.ts'
import type { Pod } from './pod-table.ts'
import type { Account, Grant } from './rbac.ts'

export type Posture = NonNullable<Event['posture']>

/** What findings are made from. `grants`, `escalations`: absent while RBAC is not known, and of static pods. */
export type PostureFacts = {
  pod: Pod
  identity: Pick<Identity, 'credential' | 'shared_with'>
  grants?: readonly Grant[]
  escalations?: readonly Escalation[]
}

type Finding = { finding: string; title: string; detail(facts: PostureFacts): string | undefined }

const longestLifetime = 86_400
const mostNamed = 3

const findings: readonly Finding[] = [
  {
    finding: 'cluster-admin-workload',
    title: 'A workload is cluster-admin',
    detail({ escalations = [], identity }) {
      const admin = escalations.find(({ path, everywhere }) => path.id === 'cluster-admin' && everywhere)
      if (!admin || identity.credential?.api_server === false) return undefined
      return `${some(admin.grants)} lets it do anything in the cluster. Bind a role with what it really needs instead.`
    },
  },
  {
    finding: 'default-account-with-rights',
    title: 'The default account has rights',
    detail({ pod, grants = [] }) {
      const own = ownOf(grants)
      if (pod.serviceAccount !== 'default' || own.length === 0) return undefined
      return (
        `Every pod of ${pod.namespace} that names no account has them, by ${some(own.map(({ binding }) => binding))}. ` +
        'Give the workload that needs them an account of its own.'
      )
    },
  },
  {
    finding: 'shared-account',
    title: 'Workloads share an account',
    detail({ identity: { shared_with = [] }, grants = [] }) {
      // Who has no rights has nothing to share.
      if (shared_with.length === 0 || ownOf(grants).length === 0) return undefined
      return (
        `${some(shared_with)} on this node has the same account, and with it the same rights: what one of them does can't ` +
        'be told from the other, and neither can be cut off alone. Give each an account of its own.'
      )
    },
  },
  {
    finding: 'token-without-use',
    title: 'A token that is good for nothing is mounted',
    detail({ identity: { credential }, grants }) {
      if (!credential?.automounted || grants === undefined || ownOf(grants).length > 0) return undefined
      return (
        'The account has no rights of its own, but the token shows who it is to the API server and to all who ask it. ' +
        'Set automountServiceAccountToken: false on the pod or the account.'
      )
    },
  },
  {
    finding: 'legacy-token',
    title: 'A token that never expires is in use',
    detail({ identity: { credential } }) {
      const { name, age_days } = credential?.secret ?? {}
      if (credential?.kind !== 'legacy_secret' || name === undefined) return undefined
      const age = age_days === undefined ? '' : ` (${age_days} days old)`
      return `Secret ${name}${age} holds it. Use a projected token, which is bound to the pod and expires, and delete the Secret.`
    },
  },
  {
    finding: 'wide-token',
    title: 'A token is good for more, or for longer, than it should be',
    detail({ pod }) {
      const { tokens } = handedTo(pod, undefined)
      const forAnything = tokens.find(
        ({ audience, mountPath }) => !audience && mountPath !== '/var/run/secrets/kubernetes.io/serviceaccount',
      )
      if (forAnything) {
        return (
          `The token of volume ${forAnything.volume} names no audience: whoever it is shown to can use it at the API server. ` +
          'Set audience to whom it is for.'
        )
      }
      const longLived = tokens.find(({ expirationSeconds = 0 }) => expirationSeconds > longestLifetime)
      if (!longLived) return undefined
      const days = Math.round((longLived.expirationSeconds ?? 0) / 86_400)
      return `The token of volume ${longLived.volume} is good for ${days} days. The kubelet renews it: set expirationSeconds to an hour.`
    },
  },
]

export const findingNames = findings.map(({ finding }) => finding)

/** What is to be said of one pod. */
export function postureOf(facts: PostureFacts): Posture[] {
  return findings.flatMap(({ finding, title, detail }) => {
    const found = detail(facts)
    return found === undefined ? [] : [{ finding, title, detail: found }]
  })
}

const ownOf = (grants: readonly Grant[]) => grants.filter(({ forAll }) => !forAll)

function some(values: readonly string[]): string {
  const distinct = [...new Set(values)]
  const rest = distinct.length - mostNamed
  return distinct.slice(0, mostNamed).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

/** What is known of the account of a pod, besides what its events carry. */
export type Rights = {
  grantsOf(account: Account): readonly Grant[] | undefined
  escalationsOf(account: Account): readonly Escalation[] | undefined
}

/**
 * Looks at the pods of the node once they have been quiet for a while, and tells of what is new. Pods of one workload
 * are told of once; the finding is the same for all.
 */
export function watchPosture(options: {
  pods(): readonly Pod[]
  /** undefined: not all is known of it yet. */
  identityOf(pod: Pod): Identity | undefined
  rights: Rights
  tell(pod: Pod, identity: Identity, posture: Posture): void
  /** Runs `work` in `ms` milliseconds; what it returns cancels that. */
  after?(ms: number, work: () => void): () => void
}): { changed(): void; close(): void } {
  const { pods, identityOf, rights, tell, after = afterTimeout } = options
  const told = new Map<string, string>()
  let cancel: (() => void) | undefined

  function look(): void {
    cancel = undefined
    const seen = new Set<string>()
    const waiting = new Set<string>()
    for (const pod of pods()) {
      const workload = `${pod.namespace} ${workloadOf(pod)} ${pod.serviceAccount ?? ''}`
      const identity = pod.ownersSettled ? identityOf(pod) : undefined
      if (!identity) {
        waiting.add(workload)
        continue
      }
      const account = pod.serviceAccount && { namespace: pod.namespace, name: pod.serviceAccount }
      const grants = account && rights.grantsOf(account)
      const escalations = account && rights.escalationsOf(account)
      const facts = { pod, identity, ...(grants && { grants }), ...(escalations && { escalations }) }
      for (const posture of postureOf(facts)) {
        const key = `${workload} ${posture.finding}`
        if (seen.has(key)) continue
        seen.add(key)
        if (told.has(key)) continue
        told.set(key, workload)
        tell(pod, identity, posture)
      }
    }
    // Gone: told again if it comes back.
    for (const [key, workload] of told) if (!seen.has(key) && !waiting.has(workload)) told.delete(key)
  }

  return {
    changed() {
      cancel ??= after(quietMs, look)
    },
    close() {
      cancel?.()
    },
  }
}

/** Pods and bindings change in bursts: one look for all that happens in this time. */
const quietMs = 2_000

const workloadOf = ({ owners, name }: Pod) => {
  const topmost = owners.at(-1)
  return topmost ? `${topmost.kind}/${topmost.name}` : `Pod/${name}`
}

function afterTimeout(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms)
  return () => clearTimeout(timer)
}
