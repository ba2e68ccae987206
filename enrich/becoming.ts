/**
 * Whom an account can become: who may create pods in a namespace, run commands in its pods or mint tokens there has the
 * rights of every account of that namespace, and of those that they can become in turn. Held everywhere, such a right is
 * as good as all rights already; what matters here are namespaces.
 */
import type { Escalation } from './escalation.ts'
import type { Account } from './rbac.ts'

/** The escalation paths that end in other accounts of the namespace. */
const ways: ReadonlySet<string> = new Set([
  ...['create-pods', 'create-workloads', 'exec-pods', 'ephemeral-containers', 'change-pods'],
  ...['mint-tokens', 'impersonate-accounts', 'issue-token-secrets'],
])

/** What is lost on the way: admission may refuse the pod, the account may have none to enter. */
const share = 0.9
const furthest = 64

export type Becoming = {
  /** The strongest account that it can become, as one more escalation; absent: none that has more than nothing. */
  escalation?: Escalation
  /** The namespaces that the answer hangs on. */
  namespaces: ReadonlySet<string>
}

/** What the roles of an account allow by themselves; `score`: 0 to 100; `worst`: what counts most, in a few words. */
export type Direct = { escalations: readonly Escalation[]; score: number; worst: string }

/** `accountsIn`: accounts with roles of their own. */
export function becomingOf(
  account: Account,
  direct: (account: Account) => Direct,
  accountsIn: (namespace: string) => Iterable<Account>,
): Becoming {
  const namespaces = new Set<string>()
  const reached = new Map<string, Step>()
  const queue: Account[] = [account]
  for (const from of queue) {
    if (reached.size >= furthest) break
    for (const escalation of direct(from).escalations) {
      if (!ways.has(escalation.path.id) || escalation.everywhere || escalation.names) continue
      for (const namespace of escalation.namespaces) {
        if (namespaces.has(namespace)) continue
        namespaces.add(namespace)
        for (const to of accountsIn(namespace)) {
          const key = keyOf(to)
          if (key === keyOf(account) || reached.has(key)) continue
          const first = reached.get(keyOf(from))
          reached.set(key, { account: to, first: first?.first ?? { ...escalation, namespaces: [namespace] } })
          queue.push(to)
        }
      }
    }
  }
  const best = strongest([...reached.values()], direct)
  return { namespaces, ...(best && { escalation: best }) }
}

/** `first`: the right that the way begins with. */
type Step = { account: Account; first: Escalation }

function strongest(steps: readonly Step[], direct: (account: Account) => Direct): Escalation | undefined {
  const [best] = steps
    .map((step) => ({ step, ...direct(step.account) }))
    .filter(({ score }) => score > 0)
    .sort((one, other) => other.score - one.score)
  if (!best) return undefined
  const { step, score, worst } = best
  const { namespace, name } = step.account
  return {
    ...step.first,
    path: {
      ...{ id: 'become-account', title: `Become ${namespace}/${name}`, family: 'become', needs: [] },
      why: `by way of "${step.first.path.title}" it can act as ${namespace}/${name}, whose rights make ${score} of 100 ("${worst}").`,
      weight: share,
      inNamespace: share,
    },
    weight: (score / 100) * share,
  }
}

const keyOf = ({ namespace, name }: Account) => `${namespace}/${name}`
