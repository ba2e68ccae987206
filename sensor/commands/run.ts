/** `nightjar run`: the daemon. */
import type { Logger } from 'pino'
import { createMetrics } from '../../exporters/metrics.ts'
import { type Condition, type MetricsServer, serveMetrics } from '../../exporters/server.ts'
import type { StdoutFormat } from '../../exporters/stdout.ts'
import { interests } from '../../rules/interests.ts'
import { loadRules, packPaths } from '../../rules/load.ts'
import { splitAddress } from '../address.ts'
import { type CaptureWriter, createCapture } from '../capture.ts'
import { filesNamed, watchFiles } from '../changed-files.ts'
import { type Config, loadConfig } from '../config.ts'
import { createRedactor, openExporting } from '../exporting.ts'
import { createJudge } from '../judge.ts'
import { openPresence } from '../presence.ts'
import { readiness } from '../readiness.ts'
import { requirements } from '../requirements.ts'
import { ending } from '../signals.ts'
import { openStream } from '../stream.ts'
import { version } from '../version.ts'

export interface RunOptions {
  config?: string
  rules: string[]
  builtinRules: boolean
  output?: StdoutFormat
  metrics?: string
  record?: string
  /** Milliseconds. */
  duration?: number
}

const defaultMetrics = '127.0.0.1:9464'
/** Stopping must be over in two seconds, whatever a receiver does. */
const closeWithin = 1200
/** Milliseconds between two looks at the clock. */
const tick = 1000

/** Runs until a signal or the end of `duration`. Rejects if the sensor can't run. */
export async function run(options: RunOptions, log: Logger): Promise<void> {
  const read = (): Config => (options.config === undefined ? {} : loadConfig(options.config))
  const rulesOf = (config: Config) =>
    loadRules(
      packPaths(options.builtinRules && config.builtinRules !== false, [...(config.rules ?? []), ...options.rules]),
    )

  const config = read()
  const rules = await rulesOf(config)
  const machine = await requirements()
  const metrics = createMetrics()
  const build = {
    version,
    nodejs: process.version,
    kernel: machine.get('kernel'),
    bpftrace: machine.get('bpftrace'),
  }
  metrics.describeBuild(build)
  let redact = createRedactor(config, metrics)
  const exporting = await openExporting(config, { ...options, metrics, log })
  const capture = options.record === undefined ? undefined : await createCapture(options.record, captureFailed(log))

  let judging = rules
  const judge = createJudge({
    rules,
    metrics,
    log,
    exporters: exporting.exporters,
    sensor: () => ({ node: stream.node, lostEvents: stream.lostEvents() }),
    redact: (alert) => redact(alert),
  })
  const stream = openStream({
    interests: interests(rules.rules),
    everyType: capture !== undefined,
    config,
    log,
    metrics,
    onEvent(event) {
      capture?.write(event)
      judge.judge(event)
      metrics.eventLatency.observe(Math.max(0, Date.now() - event.time) / 1000)
    },
  })

  const presence = openPresence({
    file: config.presenceFile,
    now: Date.now,
    gap: stream.gap,
    complain: (err) => log.warn({ err }, 'presenceFile: not written; the next sensor can not tell that this one ended'),
  })

  /** What is watched through what, and what of it isn't: known when the kernel has taken the program. */
  const describe = () => {
    const missing = stream.missing()
    if (missing.length > 0) log.warn({ missing }, 'not watched: this kernel, or its bpftrace, does not take it')
    metrics.describeBuild({
      ...build,
      backend: stream.backend(),
      ...(missing.length > 0 && { missing: missing.join(', ') }),
    })
  }

  // Where events are rare, what was awaited in vain is told by the clock. An event that comes first tells the same.
  const ticking = setInterval(() => {
    judge.advance(Date.now())
    if (stream.up()) presence.seeing()
  }, tick)

  let server: MetricsServer | undefined
  const stop = async () => {
    clearInterval(ticking)
    files?.close()
    if (stream.up()) presence.leaving()
    await stream.stop()
    await Promise.all([exporting.close(closeWithin), closeCapture(capture, log), server?.close()])
  }
  const reload = async () => {
    try {
      files?.known()
      const next = read()
      named = filesNamed(next, options)
      const nextRules = await rulesOf(next)
      const nextRedact = createRedactor(next, metrics)
      await stream.want(interests(nextRules.rules))
      try {
        await exporting.use(next)
      } catch (error) {
        // The rules that stay would wait in vain for what the new ones did not ask for.
        await stream.want(interests(judging.rules))
        throw error
      }
      describe()
      redact = nextRedact
      judge.use(nextRules)
      judging = nextRules
      giveBack()
      log.info({ rules: nextRules.rules.length }, 'rules and receivers reloaded; metrics and kubernetes want a restart')
    } catch (error) {
      log.error({ err: error }, 'not reloaded: the rules and the configuration from before stay')
    }
  }

  // One after the other: the last one counts.
  let reloaded = stream.started.catch(() => {})
  const onHangup = () => {
    reloaded = reloaded.then(reload)
  }

  let named = filesNamed(config, options)
  const files = config.watchFiles === false ? undefined : watchFiles({ paths: () => named, changed: onHangup })

  const end = ending(options.duration, stream.started)
  process.on('SIGHUP', onHangup)
  try {
    const ready = () => readiness({ probeUp: stream.up(), rules: judging.rules })
    server = await listen(options.metrics ?? config.metrics?.address, metrics.registry, ready, log)
    await Promise.race([stream.started, end])
    describe()
    if (stream.up()) log.info({ version, rules: rules.rules.length, node: stream.node }, 'watching')
    giveBack()
    const why = await end
    log.info({ why, lost_events: stream.lostEvents() }, 'stopping')
  } finally {
    process.off('SIGHUP', onHangup)
    await stop()
  }
}

/**
 * Collects what reading rules and making the kernel program left, tens of MiB that V8 would keep until as much has come on
 * top. Takes some 50 ms, so only when that is done. Where node was started without --expose-gc, V8 does as it likes.
 */
const giveBack = () => globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })

/** Listens where it was told to; the default address may be taken by another sensor, which is no reason not to run. */
async function listen(
  address: string | undefined,
  registry: ReturnType<typeof createMetrics>['registry'],
  ready: () => Condition,
  log: Logger,
): Promise<MetricsServer | undefined> {
  const { host, port } = splitAddress(address ?? defaultMetrics)
  try {
    const server = await serveMetrics({
      host,
      port,
      registry,
      healthy: () => ({ ok: true }),
      ready,
    })
    log.info({ address: `${host}:${server.port}` }, 'metrics')
    return server
  } catch (error) {
    if (address !== undefined) throw error
    log.warn({ err: error }, `no metrics: ${defaultMetrics} is taken; give another address with --metrics`)
    return undefined
  }
}

export const captureFailed = (log: Logger) => (error: Error) =>
  log.error({ err: error }, 'the capture can not be written any further')

/** Sets the exit code 1 if the capture is not whole. */
export async function closeCapture(capture: CaptureWriter | undefined, log: Logger): Promise<void> {
  await capture?.close().catch((error: Error) => {
    log.error({ err: error }, 'the capture is not whole')
    process.exitCode = 1
  })
}
