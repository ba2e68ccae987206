/**
 * All benchmarks in one go, one table: `npm run bench`.
 *
 *   --quick        fewer rounds and smaller loads: minutes instead of a quarter of an hour, and not to quote
 *   --only A,B     some of them: rules, enrich, redaction, export, sensor
 *   --json FILE    machine, versions and every figure (default: bench.json in the temporary directory)
 *
 * Each runs in a process of its own, so that none finds the heap of another. What they print goes to stderr; the table is on
 * stdout. The exit code is 1 if a promised bound is exceeded (the resident memory of node and bpftrace), or a benchmark
 * failed; a target that is missed is told, and no failure.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checks } from '../../sensor/requirements.ts'
import { version } from '../../sensor/version.ts'
import { aligned, beyond, cells, type Figure, figuresIn } from './figures.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string', default: join(tmpdir(), 'nightjar-bench.json') },
  },
})

interface Bench {
  readonly name: string
  readonly file: string
  readonly nodeArguments?: readonly string[]
  /** It watches this machine's kernel. */
  readonly watches?: true
}

const all: readonly Bench[] = [
  { name: 'rules', file: 'rules.ts' },
  { name: 'enrich', file: 'enrich.ts', nodeArguments: ['--expose-gc'] },
  { name: 'redaction', file: 'redaction.ts' },
  { name: 'export', file: 'export.ts' },
  { name: 'sensor', file: 'sensor.ts', watches: true },
]
const only = values.only?.split(',')
const unknown = only?.filter((name) => !all.some((bench) => bench.name === name)) ?? []
if (unknown.length > 0) {
  process.stderr.write(
    `--only: found ${unknown.join(', ')}, expected some of ${all.map(({ name }) => name).join(', ')}\n`,
  )
  process.exit(2)
}

function machine() {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  }
}

function bpftraceVersion(): string | undefined {
  try {
    return execFileSync('bpftrace', ['--version']).toString().trim()
  } catch {
    return undefined
  }
}

/** Of a checkout: its commit, and whether it was changed since. */
function commit(): string | undefined {
  try {
    const git = (...words: string[]) =>
      execFileSync('git', words, { cwd: import.meta.dirname })
        .toString()
        .trim()
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ', changed'}`
  } catch {
    return undefined
  }
}

const loadAverage = () => Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])

/** Its figures; undefined if it failed. Exit code 1 with figures is a bound exceeded, which the table tells. */
async function run({ file, nodeArguments = [] }: Bench, folder: string): Promise<Figure[] | undefined> {
  const json = join(folder, `${file}.json`)
  const words = [
    ...nodeArguments,
    join(import.meta.dirname, file),
    '--json',
    json,
    ...(values.quick ? ['--quick'] : []),
  ]
  const child = spawn(process.execPath, words, { stdio: ['ignore', process.stderr, process.stderr] })
  await once(child, 'exit')
  return existsSync(json) ? figuresIn(json) : undefined
}

const folder = mkdtempSync(join(tmpdir(), 'nightjar-bench-'))
const missing = (await checks()).filter(({ ok }) => ok === false)
const [loadBefore, since] = [process.platform === 'linux' ? loadAverage() : undefined, performance.now()]
const figures: (Figure & { bench: string })[] = []
const failed: string[] = []
const skipped: string[] = []
try {
  for (const bench of all.filter(({ name }) => only?.includes(name) !== false)) {
    if (bench.watches && missing.length > 0) {
      skipped.push(bench.name)
      continue
    }
    process.stderr.write(`\n== ${bench.name}\n`)
    const found = await run(bench, folder)
    if (found === undefined) failed.push(bench.name)
    else figures.push(...found.map((figure) => ({ bench: bench.name, ...figure })))
  }
} finally {
  rmSync(folder, { recursive: true })
}

const about = {
  time: new Date().toISOString(),
  quick: values.quick,
  seconds: Math.round((performance.now() - since) / 1000),
  machine: { ...machine(), loadBefore },
  versions: { nightjar: version, commit: commit(), node: process.version, bpftrace: bpftraceVersion() },
}
const ratios = figures.flatMap(({ baseline, ...figure }) =>
  baseline
    ? [
        {
          bench: figure.bench,
          what: figure.what,
          figure: figure.figure,
          of: baseline.what,
          ratio: figure.value / baseline.value,
        },
      ]
    : [],
)
writeFileSync(values.json, `${JSON.stringify({ ...about, failed, skipped, figures, ratios }, undefined, 2)}\n`)

const { cpu, cores, kernel } = about.machine
const { node, bpftrace = 'none', nightjar } = about.versions
const heads = ['bench', 'what', 'figure', 'value', 'against', 'target', '']
const rows = figures.map((figure) => [figure.bench, figure.what, ...cells(figure)])
process.stdout.write(`${aligned([heads, ...rows])}\n\n`)
process.stdout.write(`${cpu}, ${cores} cores, kernel ${kernel}; nightjar ${nightjar}, node ${node}, ${bpftrace}; `)
process.stdout.write(`load before ${loadBefore}; ${about.seconds} s${values.quick ? ', quick' : ''}; ${values.json}\n`)
// More than half a processor of it: the others' work is in all that goes by the clock.
if (loadBefore !== undefined && loadBefore > 0.5)
  process.stdout.write(`the machine was busy (load ${loadBefore} before the first): trust ratios, not times\n`)
if (skipped.length > 0) {
  const wants = missing.map(({ name, remedy }) => `${name} (${remedy})`).join('; ')
  process.stdout.write(`not run: ${skipped.join(', ')}, for want of ${wants}\n`)
}
if (failed.length > 0) process.stdout.write(`failed, see above: ${failed.join(', ')}\n`)
const exceeded = beyond(figures)
for (const { what, figure, value, bound } of exceeded)
  process.stdout.write(`bound exceeded: ${what}: ${figure} is ${value.toFixed(1)}, promised ${bound}\n`)
if (failed.length > 0 || exceeded.length > 0) process.exitCode = 1
