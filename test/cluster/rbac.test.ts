/**
 * The RBAC engine against the API server itself: random roles, aggregations and bindings are made in the cluster, and
 * each question is asked of both. NIGHTJAR_SEED repeats a run.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AuthorizationV1Api, KubeConfig, type V1SubjectAccessReview } from '@kubernetes/client-node'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiServer, openApiServer } from '../../enrich/api-server.ts'
import { listCluster } from '../../enrich/cluster-objects.ts'
import { escalationPaths } from '../../enrich/escalation-paths.ts'
import { type Account, createRbac, type Rbac } from '../../enrich/rbac.ts'
import { rbacKinds } from '../../enrich/reach.ts'
import { type Objects, objects, type Question, question, together, vocabulary } from '../enrich/random-rbac.ts'
import { apply, kubectl } from './commands.ts'

const seed = Number(process.env.NIGHTJAR_SEED) || Math.floor(Math.random() * 2 ** 31)
const rounds = 10
const questionsOfRound = 300
// One alone is mostly about nobody: several make a cluster in which about one question in twelve is allowed.
const samplesOfRound = 12
const atOnce = 16
/** What test/cluster/run removes by. */
const ours = { 'nightjar.dev/test': 'cluster' }
const mine = 'nightjar.dev/test-of=rbac'
const label = { ...ours, 'nightjar.dev/test-of': 'rbac' }
// The authorizer reads from caches that follow the objects, and a controller sums up aggregated roles.
const settlesWithinMs = 20_000

const namespaceOf = (name: string) => `nightjar-test-rbac-${name}`

let api: ApiServer
let reviews: AuthorizationV1Api
const tally = { questions: 0, allowed: 0 }

beforeAll(async () => {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromDefault()
  api = openApiServer(kubeConfig)
  reviews = kubeConfig.makeApiClient(AuthorizationV1Api)
  await apply(
    vocabulary.namespaces.map((name) => ({
      ...{ apiVersion: 'v1', kind: 'Namespace' },
      metadata: { name: namespaceOf(name), labels: label },
    })),
  )
})
afterAll(async () => {
  api?.close()
  await removeObjects()
  await kubectl(['delete', 'namespaces', '--selector', mine, '--ignore-not-found', '--wait=false'])
  process.stdout.write(
    `RBAC: ${tally.questions} questions asked of the API server and of Nightjar, ${tally.allowed} of them allowed; seed ${seed}\n`,
  )
})

const removeObjects = () =>
  kubectl([
    ...['delete', 'roles,rolebindings,clusterroles,clusterrolebindings', '--all-namespaces'],
    ...['--selector', mine, '--ignore-not-found'],
  ])

/** The vocabulary's names as they are in the cluster: of this round's own, so that rounds don't mix. */
function inCluster(all: Objects, round: number): object[] {
  const roleName = (name: string) => `nightjar-test-${round}-${name}`
  return Object.entries(all).flatMap(([kind, list]) =>
    list.map((object) => {
      const text = JSON.stringify(object)
        .replaceAll(
          /"(system:serviceaccounts?:)(red|blue)(:[a-z]+)?"/g,
          (_, before, name, rest = '') => `"${before}${namespaceOf(name)}${rest}"`,
        )
        .replaceAll(/"namespace":"(red|blue)"/g, (_, name) => `"namespace":"${namespaceOf(name)}"`)
        .replaceAll(/"name":"(r\d|b\d|absent)"/g, (_, name) => `"name":"${roleName(name)}"`)
        .replaceAll('"sum":', `"nightjar.dev/sum-${round}":`)
      const { metadata, ...rest } = JSON.parse(text)
      return {
        ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind },
        metadata: { ...metadata, labels: { ...metadata.labels, ...label } },
        ...rest,
      }
    }),
  )
}

const questionInCluster = ({ account, namespace, ...asked }: Question): Question => ({
  ...asked,
  account: { ...account, namespace: namespaceOf(account.namespace) },
  ...(namespace && { namespace: namespaceOf(namespace) }),
})

