/**
 * Whom an account can become: who may create pods in a namespace, run commands in its pods or mint tokens there has the
 * rights of every account of that namespace, and of those that they can become in turn. Held everywhere, such a right is
 * all rights already (its weight in escalation-paths.ts is no less than `share`); what matters here are namespaces.
 */
import type { Escalation } from './escalation.ts'
import { escalationPaths, type Family } from './escalation-paths.ts'
import type { Account } from './rbac.ts'

/** The escalation paths that end in other accounts of the namespace. */
const waysOut = [
  ...['create-pods', 'create-workloads', 'exec-pods', 'ephemeral-containers', 'change-pods'],
  ...['mint-tokens', 'impersonate-accounts', 'issue-token-secrets'],
]
const ways: ReadonlyMap<string, Family> = new Map(
  escalationPaths.filter(({ id }) => waysOut.includes(id)).map(({ id, family }) => [id, family]),
)
/** One answer for each: else a new way of one family would take the place of a way of another. */
const families = new Set(ways.values())

/** What is lost on the way: admission may refuse the pod, the account may have none to enter. */
const share = 0.9
/** Accounts that are looked at. */
const furthest = 64

export type Becoming = {
  /** The strongest account that it can become, by each family of ways, as one more escalation. */
  escalations: readonly Escalation[]
  /** The namespaces that the answer hangs on. */
  namespaces: ReadonlySet<string>
}

/** What the roles of an account allow by themselves; `score`: 0 to 100; `worst`: what counts most, in a few words. */
export type Direct = { escalations: readonly Escalation[]; score: number; worst: string }

type Knowledge = {
  direct(account: Account): Direct
  /** Accounts with roles of their own. */
  accountsIn(namespace: string): Iterable<Account>
}

export function becomingOf(account: Account, knowledge: Knowledge): Becoming {
  const namespaces = new Set<string>()
  const first = knowledge.direct(account).escalations.filter(({ path }) => ways.has(path.id))
  const escalations = [...families].flatMap((family) => {
    const begin = first.filter(({ path }) => path.family === family)
    return begin.length > 0 ? (strongest(account, begin, knowledge, namespaces) ?? []) : []
  })
  return { escalations, namespaces }
}

/** `by`: the right that the way begins with. */
type Step = { account: Account; by: Escalation; strength: number }

function strongest(
  account: Account,
  begin: readonly Escalation[],
  { direct, accountsIn }: Knowledge,
  namespaces: Set<string>,
): Escalation | undefined {
  const entered = new Set<string>()
  // An account is the same object wherever it is told of.
  const reached = new Map<Account, Step>()
  let best: Step | undefined
  const isEnough = () => reached.size >= furthest || best?.strength === 100
  const enter = (escalation: Escalation, by: Escalation | undefined) => {
    for (const namespace of escalation.wholly) {
      if (isEnough()) return
      if (entered.has(namespace)) continue
      entered.add(namespace)
      namespaces.add(namespace)
      for (const to of accountsIn(namespace)) {
        if (isEnough()) return
        if (reached.has(to) || (to.name === account.name && to.namespace === account.namespace)) continue
        const step = {
          account: to,
          by: by ?? { ...escalation, namespaces: [namespace] },
          strength: strengthOf(direct(to)),
        }
        reached.set(to, step)
        if (step.strength > (best?.strength ?? 0)) best = step
      }
    }
  }
  for (const escalation of begin) enter(escalation, undefined)
  for (const { account: through, by } of reached.values()) {
    if (isEnough()) break
    for (const escalation of direct(through).escalations) if (ways.has(escalation.path.id)) enter(escalation, by)
  }
  return best && becoming(best, direct(best.account))
}

/** Who can become anybody anywhere has all rights. */
const strengthOf = ({ escalations, score }: Direct): number =>
  escalations.some(({ path, everywhere, names }) => ways.has(path.id) && everywhere && !names) ? 100 : score

function becoming({ account: { namespace, name }, by, strength }: Step, { score, worst }: Direct): Escalation {
  return {
    ...by,
    path: {
      ...{ id: 'become-account', title: `Become ${namespace}/${name}`, family: by.path.family, needs: [] },
      why: `by way of "${by.path.title}" it can act as ${namespace}/${name}, whose rights make ${score} of 100 ("${worst}").`,
      weight: share,
      inNamespace: share,
    },
    weight: (strength / 100) * share,
  }
}
