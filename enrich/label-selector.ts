/**
 * Kubernetes' label selectors: all of matchLabels and matchExpressions must hold; an empty selector holds for all
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors).
 */

export type Labels = Readonly<Record<string, string>>

export type Selector = {
  matchLabels?: Labels | null
  matchExpressions?: readonly { key: string; operator: string; values?: readonly string[] | null }[] | null
}

/** true, false, or undefined: it can't be told. */
export type Maybe = boolean | undefined

/** NotIn holds for a label that is not there, as the API server has it. An operator it doesn't know holds for nothing. */
const operators: Readonly<Record<string, (value: string | undefined, values: readonly string[]) => boolean>> = {
  In: (value, values) => value !== undefined && values.includes(value),
  NotIn: (value, values) => value === undefined || !values.includes(value),
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
}

export function matches(selector: Selector, labels: Labels): boolean {
  return mayMatch(selector, labels, false) === true
}

/** With `inPart` there may be more labels than these: what is asked of one that isn't among them can't be told. */
export function mayMatch({ matchLabels, matchExpressions }: Selector, labels: Labels, inPart: boolean): Maybe {
  const judge = (key: string, test: (value: string | undefined) => boolean): Maybe => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    return inPart && value === undefined ? undefined : test(value)
  }
  return all([
    ...Object.entries(matchLabels ?? {}).map(([key, wanted]) => judge(key, (value) => value === wanted)),
    ...(matchExpressions ?? []).map(({ key, operator, values }) =>
      judge(key, (value) => operators[operator]?.(value, values ?? []) ?? false),
    ),
  ])
}

export const any = (values: readonly Maybe[]): Maybe =>
  values.includes(true) ? true : values.includes(undefined) ? undefined : false
export const all = (values: readonly Maybe[]): Maybe =>
  values.includes(false) ? false : values.includes(undefined) ? undefined : true
