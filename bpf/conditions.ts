/** When a thing that rules ask for matters, as bits: both sides of the filters, the generator's and the kernel's, use them. */
import type { Interest } from './interest.ts'

/** An open for reading or any other act, of a container's process or any other. */
const when = { ALWAYS: 1, CHANGING: 2, IN_CONTAINER: 4, CHANGING_IN_CONTAINER: 8 } as const

/** Sets of them, as the fragments name them. */
export const sets = { ON_HOST: 3, ANYWHERE: 15, IF_READING: 5, IF_CHANGING: 10 } as const

export const conditionOf = ({ changing, inContainer }: Interest): number =>
  changing ? (inContainer ? when.CHANGING_IN_CONTAINER : when.CHANGING) : inContainer ? when.IN_CONTAINER : when.ALWAYS

/** The conditions under which events of a family matter that are told apart by nothing else. */
export const whereOf = (interests: readonly Interest[]): number =>
  interests.every(({ inContainer }) => inContainer) ? when.IN_CONTAINER : when.ALWAYS

/** The conditions that an act meets. */
export const conditionsOf = ({ changing = false, inContainer }: { changing?: boolean; inContainer: boolean }): number =>
  when.ALWAYS |
  (changing ? when.CHANGING : 0) |
  (inContainer ? when.IN_CONTAINER : 0) |
  (changing && inContainer ? when.CHANGING_IN_CONTAINER : 0)

/** All conditions in a table. */
export const union = (table: ReadonlyMap<unknown, number>): number =>
  [...table.values()].reduce((all, one) => all | one, 0)

export function addCondition<K>(table: Map<K, number>, key: K, condition: number): void {
  table.set(key, (table.get(key) ?? 0) | condition)
}

/** What fills a table of the kernel side with this one. */
export const entriesOf = (map: string, table: ReadonlyMap<unknown, number>): string[] =>
  [...table].map(([key, condition]) => `@${map}[${key}] = ${condition};`)
