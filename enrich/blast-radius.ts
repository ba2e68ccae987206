/**
 * The blast radius: what RBAC allows, what the pod reaches of its node and of data stores, as one figure.
 *
 * Every path has a weight of 0 to 1, the part of the cluster that is lost by it. Paths of one family (ten ways to run a
 * program in a pod) count once, by the worst; families add up as independent losses do:
 *
 *   score = 100 x (1 - product of (1 - the worst weight of the family)), rounded
 *
 * so one more right never lowers the score, and what is hopeless stays 100. Rights count only for a pod that holds a
 * token for them, or might.
 */
import type { Identity } from '../sensor/event.ts'
import type { Escalation } from './escalation.ts'
import type { Family } from './escalation-paths.ts'
import type { Exposure } from './node-reach.ts'

type Path = NonNullable<NonNullable<Identity['blast_radius']>['paths']>[number]
export type Level = (typeof levels)[number][0]
export type BlastRadius = { score: number; level: Level; paths?: Path[] }

/** The least score of each level. */
export const levels = [
  ['critical', 80],
  ['high', 55],
  ['medium', 25],
  ['low', 1],
  ['none', 0],
] as const

const mostPaths = 16
const mostGrants = 4
const mostNamespaces = 3

/** What one more data store within reach is worth, and all of them together. */
const dataStore = { each: 0.04, most: 0.15 }

type Weighed = { family: Family | 'node' | 'data'; weight: number; told(): Path }

export type Reached = {
  escalations: readonly Escalation[]
  exposures: readonly Exposure[]
  /** Data stores that it can open a connection to, by their names. */
  dataStores: readonly string[]
}

export function blastRadius({ escalations, exposures, dataStores }: Reached): BlastRadius {
  const data = Math.min(dataStore.most, 1 - (1 - dataStore.each) ** dataStores.length)
  const weighed: Weighed[] = [
    ...escalations.map((one) => ({ family: one.path.family, weight: one.weight, told: () => escalationPath(one) })),
    ...exposures.map((one) => ({ family: 'node', weight: one.weight, told: () => exposurePath(one) }) as const),
    ...(data > 0 ? [{ family: 'data', weight: data, told: () => dataStoresPath(dataStores) } as const] : []),
  ]
  const worst = new Map<string, number>()
  for (const { family, weight } of weighed) worst.set(family, Math.max(weight, worst.get(family) ?? 0))
  const score = Math.round(100 * (1 - [...worst.values()].reduce((kept, weight) => kept * (1 - weight), 1)))
  const isAdmin = escalations.some(({ path, everywhere }) => path.id === 'cluster-admin' && everywhere)
  const paths = weighed
    // All other rights are part of that one.
    .filter(({ family }) => !isAdmin || family === 'admin' || family === 'node' || family === 'data')
    .sort((one, other) => other.weight - one.weight)
    .slice(0, mostPaths)
    .map(({ told }) => told())
  return { score, level: levelOf(score), ...(paths.length > 0 && { paths }) }
}

export function levelOf(score: number): Level {
  return levels.find(([, least]) => score >= least)?.[0] ?? 'none'
}

function escalationPath(escalation: Escalation): Path {
  const { path, grants } = escalation
  return {
    id: path.id,
    title: path.title,
    why: `${placeOf(escalation)}: ${path.why}`,
    grants: some(grants, mostGrants),
  }
}

const exposurePath = ({ id, title, why, setting }: Exposure): Path => ({
  ...{ id, title },
  why: `On its node: ${why}`,
  grants: [setting],
})

const dataStoresPath = (names: readonly string[]): Path => ({
  ...{ id: 'data-stores', title: names.length === 1 ? 'Connect to a data store' : 'Connect to data stores' },
  why: `Over the network: no NetworkPolicy keeps it from ${some(names, mostNamespaces).join(', ')}.`,
})

/** `In all namespaces`, `In namespace shop`, `For db-credentials alone, in namespace shop` ... */
export function placeOf({ path, everywhere, namespaces, names }: Escalation): string {
  const everyPlace =
    path.inNamespace === undefined || path.within !== undefined ? 'in the whole cluster' : 'in all namespaces'
  const place = everywhere
    ? everyPlace
    : namespaces.length === 1
      ? `in namespace ${namespaces[0]}`
      : `in ${namespaces.length} namespaces (${some(namespaces, mostNamespaces).join(', ')})`
  const text = names ? `for ${some(names, mostNamespaces).join(', ')} alone, ${place}` : place
  return `${text[0]?.toUpperCase()}${text.slice(1)}`
}

function some(values: readonly string[], most: number): string[] {
  return values.length <= most ? [...values] : [...values.slice(0, most), `${values.length - most} more`]
}
