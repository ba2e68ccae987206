/** What is sent next to a receiver: alerts from the spool, filtered, limited in their rate, and put together. */
import type { Alert } from '../sensor/alert.ts'
import type { Metrics } from './metrics.ts'
import { type Part, progress } from './progress.ts'
import { rateLimit } from './rate-limit.ts'
import type { Receiver } from './receiver.ts'
import type { Entry, SpoolReader } from './spool-reader.ts'

export interface Batch {
  /** Grows in the order in which batches should be sent. */
  readonly number: number
  /** At least one. */
  readonly entries: readonly Sendable[]
  /** To be called when all of them are delivered or given up. */
  done(): void
}

export interface Sendable {
  readonly alert: Alert
  /** Since when it waits, Unix time in milliseconds. */
  readonly time: number
}

export interface Batches {
  /** Waits for alerts. Undefined when there are no more and it's closed. */
  next(): Promise<Batch | undefined>
  /** One alert, without waiting, out of turn if it must be. */
  another(): Promise<Batch | undefined>
  /** Not delivered after all. */
  putBack(batch: Batch): void
  /** What there is without waiting for more. */
  close(): void
}

/** Characters of a batch, as JSON: what comes after is another batch. */
const largest = 1024 * 1024
/** That are put back at most. */
const mostHeld = 10

export function batches(
  { wants = () => true, batch, rateLimit: limits }: Pick<Receiver, 'wants' | 'batch' | 'rateLimit'>,
  reader: SpoolReader,
  { metrics, now, random }: { metrics: Metrics; now(): number; random(): number },
): Batches {
  const { begin } = progress(reader.done)
  const limit = limits && rateLimit(limits)
  const size = batch?.size ?? 1
  const wait = batch?.wait ?? 0
  const held: Batch[] = []
  let withheld: Part[] = []
  let collecting = false
  let closed = false
  let made = 0

  function withhold({ sequence, alert }: Entry) {
    metrics.alertsSuppressed.inc({ rule: alert.rule.id, reason: 'rate_limited' })
    if (!withheld.at(-1)?.extend(sequence, 1)) withheld.push(begin(sequence, 1))
  }

  /** Up to `most` alerts; waits for more of them only when there is one, and `patience` milliseconds at most. */
  async function collect(most: number, patience: number): Promise<Batch | undefined> {
    const entries: Entry[] = []
    let characters = 0
    let passed = 0
    let through = 0
    let until = Number.POSITIVE_INFINITY
    /** What is passed over on the way is done with together with what is taken. */
    const part = () => begin(through, passed)
    while (entries.length < most && characters < largest) {
      const entry = await reader.next()
      if (entry === undefined) {
        const left = until - performance.now()
        if (entries.length === 0 || closed || !(left > 0) || patience === 0) break
        await reader.more(left)
        continue
      }
      if (wants(entry.alert) && limit?.admits(entry.alert, now()) === false) {
        if (entries.length > 0) {
          // What is withheld is done with at another time.
          const batch = { number: made++, entries, done: part().done }
          withhold(entry)
          return batch
        }
        if (passed > 0) part().done()
        passed = 0
        withhold(entry)
        continue
      }
      passed++
      through = entry.sequence
      if (!wants(entry.alert)) continue
      if (entries.length === 0) until = performance.now() + patience
      entries.push(entry)
      characters += entry.size
    }
    if (entries.length > 0) return { number: made++, entries, done: part().done }
    if (passed > 0) part().done()
    return undefined
  }

  async function collectAlone(most: number, patience: number): Promise<Batch | undefined> {
    collecting = true
    const batch = await collect(most, patience)
    collecting = false
    return batch
  }

  function summary(): Batch | undefined {
    const alert = limit?.summary(now())
    if (alert === undefined) return undefined
    const parts = withheld
    withheld = []
    return {
      number: made++,
      entries: [{ alert, time: now() }],
      done() {
        for (const part of parts) part.done()
      },
    }
  }

  return {
    async next() {
      for (;;) {
        // What came before it was closed is still looked for.
        const isLast = closed
        const due = limit?.dueIn(now())
        const batch = due === 0 ? summary() : (held.shift() ?? (await collectAlone(size, wait)))
        if (batch !== undefined) return batch
        if (isLast) return summary()
        await reader.more(limit?.dueIn(now()))
      }
    },
    async another() {
      const fresh = held.length < mostHeld && !collecting ? await collectAlone(1, 0) : undefined
      return fresh ?? held.splice(Math.floor(random() * held.length), 1)[0]
    },
    putBack(batch) {
      held.push(batch)
      held.sort((one, other) => one.number - other.number)
    },
    close() {
      closed = true
      reader.wake()
    },
  }
}