async function engine(): Promise<{ rbac: Rbac; accounts: Account[] }> {
  const found = await listCluster(api)
  expect(found.missing).toEqual([])
  const rbac = createRbac()
  for (const kind of rbacKinds) rbac.replace(kind, found[kind] as never)
  const accounts = found.ServiceAccount.map(({ metadata }) => ({
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
  }))
  return { rbac, accounts }
}

function nightjars(rbac: Rbac, { account, namespace, verb, group, resource, name, path }: Question): boolean {
  const request =
    path !== undefined ? { verb, path } : { verb, group: group ?? '', resource: resource ?? '', ...(name && { name }) }
  return rbac.allowedBy(account, { ...request, ...(namespace && { namespace }) }) !== undefined
}

async function theirs({ account, namespace, verb, group, resource = '', name, path }: Question): Promise<boolean> {
  const [kind, subresource] = resource.split('/')
  const body: V1SubjectAccessReview = {
    spec: {
      user: `system:serviceaccount:${account.namespace}:${account.name}`,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`, 'system:authenticated'],
      ...(path !== undefined
        ? { nonResourceAttributes: { path, verb } }
        : {
            resourceAttributes: {
              ...{ verb, group, resource: kind },
              ...(subresource && { subresource }),
              ...(namespace && { namespace }),
              ...(name && { name }),
            },
          }),
    },
  }
  const { status } = await reviews.createSubjectAccessReview({ body })
  return status?.allowed === true
}

/** The questions on which the two differ, once the server has settled. */
async function differences(questions: readonly Question[]): Promise<object[]> {
  const until = performance.now() + settlesWithinMs
  let open = questions
  let found: object[] = []
  tally.questions += questions.length
  for (;;) {
    const { rbac } = await engine()
    const answers = await answersTo(open)
    if (open === questions) tally.allowed += answers.filter((answer) => answer).length
    const differ = open.flatMap((one, at) => {
      const mine = nightjars(rbac, one)
      return mine === answers[at] ? [] : [{ one, nightjar: mine, server: answers[at] }]
    })
    found = differ
    open = differ.map(({ one }) => one)
    if (open.length === 0 || performance.now() > until) return found
    await sleep(200)
  }
}

async function answersTo(questions: readonly Question[]): Promise<boolean[]> {
  const answers: boolean[] = []
  const next = questions.entries()
  const worker = async () => {
    for (const [at, one] of next) answers[at] = await theirs(one)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return answers
}

test.each(Array.from({ length: rounds }, (_, round) => round))(
  'round %i: the server and Nightjar say the same, whatever is asked',
  async (round) => {
    const all = together(fc.sample(objects, { numRuns: samplesOfRound, seed: seed + round }))
    const questions = fc.sample(question, { numRuns: questionsOfRound, seed: seed + round }).map(questionInCluster)
    const made = inCluster(all, round)
    if (made.length > 0) await apply(made)
    try {
      expect(await differences(questions)).toEqual([])
    } finally {
      await removeObjects()
    }
  },
)

test('so they do on every right of every escalation path, for every account of the cluster', async () => {
  const { accounts } = await engine()
  const rights = escalationPaths.flatMap(({ needs, or = [] }) =>
    [needs, ...or].flat().flatMap(({ verbs, on }): Omit<Question, 'account'>[] => {
      const [group = '', resource = ''] = (on[0] ?? '').includes('/') ? (on[0] ?? '').split('/') : ['', on[0]]
      return [{ verb: verbs[0] ?? '', group, resource: resource.replace(':', '/') }]
    }),
  )
  const questions = accounts.flatMap((account) =>
    rights.flatMap((right) => [
      { account, ...right },
      { account, ...right, namespace: account.namespace },
    ]),
  )
  expect(await differences(questions)).toEqual([])
})

test('in both directions: neither was nearly everything allowed, nor nearly nothing', () => {
  expect(tally.allowed / tally.questions).toBeGreaterThan(0.01)
  expect(tally.allowed / tally.questions).toBeLessThan(0.95)
})
