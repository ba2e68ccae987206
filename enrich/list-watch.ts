/**
 * List, then watch: keeps a copy of one kind of object in step with the API server, through everything that ends a
 * watch (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
 *
 *   the server closes it           resume from the last resourceVersion, at once
 *   it breaks, or falls silent     resume, after a pause that grows (with jitter) while that goes on
 *   410 Gone                       the resourceVersion is too old: list again
 *   it was away for long           list again: a server that was restored from a backup counts anew, and a watch from a
 *                                  resourceVersion that it has not reached yet would stay silent
 *   429, 503 with Retry-After      the pause is at least that long
 *   403, 404 where that may be     not allowed, or no such kind here: asked again after minutes
 *
 * Bookmarks, about one a minute from a real server, carry the resourceVersion on, and are the sign of life of a quiet
 * watch; whether the server is there at all is asked sooner (pulse.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiServer, Refusal } from './api-server.ts'
import type { Freshness } from './identity.ts'

export type ListWatch = {
  /** The first list is in; or it was closed before. */
  ready: Promise<void>
  /** stale: for longer than `staleAfter` there has been no open watch, and no list. */
  state(): Freshness
  /** `optional` only. The last answer: that it is not allowed, or that there is no such kind. */
  refused(): Refused | undefined
  close(): void
}

export type Refused = 'forbidden' | 'absent'

export type Log = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** All in milliseconds. */
export const defaultTiming = {
  // The server sends a bookmark every 60 to 75 s (kubernetes apiserver/pkg/storage/cacher, defaultBookmarkFrequency and its
  // jitter). A server that is gone is noticed before (pulse.ts); this is for a watch that a proxy in between forgot.
  quiet: 100_000,
  list: 30_000,
  firstPause: 500,
  longestPause: 15_000,
  longestRetryAfter: 300_000,
  staleAfter: 10_000,
  /** Before it starts, somewhere within this: what every agent lists whole is not to be listed by all of them at once. */
  spread: 0,
  afterRefusal: 300_000,
}
export type Timing = typeof defaultTiming

// A watch that stood this long was a working one: its end starts the pauses afresh.
const stoodMs = 5_000
// client-go asks for 5 to 10 minutes; the spread keeps agents that started together from coming back together.
const watchSeconds = { least: 300, spread: 300 }

