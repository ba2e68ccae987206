/**
 * Kubernetes' label selectors: all of matchLabels and matchExpressions must hold; an empty selector holds for all
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors).
 */

export type Labels = Readonly<Record<string, string>>

export type Selector = {
  matchLabels?: Labels | null
  matchExpressions?: readonly { key: string; operator: string; values?: readonly string[] | null }[] | null
}

/** NotIn holds for a label that is not there, as the API server has it. An operator it doesn't know holds for nothing. */
const operators: Readonly<Record<string, (value: string | undefined, values: readonly string[]) => boolean>> = {
  In: (value, values) => value !== undefined && values.includes(value),
  NotIn: (value, values) => value === undefined || !values.includes(value),
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
}

export function matches({ matchLabels, matchExpressions }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels ?? {}).every(([key, value]) => labelOf(labels, key) === value) &&
    (matchExpressions ?? []).every(({ key, operator, values }) =>
      operators[operator]?.(labelOf(labels, key), values ?? []),
    )
  )
}

const labelOf = (labels: Labels, key: string): string | undefined =>
  Object.hasOwn(labels, key) ? labels[key] : undefined
