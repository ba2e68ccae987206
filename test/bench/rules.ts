/**
 * Events a second through the rule engine, for rule sets of growing size: `node test/bench/rules.ts`.
 *
 * The rules are the shipped packs; and, to see what their number costs, sets of one mix: rules about programs, paths, ports,
 * addresses, arguments, parents and labels, each asking for constants of its own beside conditions that many share. The
 * more of these there are, the more events match one. The events are the demo capture, over and over with other times, pids and names, among the ordinary work of a node.
 *
 * As in the sensor, an event is judged just after it was made: some hundred at a time, and the making of them doesn't
 * count. (A stream of 50,000 that is made beforehand is 150 MB, and most of what would be measured is the memory's time to
 * fetch it.) Each round takes all sets in turn, so that what else the machine does falls on all of them. Figures are the
 * best times that the rounds had for each of these batches, added up: a busy machine changes them little. Beside them is
 * the best whole round, with what the garbage collector and others took from it. One process, on one core.
 */
import { join } from 'node:path'
import { createEngine } from '../../rules/engine.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { readPacks } from '../../rules/pack.ts'
import type { RuleSet } from '../../rules/rule.ts'
import { readCapture } from '../../sensor/capture.ts'
import type { Event } from '../../sensor/event.ts'
import { keep, options } from './figures.ts'

const { quick, json } = options()
const sizes = [10, 100, 1000, 5000]
const rounds = quick ? 2 : 15
const streamLength = 50_000
const atOnce = 500

/** Conditions as analysts write them; `n` gives each rule its own constants. */
const kinds: readonly ((n: number) => object)[] = [
  (n) => ({ on: ['exec'], when: { 'process.name': `tool${n}`, 'container.id': { exists: true } } }),
  (n) => ({ on: ['exec'], when: { 'process.executable.path': { startsWith: `/opt/agent${n}/` } } }),
  (n) => ({
    on: ['exec'],
    when: {
      'process.name': { in: [`cli${n}`, `cli${n}.real`] },
      'process.command_line': { regex: `(?i)--token[= ]\\S{${n % 30},}` },
    },
  }),
  (n) => ({
    on: ['connect'],
    when: { 'destination.port': 10_000 + n, not: { 'destination.ip': { cidr: ['10.0.0.0/8', 'fd00::/8'] } } },
  }),
  (n) => ({ on: ['connect'], when: { 'destination.ip': `198.18.${n >> 8}.${n & 255}`, 'network.transport': 'tcp' } }),
  (n) => ({ on: ['exec'], when: { 'process.command_args': { in: [`--steal-${n}`] }, 'process.user.id': 0 } }),
  (n) => ({
    on: ['exec'],
    when: {
      all: [{ 'process.parent.name': `server${n}` }, { any: [{ 'process.name': 'bash' }, { 'process.name': 'dash' }] }],
    },
  }),
  (n) => ({
    on: ['exec', 'stdio'],
    when: { 'process.stdin.type': 'socket', 'k8s.pod.label.app': `shop${n}`, 'process.name': { glob: '*sh' } },
  }),
  (n) => ({
    on: ['exit'],
    when: { 'process.exit_code': { gt: 128 }, 'process.executable.path': { endsWith: `/worker${n}` } },
  }),
]

function ruleSetOf(size: number): RuleSet {
  const rules = Array.from({ length: size }, (_, n) => {
    return { id: `rule-${n}`, name: 'R', severity: 'low', message: '{process.name}', ...kinds[n % kinds.length]?.(n) }
  })
  const { ruleSet, problems } = readPacks([{ file: 'bench.json', value: { pack: 'bench', version: '1', rules } }])
  if (problems[0]) throw new Error(problems[0].message)
  return ruleSet
}

const programs = [
  'bash',
  'ls',
  'nginx',
  'postgres',
  'node',
  'python3.11',
  'git',
  'gcc',
  'make',
  'sed',
  'runc',
  'sshd',
  'cron',
  'cat',
]

