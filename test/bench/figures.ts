/**
 * What benchmarks have in common: they tell their figures as data, each beside what it is compared with and what is hoped for, print
 * them for a person, and write them to the file that `--json` names.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

export interface Figure {
  /** What was done. */
  readonly what: string
  /** What was measured of it, with its unit: `sensor, us`. */
  readonly figure: string
  readonly value: number
  /** The same by other means in the same run, and in the same unit. */
  readonly baseline?: { readonly what: string; readonly value: number }
  /** What is hoped for: `<= 1.35`, `>= 500,000`, or `0`. A figure without is told for its own sake. */
  readonly target?: string
  /** What is promised, in the same form: a benchmark that misses it has failed. */
  readonly bound?: string
  /** Of each round; `value` is their median. */
  readonly rounds?: readonly number[]
}

/** Is the value what the target (or bound) says? */
export function holds(value: number, target: string): boolean {
  const [, how = '', limit = ''] = /^(<=|>=)? ?([\d,.]+)$/.exec(target) ?? []
  const number = Number(limit.replaceAll(',', ''))
  if (limit === '' || Number.isNaN(number)) throw new Error(`found the target "${target}", expected such as "<= 1.35"`)
  if (how === '') return value === number
  return how === '<=' ? value <= number : value >= number
}

export const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN

export const shown = (value: number): string =>
  Math.abs(value) >= 1000
    ? Math.round(value).toLocaleString('en')
    : Number.isInteger(value)
      ? String(value)
      : value.toPrecision(3)

const verdict = ({ value, target, bound }: Figure): string => {
  if (bound !== undefined && !holds(value, bound)) return `BOUND EXCEEDED (${bound})`
  if (target === undefined) return bound === undefined ? '' : 'within its bound'
  return holds(value, target) ? 'met' : 'missed'
}

/** The cells of a figure's row: figure, value, against what, target, verdict. */
export function cells(figure: Figure): string[] {
  const { baseline, value, target, bound } = figure
  const against = baseline ? `${(value / baseline.value).toFixed(2)}x ${baseline.what} (${shown(baseline.value)})` : ''
  const wanted = [target, bound && `bound ${bound}`].filter((one) => one !== undefined).join(', ')
  return [figure.figure, shown(value), against, wanted, verdict(figure)]
}

/** Columns as wide as their widest cell. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((all, cells) => cells.map((cell, at) => Math.max(all[at] ?? 0, cell.length)), [])
  return rows
    .map((cells) =>
      cells
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Options that every benchmark has. Its own come besides. */
export interface Options {
  /** Fewer rounds and smaller loads: to see that it works, not to quote. */
  readonly quick: boolean
  readonly json: string | undefined
}

export function options(): Options {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' }, json: { type: 'string' } }, strict: false })
  return { quick: values.quick === true, json: typeof values.json === 'string' ? values.json : undefined }
}

/** Prints the figures on stdout, by what was done, and keeps them. */
export function tell(figures: readonly Figure[], json: string | undefined): void {
  const works = [...new Set(figures.map(({ what }) => what))]
  for (const what of works) {
    const rows = figures.filter((figure) => figure.what === what).map((figure) => ['', ...cells(figure)])
    process.stdout.write(`${what}\n${aligned(rows)}\n`)
  }
  keep(figures, json)
}

/** Writes the figures where `json` says. The exit code is 1 if one is beyond its bound. */
export function keep(figures: readonly Figure[], json: string | undefined): void {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(figures, undefined, 2)}\n`)
  if (beyond(figures).length > 0) process.exitCode = 1
}

/** Those that break a promise. */
export const beyond = (figures: readonly Figure[]): readonly Figure[] =>
  figures.filter(({ value, bound }) => bound !== undefined && !holds(value, bound))

export const figuresIn = (file: string): Figure[] => JSON.parse(readFileSync(file, 'utf8'))
