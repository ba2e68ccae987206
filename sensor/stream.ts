/** The live stream: bpftrace -> records -> acts in order -> events of known processes -> enriched events. */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, release } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import type { Logger } from 'pino'
import { usesVersion1 } from '../bpf/architecture.ts'
import type { Interests } from '../bpf/interest.ts'
import { tracepointsOf } from '../bpf/tracepoints.ts'
import { processPath } from '../enrich/cgroups.ts'
import { type Kubernetes, kubernetesFrom } from '../enrich/kubernetes.ts'
import type { Metrics } from '../exporters/metrics.ts'
import type { Act } from './assemble.ts'
import { readsOneBuffer, skippedRuns } from './buffers.ts'
import { createClock } from './clock.ts'
import type { Config } from './config.ts'
import { parseDuration } from './duration.ts'
import { openEnriching } from './enriching.ts'
import type { Event } from './event.ts'
import { createHandover } from './handover.ts'
import { createKernelProgram } from './kernel-program.ts'
import { followLostEnds } from './lost-ends.ts'
import { createOrder } from './order.ts'
import { type Gap, type Probe, startProbe } from './probe.ts'
import { runningProcesses } from './proc.ts'
import { createProcessTable } from './processes.ts'
import { UsageError } from './usage.ts'

export interface Stream {
  /** Resolves when events flow; rejects if they can't. */
  readonly started: Promise<void>
  readonly node: string
  up(): boolean
  lostEvents(): number
  /** Tells of a gap that this sensor could not see: the one before it. */
  gap(gap: Gap): void
  /** What of the kernel program this kernel, or its bpftrace, doesn't take, and so is not watched; see nameOf. */
  missing(): string[]
  /** What the kernel is watched through. */
  backend(): string
  /**
   * Sends these events from when it resolves; the kernel program is exchanged if it is another one for them, without a
   * blind moment. Rejects if the new one can't be attached: the events stay what they were.
   */
  want(interests: Interests): Promise<void>
  /** Stops bpftrace and sends on what is under way. */
  stop(): Promise<void>
}

/** Milliseconds that an act waits for those that come late from another CPU's buffer. */
const orderWindow = 5
/** Milliseconds from the first word of a new probe to the moment it takes over, and then until the one before is read to its end. */
const handoverAfter = 100
const lastLines = 1000
/** include/linux/proc_ns.h, PROC_PID_INIT_INO */
const initialPidNamespace = 'pid:[4026531836]'