/** What a node does all day. */
function ordinary(n: number, time: number): Event {
  // One in ten is a program that a rule asks for, if there are rules enough.
  const name = n % 10 === 0 ? `tool${9 * (n % 555)}` : (programs[n % programs.length] ?? 'sh')
  const person = (pid: number, at: number) => {
    const program = programs[at % programs.length] ?? 'sh'
    return { pid, start_time: pid, name: program, executable: { path: `/usr/bin/${program}`, name: program } }
  }
  const process = {
    ...person(1000 + n, n),
    name,
    ppid: 900,
    command_args: [name, '--option', `/srv/data/${n % 1000}`],
    command_line: `${name} --option /srv/data/${n % 1000}`,
    working_directory: '/srv',
    user: { id: n % 3 },
    stdin: { type: 'null' },
    stdout: { type: 'pipe' },
    ancestors: [person(900, n + 3), person(800, n + 5), person(1, n + 7)],
  }
  const around = {
    container: { id: `container${n % 50}`, image: { name: 'registry/shop:1' } },
    k8s: { namespace: { name: 'shop' }, pod: { name: `cart-${n % 50}`, label: { app: 'cart', tier: 'web' } } },
    identity: { subject: 'system:serviceaccount:shop:cart' },
  }
  const connect = {
    destination: { ip: `10.0.${n % 200}.7`, port: [443, 5432, 6379, 80][n % 4] ?? 443 },
    network: { transport: 'tcp', type: 'ipv4' },
  }
  const type = (['exec', 'exit', 'connect', 'exec', 'exit', 'stdio'] as const)[n % 6] ?? 'exec'
  return { type, time, process, ...around, ...(type === 'connect' && connect) }
}

const recorded: Event[] = []
await readCapture(join(import.meta.dirname, '../captures/demo.nightjar'), (event) => recorded.push(event))

function eventAt(n: number): Event {
  const time = Date.UTC(2027, 0) + n
  const event = recorded[(n >> 2) % recorded.length]
  if (n % 4 !== 0 || event === undefined) return ordinary(n, time)
  return { ...event, time, ...(event.process && { process: { ...event.process, pid: n } }) }
}

/** Milliseconds in the engine for each batch of the stream; and what it did. */
function judgeAll(rules: RuleSet) {
  const engine = createEngine(rules, {
    onError: (id, error) => {
      throw new Error(`the rule ${id} failed`, { cause: error })
    },
    onSuppressed: () => undefined,
  })
  let alerts = 0
  const spent = Array.from({ length: streamLength / atOnce }, (_, batch) => {
    const events = Array.from({ length: atOnce }, (_, n) => eventAt(batch * atOnce + n))
    const since = performance.now()
    for (const event of events) alerts += engine.judge(event).length
    return performance.now() - since
  })
  return { spent, alerts, evaluations: engine.evaluations() }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)

const shipped = await loadRules([builtinPacks()])
const sets = [
  { name: `shipped (${shipped.rules.length})`, rules: shipped },
  ...sizes.map((size) => ({ name: String(size), rules: ruleSetOf(size) })),
  { name: 'shipped + 5000', rules: { rules: [...shipped.rules, ...ruleSetOf(5000).rules], remarks: [] } },
].map((set) => ({ ...set, best: [] as number[], round: Infinity, alerts: 0, evaluations: 0 }))

for (let round = 0; round < rounds; round++) {
  for (const set of sets) {
    const { spent, ...did } = judgeAll(set.rules)
    const best = spent.map((time, batch) => Math.min(time, set.best[batch] ?? Infinity))
    Object.assign(set, did, { best, round: Math.min(set.round, sum(spent)) })
  }
}
const hundred = sum(sets.find(({ name }) => name === '100')?.best ?? [])
const perSecond = (time: number) => Math.round(streamLength / (time / 1000)).toLocaleString('en')

process.stdout.write(`${streamLength} events, ${rounds} rounds\n`)
process.stdout.write(
  'rules            events/s   us/event   time vs 100 rules   best round   rules asked/event   alerts\n',
)
for (const { name, best, round, alerts, evaluations } of sets) {
  const columns = [
    name.padEnd(15),
    perSecond(sum(best)).padStart(10),
    ((sum(best) * 1000) / streamLength).toFixed(2).padStart(11),
    `${(sum(best) / hundred).toFixed(2)}x`.padStart(20),
    perSecond(round).padStart(13),
    (evaluations / streamLength).toFixed(2).padStart(20),
    String(alerts).padStart(9),
  ]
  process.stdout.write(`${columns.join('')}\n`)
}

const figures = sets.map(({ name, best }) => ({
  what: `judge an event by ${name} rules`,
  figure: 'events/s',
  value: Math.round(streamLength / (sum(best) / 1000)),
  baseline: { what: 'with 100 rules', value: Math.round(streamLength / (hundred / 1000)) },
  ...(name.startsWith('shipped (') && { target: '>= 500,000' }),
}))
const largest = sum(sets.find(({ name }) => name === '5000')?.best ?? []) / hundred
const growth = { what: 'from 100 rules to 5000', figure: 'x the time', value: largest, target: '<= 2' }
keep([...figures, growth], json)
