/**
 * What the sensor costs, and what it loses: `npm run bench:sensor`.
 *
 *   --bpftrace CMD   measures with this bpftrace as well (a command that takes bpftrace's arguments)
 *   --rounds N       rounds, 3 by default; figures are medians over them
 *   --minutes N      of mixed load for the memory, 0.5 by default
 *   --only NAME,...  some of the lines
 *   --quick          one round with smaller loads: to see that it works, not to quote
 *   --json FILE      all figures, each round's too
 *
 * In each round every load runs without the sensor and then with it, on the same machine within seconds. How much longer
 * a load takes is told twice: in time on a processor, which other work on the machine hardly moves, and by the clock.
 * The sensor's own work is user and system time of node and bpftrace from /proc, divided by the acts: of execs also those of
 * others on the machine. The loads run in a cgroup that looks like a container's, as most of what runs on a node. What V8 takes to compile the sensor's code as it first runs is told by itself, at the start,
 * and not in these. Another sensor on the machine is in the time of both.
 */
import { chmodSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runAlone } from './alone.ts'
import { type Figure, median, tell } from './figures.ts'
import { containerLikeCgroup, type Done, type Load, loadsIn, smallBuild } from './loads.ts'
import { type Samples, verified, type Watched, watch } from './watched.ts'