/** Throws UsageError if a cluster is configured and can't be used. */
function kubernetesOf(config: Config): Kubernetes | undefined {
  try {
    return kubernetesFrom({ enabled: 'auto', ...config.kubernetes })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** Starts bpftrace at once. Throws UsageError if the cluster that the configuration names can't be used. */
export function openStream(options: {
  interests: Interests
  config: Config
  log: Logger
  metrics: Metrics
  /** Also the events that the kernel sends for the process table's sake, whether or not they are asked for. */
  everyType?: boolean
  onEvent(event: Event): void
}): Stream {
  const { config, log, metrics, onEvent } = options
  const kubernetes = kubernetesOf(config)
  const node = kubernetes?.nodeName ?? hostname()
  const inPod = kubernetes?.source === 'service account'
  // In a pod the host name is the pod's own; hostPID does not change that.
  const host = { name: inPod ? node : hostname(), kernel: release() }
  const clock = createClock({
    wall: Date.now,
    monotonic: process.hrtime.bigint,
    uptime: () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000,
  })

  const seesAll = readlinkSync('/proc/self/ns/pid') === initialPidNamespace
  const version1 = usesVersion1()
  const version1Of = version1 && seesAll ? processPath : undefined

  let { interests } = options
  let up = false
  let lostEvents = 0
  const kernelProgram = createKernelProgram({
    tracepoints: tracepointsOf,
    onRefused: (left_out, complaint) =>
      log.warn({ left_out, complaint }, 'bpftrace refused a part of the kernel program; going on without it'),
  })

  const enricher = openEnriching({
    config,
    kubernetes,
    host,
    hostUsers: !inPod,
    seesAll,
    usesVersion1: version1,
    log,
    emit(event) {
      // It comes from no process, and so not through the table that counts them.
      if (event.type === 'posture') metrics.events.inc({ type: event.type })
      onEvent(event)
    },
    onResult: (result) => metrics.enrichment.inc({ result }),
  })
  if (kubernetes) log.info({ node, source: kubernetes.source }, 'watching the pods of this node')
  else log.info({ node }, 'standalone: no Kubernetes; identity is the host user and the container')

  const table = createProcessTable(
    clock,
    (event, where) => {
      metrics.events.inc({ type: event.type })
      enricher.push(event, where)
    },
    (type) => {
      if (options.everyType || interests.has(type)) return false
      metrics.events.inc({ type })
      return true
    },
    version1Of,
  )

  const order = createOrder<Act>(
    {
      window: orderWindow,
      now: clock.now,
      after: (ms, run) => globalThis.setTimeout(run, ms),
      putOff: ({ act }) => act === 'fork' || act === 'exit',
    },
    (act) => {
      if (act.act === 'cgroup') enricher.cgroupMade(act.id, act.path)
      else if (act.act === 'cgroup_removed') enricher.cgroupRemoved(act.id)
      else table.apply(act)
    },
  )

  let beats = 0
  let skipped = { pid: 0, runs: 0 }
  /** It reads a file for each of bpftrace's descriptors: every ten seconds will do. */
  const countSkipped = () => {
    if (beats++ % 10 !== 0) return
    const pid = running.pid() ?? 0
    const runs = skippedRuns(pid)
    const before = skipped.pid === pid ? skipped.runs : 0
    metrics.programsSkipped.inc(Math.max(0, runs - before))
    skipped = { pid, runs }
  }

  const isUp = (now: boolean) => {
    up = now
    metrics.probeUp.set(Number(now))
  }

  const lostEnds = followLostEnds({ sweep: table.sweep })
  const prime = () => {
    if (seesAll) return table.prime(runningProcesses())
    log.warn({}, 'in a nested PID namespace (hostPID is off, or a node in a container): what ran before is unknown')
  }

  const gap = ({ reason, seconds, lostEvents, detail }: Gap) => {
    metrics.events.inc({ type: 'gap' })
    onEvent({
      type: 'gap',
      time: Date.now(),
      gap: {
        reason,
        ...(seconds !== undefined && { seconds }),
        ...(lostEvents !== undefined && { lost_events: lostEvents }),
        ...(detail !== undefined && { detail }),
      },
      host,
      ...(kubernetes && { k8s: { node: { name: node } } }),
    })
  }

  const startLimit = config.probe?.startTimeout === undefined ? undefined : parseDuration(config.probe.startTimeout)
  const probe = (tell: { act(act: Act): void }): Probe =>
    startProbe({
      ...(startLimit !== undefined && { startLimit }),
      program: () => kernelProgram.text(interests),
      refused: kernelProgram.refused,
      log,
      // /proc is asked at once: when the act's turn comes, the process may have ended.
      onAct: (act) => tell.act(act.act === 'cgroup_joined' ? { ...act, path: version1Of?.(act.pid) } : act),
      onTold: order.told,
      onUp(pid) {
        order.oneBuffer(successor === undefined && readsOneBuffer(pid))
        isUp(true)
        prime()
      },
      onDown() {
        order.flush()
        isUp(false)
      },
      onGap: gap,
      onLoss(stage, count, type) {
        lostEvents += count
        if (stage !== 'shed' && seesAll) lostEnds.lost()
        metrics.eventsLost.inc({ stage }, count)
        if (type) metrics.eventsShed.inc({ type }, count)
      },
      now: clock.now,
      onHeartbeat() {
        clock.refresh()
        countSkipped()
      },
      onRestart: () => metrics.probeRestarts.inc(),
    })
  // What happens before the first word of the kernel side is told must have a name, too.
  prime()
  let telling = { act: order.push }
  let running = probe(telling)
  /** The one that is being attached to take over. */
  let successor: Probe | undefined
  let stopped = false

  const alone = () => {
    successor = undefined
    order.oneBuffer(readsOneBuffer(running.pid() ?? 0))
  }
  /** Resolves when the new program tells; rejects, and the one before goes on, if it can't be attached. */
  const replace = async () => {
    const handover = createHandover<Act>(order.push)
    order.oneBuffer(false) // but two, for a while
    // Whose it is must be known from its first act on.
    const next = { act: (act: Act) => (act.act === 'sensor' ? order.push(act) : handover.coming(act)) }
    telling.act = handover.leaving
    successor = probe(next)
    try {
      await successor.started
    } catch (error) {
      telling.act = order.push
      alone()
      throw error
    }
    if (stopped) return await successor.stop()
    handover.at(clock.now() + handoverAfter * 1e6)
    await setTimeout(handoverAfter + lastLines)
    await running.stop()
    next.act = order.push
    telling = next
    running = successor
    alone()
  }

  return {
    started: running.started,
    node,
    up: () => up,
    lostEvents: () => lostEvents,
    gap,
    missing: () => kernelProgram.missing(interests),
    backend: () => kernelProgram.backend(interests),
    async want(wanted) {
      const before = interests
      if (kernelProgram.text(wanted) === kernelProgram.text(before)) {
        interests = wanted
        return
      }
      interests = wanted
      try {
        await replace()
      } catch (error) {
        interests = before
        throw error
      }
    },
    async stop() {
      stopped = true
      lostEnds.close()
      await Promise.all([running.stop(), successor?.stop()])
      order.flush()
      enricher.close()
    },
  }
}
