/** The exporters that the configuration and the command line ask for. */
import type { Logger } from 'pino'
import { type Dispatch, openDispatch } from '../exporters/dispatch.ts'
import type { Exporter } from '../exporters/exporter.ts'
import { file } from '../exporters/file.ts'
import { type ApiServerPost, kubernetesEvents } from '../exporters/kubernetes-events.ts'
import type { Metrics } from '../exporters/metrics.ts'
import { otlp } from '../exporters/otlp.ts'
import type { Receiver } from '../exporters/receiver.ts'
import { redactor } from '../exporters/redaction.ts'
import { type StdoutFormat, stdoutExporter } from '../exporters/stdout.ts'
import { syslog } from '../exporters/syslog.ts'
import { webhook } from '../exporters/webhook.ts'
import type { Alert } from './alert.ts'
import { parseBytes } from './bytes.ts'
import type { Config } from './config.ts'
import { parseDuration } from './duration.ts'
import { UsageError } from './usage.ts'

type Exporters = NonNullable<Config['exporters']>

/** The kinds of receivers, and what of the configuration makes them. */
const kinds: ((exporters: Exporters, config: Config) => Promise<Receiver[]>)[] = [
  ({ webhooks = [] }) => Promise.all(webhooks.map((config) => webhook(config))),
  async (exporters) => present(await otlp(exporters.otlp)),
  async (exporters) => present(await syslog(exporters.syslog)),
  async (exporters) => present(file(exporters.file)),
  async (exporters, config) => present(await kubernetesEvents(exporters.kubernetesEvents, () => apiServer(config))),
]

/** Rejects with an error for a person where there is no cluster. */
async function apiServer({ kubernetes }: Config): Promise<ApiServerPost> {
  const { kubernetesFrom } = await import('../enrich/kubernetes.ts')
  const { apiServerPost } = await import('./api-server-post.ts')
  const found = kubernetesFrom({ enabled: 'auto', ...kubernetes })
  if (found) return apiServerPost(found.kubeConfig)
  throw new Error('exporters.kubernetesEvents: enabled: found no cluster, expected one that kubernetes.* leads to')
}

const present = (receiver: Receiver | undefined) => (receiver === undefined ? [] : [receiver])

export interface Exporting {
  /** Those of the moment. */
  exporters(): readonly Exporter[]
  /** Goes over to another configuration. Throws UsageError, and stays with the one before, if that can't be used. */
  use(config: Config): Promise<void>
  /** Delivers for `deadline` milliseconds at most what waits, and ends; logs what is lost. */
  close(deadline: number): Promise<void>
}

interface Options {
  output?: StdoutFormat
  metrics: Metrics
  log: Logger
}

/** How long the receivers of the configuration before have to come to an end; milliseconds. */
const changeWithin = 1200

/** Rejects with UsageError if a receiver can't be set up: a file that isn't there, a name that is used twice. */
export async function openExporting(config: Config, options: Options): Promise<Exporting> {
  const { metrics, log } = options
  const spoolOf = ({ exporters }: Config) => spoolSettings(exporters?.spool)
  let stdout = createStdout(config, options)
  let settings = spoolOf(config)
  const receivers = await createReceivers(config)
  // Where nobody but stdout is told, nothing is written to disk.
  let dispatch: Dispatch | undefined =
    receivers.length === 0 ? undefined : await openDispatch(receivers, { ...settings, metrics, log })

  return {
    exporters: () => (dispatch === undefined ? [stdout] : [stdout, dispatch]),
    async use(next) {
      const nextReceivers = await createReceivers(next)
      const nextSettings = spoolOf(next)
      const before = stdout
      stdout = createStdout(next, options)
      if (dispatch !== undefined) await dispatch.use(nextReceivers, changeWithin)
      else if (nextReceivers.length > 0) dispatch = await openDispatch(nextReceivers, { ...nextSettings, metrics, log })
      if (JSON.stringify(nextSettings) !== JSON.stringify(settings))
        log.warn('exporters.spool has changed: that wants a restart')
      settings = nextSettings
      await closeExporters([before], changeWithin, log)
    },
    close: (deadline) => closeExporters(dispatch === undefined ? [stdout] : [stdout, dispatch], deadline, log),
  }
}

/** All that are configured. Throws UsageError. */
export async function createReceivers(config: Config): Promise<Receiver[]> {
  try {
    const receivers = (await Promise.all(kinds.map((kind) => kind(config.exporters ?? {}, config)))).flat()
    const names = ['stdout', 'spool', ...receivers.map(({ name }) => name)]
    const twice = names.find((name, at) => names.indexOf(name) !== at)
    if (twice === undefined) return receivers
    throw new Error(`exporters: two receivers are named ${JSON.stringify(twice)}, expected names that differ`)
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

const spoolDefaults = { directory: '/var/lib/nightjar/spool', maxBytes: '256MiB', maxAge: '7d' }
/** Five severities, and some files of each. */
const leastBytes = 1024 * 1024

function spoolSettings(spool: Exporters['spool']): { directory: string; maxBytes: number; maxAge: number } {
  const { directory, ...limits } = { ...spoolDefaults, ...spool }
  const maxBytes = parseBytes(limits.maxBytes)
  const maxAge = parseDuration(limits.maxAge)
  if (maxBytes === undefined || maxBytes < leastBytes)
    throw new UsageError(`exporters.spool.maxBytes: found ${limits.maxBytes}, expected 1MiB or more`)
  if (maxAge === undefined || maxAge <= 0)
    throw new UsageError(`exporters.spool.maxAge: found ${limits.maxAge}, expected a time such as 7d`)
  return { directory, maxBytes, maxAge }
}

/** What of an alert may leave, as the configuration has it. Throws UsageError for a pattern that is none. */
export function createRedactor(config: Config, metrics: Metrics): (alert: Alert) => Alert {
  try {
    return redactor(config.exporters?.redaction ?? {}, (kind) => metrics.redactions.inc({ kind }))
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** The one for stdout. */
export function createStdout(config: Config, { output, metrics, log }: Options): Exporter {
  const asked = output ?? config.exporters?.stdout?.format ?? 'auto'
  const terminal = process.stdout.isTTY === true
  const format: StdoutFormat = asked === 'auto' ? (terminal ? 'pretty' : 'json') : asked
  const color = terminal && process.env.NO_COLOR === undefined
  return stdoutExporter({ format, stream: process.stdout, color }, { metrics, log })
}

/** Closes all at once; logs what could not be delivered in `deadline` milliseconds. */
export async function closeExporters(exporters: readonly Exporter[], deadline: number, log: Logger): Promise<void> {
  await Promise.all(
    exporters.map(async (exporter) => {
      const undelivered = await exporter.close(deadline)
      if (undelivered > 0) log.warn({ exporter: exporter.name, undelivered }, 'alerts were not delivered')
    }),
  )
}
