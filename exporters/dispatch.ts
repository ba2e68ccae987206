/** All receivers that are told by way of the spool, as one exporter. */
import type { Logger } from 'pino'
import { deadLetters } from './dead-letters.ts'
import { type Delivery, startDelivery } from './delivery.ts'
import type { Exporter } from './exporter.ts'
import type { Metrics } from './metrics.ts'
import type { Receiver } from './receiver.ts'
import { sparingLog } from './sparing-log.ts'
import { openSpool, type SpoolOptions } from './spool.ts'
import type { SpoolReader } from './spool-reader.ts'

export interface Dispatch extends Exporter {
  /**
   * Puts these receivers in place of those before, within `deadlineMs` milliseconds. One of the same name goes on where
   * the one before it had come to.
   */
  use(receivers: readonly Receiver[], deadlineMs: number): Promise<void>
}

export interface DispatchOptions extends SpoolOptions {
  metrics: Metrics
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** In [0, 1); default Math.random. */
  random?: () => number
}

interface Running {
  readonly receiver: Receiver
  readonly reader: SpoolReader
  readonly delivery: Delivery
}

/** Of one receiver and kind, a minute. */
const mostLogLines = 30

export async function openDispatch(receivers: readonly Receiver[], options: DispatchOptions): Promise<Dispatch> {
  const { metrics, random = Math.random, now = Date.now, maxAge } = options
  const spool = await openSpool(options)
  let running: Running[] = await start(receivers)
  let closed: Promise<number> | undefined

  async function start(receivers: readonly Receiver[]): Promise<Running[]> {
    const readers = await spool.attach(receivers)
    return receivers.flatMap((receiver, index) => {
      const reader = readers[index]
      if (reader === undefined) return []
      // One for each: a receiver that comes and goes must not crowd out what is given up.
      const log = () => sparingLog(options.log, mostLogLines, () => performance.now())
      const about = { exporter: receiver.name, receiver: receiver.address }
      const dead = deadLetters(spool, about, log())
      return {
        receiver,
        reader,
        delivery: startDelivery({ receiver, reader, deadLetters: dead, maxAge, metrics, log: log(), random, now }),
      }
    })
  }

  /** Readers stay: what comes meanwhile is still wanted by them. */
  const stop = (deadlineMs: number) =>
    Promise.all(
      running.map(async ({ receiver, reader, delivery }) => {
        await delivery.close(deadlineMs)
        await receiver.close()
        reader.close()
      }),
    )

  async function finish(deadlineMs: number): Promise<number> {
    await stop(deadlineMs)
    const waiting = running.filter(({ reader }) => reader.behind > 0)
    const lost = await spool.close()
    for (const { receiver, reader } of waiting)
      options.log.info(
        { exporter: receiver.name, alerts: reader.behind, lost },
        'alerts wait in the spool for the next start',
      )
    return lost
  }

  return {
    name: 'spool',
    send: spool.append,
    async use(receivers, deadlineMs) {
      await stop(deadlineMs)
      running = await start(receivers)
    },
    close(deadlineMs) {
      closed ??= finish(deadlineMs)
      return closed
    },
  }
}