export function listWatch<T>(options: {
  api: ApiServer
  /** Such as `/api/v1/pods`. */
  path: string
  query?: Record<string, string>
  /** The media types to ask for; JSON of whole objects if it is absent. */
  accept?: { list: string; watch: string }
  /** What is watched, for the log. */
  what: string
  /** It may be that there is no such kind, or no right to it: what is missing without it, for the log. */
  optional?: string
  on: {
    replaced(items: T[]): void
    changed(item: T): void
    removed(item: T): void
    bookmark?(): void
    /** `optional` only: see refused(). */
    refused?(): void
  }
  log: Log
  clock: () => number
  random?: () => number
  timing?: Partial<Timing>
}): ListWatch {
  const { api, path, query = {}, accept, what, optional, on, log, clock, random = Math.random } = options
  const timing = { ...defaultTiming, ...options.timing }
  const stopped = new AbortController()
  const ready = Promise.withResolvers<void>()
  let resourceVersion: string | undefined
  let expired = false
  let brokenSince: number | undefined = clock()
  let complained = false
  let refused: Refused | undefined

  async function list(): Promise<Refusal | undefined> {
    // Most lists may come from the server's cache ("0": any version), which spares etcd when all agents start, or come
    // back, at once. After 410 that cache could be the one that is behind, so then the newest.
    const version: Record<string, string> = expired ? {} : { resourceVersion: '0' }
    const answer = await api.get(path, { ...query, ...version }, timing.list, accept?.list)
    if ('refusal' in answer) return answer.refusal
    const { items, metadata } = (answer.body ?? {}) as { items?: T[] | null; metadata?: { resourceVersion?: string } }
    if (metadata?.resourceVersion === undefined)
      return { message: `the list of ${what} has no metadata.resourceVersion` }
    on.replaced(items ?? [])
    resourceVersion = metadata.resourceVersion
    expired = false
    brokenSince = clock()
    refused = undefined
    ready.resolve()
    return undefined
  }

  function take(line: string): Refusal | undefined {
    const event = parsed(line)
    if (event === undefined) {
      // What it said is lost: only a list can tell, and none that is older.
      resourceVersion = undefined
      expired = true
      return { message: `a line of the watch is not JSON: ${line.slice(0, 80)}` }
    }
    if (event.type === 'ERROR') {
      const { code, message = 'no message', details } = event.object as Status
      const seconds = details?.retryAfterSeconds
      return { status: code, message, ...(seconds && { retryAfterMs: seconds * 1000 }) }
    }
    // First the version: an object that can't be taken must not come again and again.
    const metadata = event.object.metadata as { resourceVersion?: string } | undefined
    resourceVersion = metadata?.resourceVersion ?? resourceVersion
    if (event.type === 'ADDED' || event.type === 'MODIFIED') on.changed(event.object as T)
    if (event.type === 'DELETED') on.removed(event.object as T)
    if (event.type === 'BOOKMARK') on.bookmark?.()
    return undefined
  }

  async function watch(): Promise<{ refusal?: Refusal; worked: boolean }> {
    const { quiet: quietMs } = timing
    let heard = false
    let openedAt = Number.POSITIVE_INFINITY
    const timeoutSeconds = String(watchSeconds.least + Math.floor(random() * watchSeconds.spread))
    const how = { watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds, resourceVersion: resourceVersion ?? '' }
    const refusal = await api.watch(
      path,
      { ...query, ...how },
      {
        quietMs,
        ...(accept && { accept: accept.watch }),
        onOpen() {
          openedAt = clock()
          brokenSince = undefined
          if (complained) log.info({}, `the watch of ${what} is back`)
          complained = false
        },
        onLine(line) {
          const end = take(line)
          heard ||= end === undefined
          return end
        },
      },
    )
    brokenSince ??= clock()
    if (refusal?.status === 410) {
      resourceVersion = undefined
      expired = true
    }
    return { refusal, worked: heard || clock() - openedAt >= stoodMs }
  }

  /** Whether that is an answer to live with; said once. */
  function livedWith({ status, message }: Refusal): boolean {
    if (optional === undefined || (status !== 403 && status !== 404)) return false
    refused = status === 403 ? 'forbidden' : 'absent'
    ready.resolve()
    on.refused?.()
    // No such kind is the ordinary case where its product isn't installed.
    if (status === 403 && !complained) {
      complained = true
      log.warn({ reason: message, remedy: remedies[403]?.(what) }, `${what} can't be read: ${optional}`)
    }
    return true
  }

  async function run(): Promise<void> {
    let failures = 0
    await rest(random() * timing.spread)
    while (!stopped.signal.aborted) {
      if (isAwayForLong()) resourceVersion = undefined
      const unlisted = resourceVersion === undefined ? await list().catch(untakeable) : undefined
      const { refusal, worked } = unlisted ? { refusal: unlisted, worked: false } : await watch()
      if (stopped.signal.aborted) return
      if (worked) failures = 0
      if (worked && !refusal) continue
      failures += 1
      if (refusal && livedWith(refusal)) {
        resourceVersion = undefined
        await rest(timing.afterRefusal * (0.75 + random() / 2))
        continue
      }
      // 410 is the server's ordinary way to ask for a list; anything else is said once, until the watch is back.
      if (refusal && refusal.status !== 410 && !complained) {
        complained = true
        log.warn(
          { reason: refusal.message, remedy: remedies[refusal.status ?? 0]?.(what) },
          `the watch of ${what} is broken`,
        )
      }
      await pause(failures, refusal?.retryAfterMs ?? 0)
    }
  }

  async function pause(failures: number, atLeast: number): Promise<void> {
    const backoff = Math.min(timing.longestPause, timing.firstPause * 2 ** Math.min(failures - 1, 16))
    const asked = Math.min(timing.longestRetryAfter, atLeast)
    await rest(Math.max(backoff * (0.5 + random() / 2), asked * (1 + random() / 4)))
  }

  async function rest(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: stopped.signal }).catch(() => {})
  }

  const isAwayForLong = () => brokenSince !== undefined && clock() - brokenSince > timing.staleAfter

  void run()
  return {
    ready: ready.promise,
    state: () => (isAwayForLong() ? 'stale' : 'live'),
    refused: () => refused,
    close() {
      stopped.abort()
      ready.resolve()
    },
  }
}

type Status = { code?: number; message?: string; details?: { retryAfterSeconds?: number } }

const remedies: Record<number, (what: string) => string> = {
  401: () => 'the credentials are not accepted: check the kubeconfig, or the token of the service account',
  403: (what) => `the account lacks rights: it needs get, list and watch on ${what} in all namespaces (a ClusterRole)`,
}

function parsed(line: string): { type: string; object: Record<string, unknown> } | undefined {
  try {
    const event = JSON.parse(line)
    return typeof event?.type === 'string' && event.object ? event : undefined
  } catch {
    return undefined
  }
}

const untakeable = (error: unknown): Refusal => ({ message: `the list could not be taken: ${String(error)}` })
