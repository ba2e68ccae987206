/**
 * An API server that is away for an hour, for real: `sudo npm run soak:api-server`.
 *
 *   --minutes N   how long it is away, 60 by default
 *
 * The sensor runs as its user runs it, with bpftrace, on real processes in cgroups with kubelet-style names. A known pod
 * and one that is made during the outage act once a second each, throughout. Then the server is back, restored from a
 * backup: its versions count anew, other pods are there, and a binding that was made meanwhile. What has to hold, and is
 * told: every act of the known pod is an alert, in time marked stale; the newcomer's are alerts too, of nobody known;
 * within 30 s of its return all that is new is in the alerts. A line a minute; exit code 1 where something does not hold.
 */
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { V1ClusterRoleBinding, V1Pod } from '@kubernetes/client-node'
import { openCgroups } from '../../enrich/cgroups.ts'
import type { Alert } from '../../sensor/alert.ts'
import { resident, worked } from '../bench/watched.ts'
import { recordedObject, recordedPod, startApiServer } from '../enrich/api-server.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '60' } } })
const minutes = Number(values.minutes)
const limits = { staleMs: 30_000, convergedMs: 30_000 }
const secondsBefore = 15
const secondsAfter = 60

type Actor = { name: string; pod: V1Pod; cgroup: string; acts: number }
type Seen = { actor: string; number: number; at: number; alert: Alert }

const directory = mkdtempSync(join(tmpdir(), 'nightjar-soak-'))
const shell = join(directory, 'shell')
const own = `${openCgroups().hierarchy}/nightjar-soak-${process.pid}`
const containerOf = ({ status }: V1Pod) =>
  status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? ''
const actor = (name: string, pod: V1Pod): Actor => ({
  ...{ name, pod, acts: 0 },
  cgroup: `${own}/kubepods/burstable/pod${pod.metadata?.uid}/${containerOf(pod)}`,
})
// An account without rights of its own, so that the new binding shows.
const known = actor('known', recordedPod('payments-api-67c6d9cb87-sp7ds'))
const newcomer = actor('newcomer', recordedPod('postgres-0'))

const clock = () => new Date().toISOString().slice(11, 19)
const say = (text: string) => process.stdout.write(`${clock()} ${text}\n`)
const problems: string[] = []
const expectThat = (holds: boolean, claim: string) => {
  say(`${holds ? 'holds' : 'DOES NOT HOLD'}: ${claim}`)
  if (!holds) problems.push(claim)
}

const rule = {
  pack: 'soak',
  version: '1',
  rules: [
    {
      ...{ id: 'act', name: 'An act', on: ['exec'], severity: 'info', message: '{process.command_line}', tests: [] },
      when: { 'process.command_line': { contains: ' -c : soak ' } },
    },
  ],
}

/**
 * One process in the actor's container, to its end. Each is a program of its own name: what one program does again and
 * again would be folded into one alert that counts.
 */
async function act(one: Actor): Promise<void> {
  one.acts += 1
  const program = join(directory, `${one.name}-${one.acts}`)
  linkSync(shell, program)
  const script = `echo $$ > "$0" && exec "$1" -c "$2"`
  const args = [join(one.cgroup, 'cgroup.procs'), program, `: soak ${one.name} ${one.acts}`]
  const child = spawn('sh', ['-c', script, ...args], { stdio: 'ignore' })
  await new Promise((resolve) => child.once('close', resolve))
  rmSync(program)
}

