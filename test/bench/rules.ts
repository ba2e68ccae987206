/**
 * Events a second through the rule engine, for rule sets of growing size: `node test/bench/rules.ts`.
 *
 * The rules are the shipped pack, filled up with rules about programs, paths, ports, addresses, arguments, parents and
 * labels, each asking for constants of its own beside conditions that many share. The events are the demo capture, over
 * and over with other times, pids and names, among the ordinary work of a node. Figures are the best of some rounds, in
 * one process on one core.
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
const rounds = quick ? 2 : 5
const streamLength = 50_000

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

function ruleSetOf(size: number, shipped: RuleSet): RuleSet {
  const rules = Array.from({ length: Math.max(0, size - shipped.rules.length) }, (_, n) => {
    return { id: `rule-${n}`, name: 'R', severity: 'low', message: '{process.name}', ...kinds[n % kinds.length]?.(n) }
  })
  const { ruleSet, problems } = readPacks([{ file: 'bench.json', value: { pack: 'bench', version: '1', rules } }])
  if (problems[0]) throw new Error(problems[0].message)
  return { rules: [...shipped.rules, ...ruleSet.rules], remarks: [] }
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

async function stream(): Promise<Event[]> {
  const recorded: Event[] = []
  await readCapture(join(import.meta.dirname, '../captures/demo.nightjar'), (event) => recorded.push(event))
  return Array.from({ length: streamLength }, (_, n) => {
    const time = Date.UTC(2027, 0) + n
    const event = recorded[(n >> 2) % recorded.length]
    if (n % 4 !== 0 || event === undefined) return ordinary(n, time)
    return { ...event, time, ...(event.process && { process: { ...event.process, pid: n } }) }
  })
}

/** Milliseconds for the whole stream, of the best round; and what the engine did in one. */
function measure(rules: RuleSet, events: readonly Event[]) {
  let best = Infinity
  let alerts = 0
  let evaluations = 0
  for (let round = 0; round < rounds; round++) {
    const engine = createEngine(rules, {
      onError: (id, error) => {
        throw new Error(`the rule ${id} failed`, { cause: error })
      },
      onSuppressed: () => undefined,
    })
    alerts = 0
    const since = performance.now()
    for (const event of events) alerts += engine.judge(event).length
    best = Math.min(best, performance.now() - since)
    evaluations = engine.evaluations()
  }
  return { best, alerts, evaluations }
}

const shipped = await loadRules([builtinPacks()])
const events = await stream()
const sets = [
  { name: 'shipped', rules: shipped },
  ...sizes.map((size) => ({ name: String(size), rules: ruleSetOf(size, shipped) })),
]
const results = sets.map(({ name, rules }) => ({ name, ...measure(rules, events) }))
const hundred = results.find(({ name }) => name === '100')?.best ?? Number.NaN

process.stdout.write(`${events.length} events, best of ${rounds} rounds\n`)
process.stdout.write('rules     events/s   us/event   time vs 100 rules   rules asked/event   alerts\n')
for (const { name, best, alerts, evaluations } of results) {
  const columns = [
    name.padEnd(8),
    Math.round(events.length / (best / 1000))
      .toLocaleString('en')
      .padStart(10),
    ((best * 1000) / events.length).toFixed(2).padStart(11),
    `${(best / hundred).toFixed(2)}x`.padStart(20),
    (evaluations / events.length).toFixed(2).padStart(20),
    String(alerts).padStart(9),
  ]
  process.stdout.write(`${columns.join('')}\n`)
}

const perSecond = (best: number) => events.length / (best / 1000)
const figures = results.map(({ name, best }) => ({
  what: `judge an event by ${name === 'shipped' ? `the ${shipped.rules.length} shipped` : name} rules`,
  figure: 'events/s',
  value: perSecond(best),
  baseline: { what: 'with 100 rules', value: perSecond(hundred) },
  ...(name === 'shipped' && { target: '>= 500,000' }),
}))
const largest = (results.at(-1)?.best ?? Number.NaN) / hundred
const growth = { what: 'from 100 rules to 5000', figure: 'x the time', value: largest, target: '<= 2' }
keep([...figures, growth], json)