const { values } = parseArgs({
  options: {
    bpftrace: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    minutes: { type: 'string', default: '0.5' },
    only: { type: 'string' },
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
})
const [rounds, minutes] = [values.quick ? 1 : Number(values.rounds), Number(values.minutes)]
/** What is done of the times that a line says. */
const portion = values.quick ? 0.2 : 1
const only = values.only?.split(',')

/** Not in /tmp, where rules have an eye on programs. */
const directory = mkdtempSync('/var/cache/nightjar-bench-')
const cgroup = containerLikeCgroup()
const run = loadsIn(directory, cgroup)

/** What was seen of one load under the sensor. */
interface Seen {
  /** The same load without the sensor, if that was asked for. */
  bare: Done | undefined
  done: Done
  /** Seconds of the sensor on a processor while it ran, until all of it was judged. */
  node: number
  bpftrace: number
  elapsed: number
  before: Samples
  after: Samples
  memory: { node: number; bpftrace: number }
  memoryBefore: { node: number; bpftrace: number }
}

type Figures = Record<string, number>

interface Line {
  name: string
  what: string
  loads: readonly Load[]
  /** Also without the sensor. */
  bare?: true
  /** Also with this program alone, the least that tells as much: what no sensor made of bpftrace goes below. */
  least?: string
  figures(seen: Seen): Figures
  /** What is hoped for, by figure; a figure without is told for its own sake. */
  targets: Readonly<Record<string, string>>
  /** What is promised, by figure: the exit code is 1 where it does not hold. */
  bounds?: Readonly<Record<string, string>>
}

const grown = ({ before, after }: Seen, name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
const events = (seen: Seen, type: string) => grown(seen, `nightjar_events_total{type="${type}"}`)
const lost = (seen: Seen) =>
  [...seen.after.keys()]
    .filter((name) => name.startsWith('nightjar_events_lost_total'))
    .reduce((sum, name) => sum + grown(seen, name), 0)

const against = ({ bare, done }: Seen): Figures =>
  bare ? { 'processor, x bare': done.worked / bare.worked, 'clock, x bare': done.elapsed / bare.elapsed } : {}
const perAct = (seen: Seen, acts = seen.done.count): Figures => {
  const micro = 1e6 / Math.max(1, acts)
  return {
    'sensor, us': (seen.node + seen.bpftrace) * micro,
    'node, us': seen.node * micro,
    'bpftrace, us': seen.bpftrace * micro,
  }
}
const share = (seen: Seen): Figures => ({ 'sensor, % of a core': (100 * (seen.node + seen.bpftrace)) / seen.elapsed })

/** The value below which this share of the observations lies, in ms, as even as the buckets let one say. */
function latency(seen: Seen, quantile: number): number {
  const name = 'nightjar_event_latency_seconds'
  const wanted = quantile * grown(seen, `${name}_count`)
  let [edge, below] = [0, 0]
  for (const key of seen.after.keys()) {
    const bound = key.startsWith(`${name}_bucket`) ? Number(/le="([\d.]+)"/.exec(key)?.[1] ?? Number.NaN) : Number.NaN
    if (Number.isNaN(bound)) continue
    const count = grown(seen, key)
    if (count >= wanted) return 1000 * (edge + ((bound - edge) * (wanted - below)) / (count - below))
    edge = bound
    below = count
  }
  return Number.POSITIVE_INFINITY
}

/** Of connections in a loop: to one place, told once a second, and to two in turn, told each. */
const connecting: Pick<Line, 'bare' | 'figures' | 'targets'> = {
  bare: true,
  figures: (seen) => ({ ...against(seen), ...perAct(seen), 'events sent': events(seen, 'connect') }),
  targets: { 'processor, x bare': '<= 1.03', 'sensor, us': '<= 4' },
}

/** Which file it is, by the hash of its name in the kernel, and whether anybody wants it. */
const fileLookedUp = `BEGIN { @wanted[(uint64)0] = 1; }
tracepoint:syscalls:sys_exit_openat / args->ret >= 0 / {
  $file = (struct file *)*kptr((uint64 *)((uint64)((struct task_struct *)curtask)->files->fdt->fd + (uint64)args->ret * 8));
  if (@wanted[(uint64)$file->f_path.dentry->d_name.hash] == 1) { printf("%d\\n", pid); }
}`

const everything: readonly Line[] = [
  {
    name: 'open',
    what: 'open and close a file that no rule is about, in a loop',
    loads: [{ kind: 'open', count: 200_000 }],
    bare: true,
    figures: (seen) => ({ ...against(seen), 'events sent': events(seen, 'open') }),
    least: fileLookedUp,
    targets: { 'processor, x bare': '<= 1.35', 'events sent': '0' },
  },
  {
    name: 'build',
    what: 'a small build in C',
    loads: [{ kind: 'run', count: 1, command: smallBuild(directory, 30) }],
    bare: true,
    figures: (seen) => ({ ...against(seen), ...share(seen) }),
    targets: { 'processor, x bare': '<= 1.03' },
  },
  {
    name: 'exec',
    what: 'start a program and wait, in a loop',
    loads: [{ kind: 'exec', count: 3_000 }],
    bare: true,
    figures: (seen) => ({ ...against(seen), ...perAct(seen, events(seen, 'exec')) }),
    least: 'tracepoint:sched:sched_process_exec { printf("%d\\n", pid); }',
    targets: { 'processor, x bare': '<= 1.05', 'sensor, us': '<= 45' },
  },
  {
    name: 'connect',
    what: 'connect on loopback, accept, close, in a loop',
    loads: [{ kind: 'connect', count: 40_000 }],
    least: 'tracepoint:sock:inet_sock_set_state { }',
    ...connecting,
  },
  {
    name: 'turns',
    what: 'the same to two places in turn',
    loads: [{ kind: 'turns', count: 40_000 }],
    least: 'tracepoint:sock:inet_sock_set_state / args->newstate == 2 / { printf("%d\\n", pid); }',
    ...connecting,
  },
  {
    name: 'idle',
    what: 'nothing, for 15 s',
    loads: [{ kind: 'run', count: 1, command: ['sleep', '15'] }],
    figures: (seen) => ({ ...share(seen), 'execs of others': events(seen, 'exec') }),
    targets: { 'sensor, % of a core': '<= 0.3' },
  },
  {
    name: 'opens',
    what: '100,000 such opens/s, for 4 s',
    loads: [{ kind: 'open', count: 400_000, rate: 100_000 }],
    figures: (seen) => ({ ...share(seen), 'reached, /s': seen.done.count / seen.done.elapsed, lost: lost(seen) }),
    targets: { 'sensor, % of a core': '<= 1', lost: '0' },
  },
  {
    name: 'execs',
    what: '2,000 execs/s, for 5 s',
    loads: [{ kind: 'exec', count: 10_000, rate: 2_000, shares: 2 }],
    figures: (seen) => ({
      'reached, /s': seen.done.count / seen.done.elapsed,
      lost: lost(seen),
      ...perAct(seen, events(seen, 'exec')),
    }),
    targets: { lost: '0' },
  },
  {
    name: 'connects',
    what: '5,000 connects/s to two places in turn, for 5 s',
    loads: [{ kind: 'turns', count: 25_000, rate: 5_000 }],
    figures: (seen) => ({ 'reached, /s': seen.done.count / seen.done.elapsed, lost: lost(seen) }),
    targets: { lost: '0' },
  },
  {
    name: 'latency',
    what: '1,000 events/s (250 execs and exits, 500 connects), for 6 s',
    loads: [
      { kind: 'exec', count: 1_500, rate: 250 },
      { kind: 'turns', count: 3_000, rate: 500 },
    ],
    figures: (seen) => ({ 'p50, ms': latency(seen, 0.5), 'p99, ms': latency(seen, 0.99) }),
    targets: { 'p50, ms': '<= 3', 'p99, ms': '<= 12' },
  },
  {
    name: 'memory',
    what: `500 execs/s, 1,000 connects/s and 20,000 opens/s, for ${minutes} min`,
    loads: [
      { kind: 'exec', count: 500 * 60 * minutes, rate: 500 },
      { kind: 'turns', count: 1_000 * 60 * minutes, rate: 1_000 },
      { kind: 'open', count: 20_000 * 60 * minutes, rate: 20_000 },
    ],
    figures: (seen) => ({
      'node before, MiB': seen.memoryBefore.node,
      'node, MiB': seen.memory.node,
      'bpftrace, MiB': seen.memory.bpftrace,
      lost: lost(seen),
    }),
    targets: { 'node, MiB': '<= 120', lost: '0' },
    bounds: { 'node, MiB': '<= 384', 'bpftrace, MiB': '<= 256' },
  },
]
/**
 * Before anything is measured: V8 compiles what it runs often, once in the sensor's life, and some of it only after some
 * 15,000 execs. Spread over the few thousand acts of a benchmark it would be most of what each seems to cost.
 */
const warmUp: readonly Load[] = [
  { kind: 'exec', count: 20_000, rate: 1_600, shares: 2 },
  { kind: 'turns', count: 16_000, rate: 2_000 },
]

const lines = everything.filter(({ name }) => only?.includes(name) !== false)

const scaled = (load: Load): Load =>
  load.kind === 'run' ? load : { ...load, count: Math.max(1, Math.round(load.count * portion)) }

const together = async (loads: readonly Load[]): Promise<Done> => {
  const [first, ...others] = await Promise.all(loads.map(scaled).map(run))
  if (!first) throw new Error('a line without loads')
  return others.length === 0
    ? first
    : { ...first, elapsed: Math.max(first.elapsed, ...others.map((done) => done.elapsed)) }
}

/** What the loads and bpftrace take where it runs this program alone. */
async function withLeast(
  least: string,
  loads: readonly Load[],
  { bare, path }: { bare: Done; path: string | undefined },
): Promise<Figures> {
  const bpftrace = await runAlone(least, path)
  try {
    const before = bpftrace.work()
    const done = await together(loads)
    return {
      'least: processor, x bare': done.worked / bare.worked,
      'least: bpftrace, us': (1e6 * (bpftrace.work() - before)) / done.count,
    }
  } finally {
    await bpftrace.stop()
  }
}

async function under(watched: Watched, line: Line, bare: Done | undefined): Promise<Seen> {
  const before = await watched.settled()
  const memoryBefore = watched.memory()
  const work = watched.work()
  const since = performance.now()
  const done = await together(line.loads)
  const elapsed = (performance.now() - since) / 1000
  await watched.idle() // asking for the counters is work, too: not before it has done that of the load
  const end = watched.work()
  const after = await watched.settled()
  return {
    bare,
    done,
    node: end.node - work.node,
    bpftrace: end.bpftrace - work.bpftrace,
    elapsed,
    before,
    after,
    memory: watched.memory(),
    memoryBefore,
  }
}

/** A directory whose `bpftrace` is this command. */
function called(command: string): string {
  const path = join(mkdtempSync(join(directory, 'path-')), 'bpftrace')
  writeFileSync(path, `#!/bin/sh\nexec ${command} "$@"\n`)
  chmodSync(path, 0o755)
  return join(path, '..')
}

async function measure(path: string | undefined): Promise<Map<string, Figures[]>> {
  const all = new Map<string, Figures[]>([['start', []], ...lines.map(({ name }): [string, Figures[]] => [name, []])])
  for (let round = 0; round < rounds; round++) {
    const bare = new Map<string, Done>()
    const least = new Map<string, Figures>()
    for (const line of lines) {
      if (!line.bare) continue
      const done = await together(line.loads)
      bare.set(line.name, done)
      if (line.least) least.set(line.name, await withLeast(line.least, line.loads, { bare: done, path }))
    }
    const watched = await watch(path)
    try {
      const before = watched.work()
      await together(warmUp)
      await watched.settled()
      const { node } = watched.work()
      all.get('start')?.push({
        'until it watches, s': watched.startup,
        'verified, million instructions': verified(watched.pids.bpftrace) / 1e6,
        'node warms up, s': node - before.node,
      })
      for (const line of lines) {
        if (line.name === 'memory' && round < rounds - 1) continue
        const figures = line.figures(await under(watched, line, bare.get(line.name)))
        all.get(line.name)?.push({ ...figures, ...least.get(line.name) })
      }
    } finally {
      await watched.stop()
    }
  }
  return all
}

const commands: [name: string, path: string | undefined][] = [["the machine's", undefined]]
if (values.bpftrace) commands.push([values.bpftrace, called(values.bpftrace)])
const starting = { what: 'start, until it watches', targets: { 'until it watches, s': '<= 10' }, bounds: {} }

function figuresOf(name: string, all: ReadonlyMap<string, readonly Figures[]>): Figure[] {
  return [...all].flatMap(([line, each]) => {
    const { what, targets, bounds = {} } = lines.find(({ name }) => name === line) ?? starting
    return Object.keys(each[0] ?? {}).map((figure): Figure => {
      const values = each.map((figures) => figures[figure] ?? Number.NaN)
      const [target, bound] = [targets, bounds].map((limits: Readonly<Record<string, string>>) => limits[figure])
      return {
        what: commands.length > 1 ? `${what} (bpftrace: ${name})` : what,
        figure,
        value: median(values),
        ...(target !== undefined && { target }),
        ...(bound !== undefined && { bound }),
        rounds: values,
      }
    })
  })
}

try {
  const figures: Figure[] = []
  for (const [name, path] of commands) figures.push(...figuresOf(name, await measure(path)))
  tell(figures, values.json)
} finally {
  rmSync(directory, { recursive: true })
  rmdirSync(cgroup)
}