async function startSensor(kubeconfig: string, take: (alert: Alert) => void) {
  writeFileSync(join(directory, 'kubeconfig'), kubeconfig)
  writeFileSync(join(directory, 'rules.json'), JSON.stringify(rule))
  const kubernetes = { kubeconfig: join(directory, 'kubeconfig'), nodeName: 'node-a' }
  const spiffe = { trustDomain: 'example.org' }
  const exporters = { spool: { directory: join(directory, 'spool') } }
  writeFileSync(
    join(directory, 'config.json'),
    JSON.stringify({ kubernetes, cri: { socket: null }, spiffe, exporters }),
  )
  const args = [
    '--config',
    join(directory, 'config.json'),
    '--no-builtin-rules',
    '--rules',
    join(directory, 'rules.json'),
  ]
  const main = join(import.meta.dirname, '../../sensor/main.ts')
  const child = spawn(process.execPath, [main, 'run', '--output', 'json', '--metrics', '127.0.0.1:0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ready = Promise.withResolvers<void>()
  createInterface(child.stdout).on('line', (line) => take(JSON.parse(line)))
  createInterface(child.stderr).on('line', (line) => {
    const { level, msg, time: _, pid: __, hostname: ___, ...fields } = line.startsWith('{') ? JSON.parse(line) : {}
    if (msg === 'watching') ready.resolve()
    if (level !== undefined && level !== 'info' && level !== 30) say(`sensor: ${msg} ${JSON.stringify(fields)}`)
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  exited.then((code) => ready.reject(new Error(`the sensor ended with ${code}`)))
  await ready.promise
  const pid = child.pid ?? 0
  return {
    memory: () => resident(pid),
    work: () => worked(pid),
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

const seen: Seen[] = []
const seenOf = ({ name }: Actor) => seen.filter(({ actor }) => actor === name)
const take = (alert: Alert) => {
  const [, actor, number] = / -c : soak (\w+) (\d+)$/.exec(alert.message) ?? []
  if (actor) seen.push({ actor, number: Number(number), at: Date.parse(alert.time), alert })
}

/** Each acts once a second, for so many seconds; ends early when `enough` says so. */
async function actFor(seconds: number, actors: Actor[], enough = () => false): Promise<void> {
  const until = performance.now() + seconds * 1000
  for (let next = performance.now(); next < until && !enough(); next += 1000) {
    await Promise.all(actors.map(act))
    await sleep(Math.max(0, next + 1000 - performance.now()))
  }
}

function told(sensor: { memory(): number; work(): number }): string {
  const last = (one: Actor) => seenOf(one).at(-1)?.alert.identity?.freshness ?? 'none'
  const acts = [known, newcomer].map(
    (one) => `${one.name} ${one.acts} acts, ${seenOf(one).length} alerts (${last(one)})`,
  )
  return `${acts.join('; ')}; ${sensor.memory().toFixed(0)} MiB, ${sensor.work().toFixed(1)} s of a core`
}

const isAll = (one: Actor) => new Set(seenOf(one).map(({ number }) => number)).size === one.acts
const since = (at: number, found: Seen | undefined) => (found ? found.at - at : Number.POSITIVE_INFINITY)
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

async function soak(): Promise<void> {
  const api = await startApiServer({ pods: [known.pod] })
  const sensor = await startSensor(api.kubeConfig.exportConfig(), take)
  try {
    for (const { cgroup } of [known, newcomer]) mkdirSync(cgroup, { recursive: true })
    await actFor(secondsBefore, [known])
    const workBefore = sensor.work()
    const wentAway = Date.now()
    await api.stop()
    say(`the API server is away, for ${minutes} minutes; ${told(sensor)}`)
    for (let minute = 1; minute <= minutes; minute++) {
      await actFor(60, [known, newcomer])
      say(`minute ${minute}: ${told(sensor)}`)
    }
    const work = (sensor.work() - workBefore) / minutes
    const askedBefore = api.asked.length
    api.restore(
      [known, newcomer].map(({ pod }) => ({ ...pod, metadata: { ...pod.metadata, labels: { soak: 'restored' } } })),
    )
    const admin = recordedObject<V1ClusterRoleBinding>('clusterrolebindings.json', 'legacy-admin')
    const { namespace } = known.pod.metadata ?? {}
    api.putObject('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      ...{ ...admin, metadata: { name: 'made-meanwhile' } },
      ...{ subjects: [{ kind: 'ServiceAccount', namespace, name: known.pod.spec?.serviceAccountName }] },
    })
    const cameBack = Date.now()
    await api.startAgain()
    say('the API server is back')
    const converged = ({ alert, at }: Seen) =>
      at >= cameBack && alert.identity?.freshness === 'live' && alert.k8s?.pod?.label?.soak === 'restored'
    const isAdmin = ({ alert }: Seen) => alert.identity?.blast_radius?.level === 'critical'
    const knownIsBack = () => seenOf(known).find((one) => converged(one) && isAdmin(one))
    const newcomerIsBack = () => seenOf(newcomer).find(converged)
    await actFor(secondsAfter, [known, newcomer], () => Boolean(knownIsBack() && newcomerIsBack()))
    await actFor(5, [known, newcomer])
    for (let patience = 0; patience < 50 && !(isAll(known) && isAll(newcomer)); patience++) await sleep(200)

    say(`at the end: ${told(sensor)}; ${seconds(work * 1000)} of a core a minute while it was away`)
    say(`requests of the sensor in the time of its return: ${api.asked.length - askedBefore}`)
    const away = seen.filter(({ at }) => at >= wentAway && at < cameBack)
    const stale = seenOf(known).find(({ alert, at }) => at >= wentAway && alert.identity?.freshness === 'stale')
    const afterStale = away.filter(({ actor, at }) => actor === 'known' && at >= (stale?.at ?? 0))
    expectThat(isAll(known) && isAll(newcomer), `every act is an alert: ${known.acts + newcomer.acts} of them`)
    expectThat(
      seenOf(known).every(({ alert }) => alert.k8s?.pod?.name === known.pod.metadata?.name),
      'every alert of the known pod names it',
    )
    expectThat(
      away.every(({ actor, alert }) => actor === 'known' || alert.identity?.subject === undefined),
      'no identity is made up for the newcomer while nobody knows it',
    )
    expectThat(since(wentAway, stale) < limits.staleMs, `marked stale after ${seconds(since(wentAway, stale))}`)
    expectThat(
      afterStale.every(({ alert }) => alert.identity?.freshness === 'stale'),
      `and from then on, until it is back: ${afterStale.length} alerts`,
    )
    for (const [what, found] of [
      ['the known pod, its new label and its new rights', knownIsBack()],
      ['the newcomer', newcomerIsBack()],
    ] as const)
      expectThat(
        since(cameBack, found) < limits.convergedMs,
        `${what}: live ${seconds(since(cameBack, found))} after its return`,
      )
  } finally {
    await sensor.stop()
    await api.stop()
  }
}

function removeCgroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(path, entry.name))
  rmdirSync(path)
}

try {
  mkdirSync(own)
  copyFileSync(realpathSync('/bin/sh'), shell)
  await soak()
} finally {
  removeCgroup(own)
  rmSync(directory, { recursive: true })
}
process.exitCode = problems.length > 0 ? 1 : 0
