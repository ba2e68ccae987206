/** `nightjar events` and `nightjar record`: the enriched event stream, printed or kept, without rules. */
import type { Logger } from 'pino'
import { allOf } from '../../bpf/interest.ts'
import { createMetrics } from '../../exporters/metrics.ts'
import { createCapture } from '../capture.ts'
import { type Config, loadConfig } from '../config.ts'
import { type Event, type EventType, eventTypes } from '../event.ts'
import { requirements } from '../requirements.ts'
import { ending } from '../signals.ts'
import { openStream } from '../stream.ts'
import { captureFailed, closeCapture } from './run.ts'

export interface StreamOptions {
  config?: string
  /** Milliseconds. */
  duration?: number
}

/** Prints events as JSON lines until a signal or the end of `duration`. */
export async function events(options: StreamOptions & { type?: EventType[] }, log: Logger): Promise<void> {
  const types = new Set(options.type ?? eventTypes)
  await streaming(options, types, log, (event) => {
    if (types.has(event.type)) process.stdout.write(`${JSON.stringify(event)}\n`)
  })
}

/** Writes every event to a capture until a signal or the end of `duration`. */
export async function record(file: string, options: StreamOptions, log: Logger): Promise<void> {
  const capture = await createCapture(file, captureFailed(log))
  let count = 0
  try {
    await streaming(options, new Set(eventTypes), log, (event) => {
      count++
      capture.write(event)
    })
  } finally {
    await closeCapture(capture, log)
    log.info({ file, events: count }, 'recorded')
  }
}

async function streaming(
  { config, duration }: StreamOptions,
  types: ReadonlySet<EventType>,
  log: Logger,
  onEvent: (event: Event) => void,
): Promise<void> {
  const read: Config = config === undefined ? {} : loadConfig(config)
  await requirements()
  const stream = openStream({ interests: allOf(types), config: read, log, metrics: createMetrics(), onEvent })
  try {
    await ending(duration, stream.started, true)
  } finally {
    await stream.stop()
  }
}
