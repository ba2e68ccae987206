/** How far an identity reaches, in a line of an alert. The rest is in the JSON, and in `nightjar identity`. */
import type { Alert } from '../sensor/alert.ts'
import { printable } from './printable.ts'

const mostTold = 3

/** `critical, 100 of 100: Do anything; Take over the node; 2 more`. */
export function radiusInWords({ identity }: Alert): string | undefined {
  const { score, level, paths = [] } = identity?.blast_radius ?? {}
  if (score === undefined) return undefined
  const told = first(
    paths.map(({ title = '' }) => title),
    '; ',
  )
  return printable(`${level ? `${level}, ` : ''}${score} of 100${told && `: ${told}`}`)
}

/** `postgresql payments/postgres:5432, redis shop/redis:6379, 4 more`. */
export function dataStoresInWords({ identity }: Alert): string | undefined {
  const { data_stores: stores = [] } = identity?.reach ?? {}
  if (stores.length === 0) return undefined
  const told = stores.map(
    ({ type, name, port, policy }) =>
      `${type ?? ''} ${name ?? ''}:${port ?? ''}${policy === 'unknown' ? ' (NetworkPolicies leave it open)' : ''}`,
  )
  return printable(first(told, ', '))
}

function first(values: readonly string[], glue: string): string {
  const rest = values.length - mostTold
  return [...values.slice(0, mostTold), ...(rest > 0 ? [`${rest} more`] : [])].join(glue)
}
