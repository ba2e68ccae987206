/**
 * A copy of all objects of one kind, kept in step with the API server: of each only what is asked for, so that thousands
 * of them take little room.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ApiServer } from './api-server.ts'
import { type Log, listWatch, type Refused, type Timing } from './list-watch.ts'

/** Metadata alone, whatever the kind (https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches). */
export const partialObjects = {
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  watch: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
}

/** waiting: not listed yet; forbidden: no right to it; absent: no such kind here; stale: the API server is away. */
export type Known = 'waiting' | 'live' | 'stale' | Refused

export type WatchedObjects<Kept> = {
  /** `key`: `namespace/name`; of what is in no namespace `name`. */
  get(key: string): Kept | undefined
  all(): ReadonlyMap<string, Kept>
  known(): Known
  close(): void
}

type Identified = { metadata?: { namespace?: string; name?: string } }

/**
 * `keep`: what is kept of an object; undefined: nothing. `onChange` is called when what is kept has changed, and when
 * the first list is in. `missing`: what there is not without it, for the log.
 */
export function watchObjects<Raw extends Identified, Kept>(options: {
  api: ApiServer
  path: string
  query?: Record<string, string>
  metadataOnly?: boolean
  what: string
  missing: string
  keep(object: Raw): Kept | undefined
  onChange(): void
  log: Log
  clock: () => number
  timing?: Partial<Timing>
}): WatchedObjects<Kept> {
  const { api, path, query, metadataOnly, what, missing, keep, onChange, log, clock, timing } = options
  let objects = new Map<string, Kept>()
  let listed = false

  function put(into: Map<string, Kept>, object: Raw): boolean {
    const key = keyOf(object)
    const before = objects.get(key)
    const now = keep(object)
    if (now === undefined) return into.delete(key) || before !== undefined
    const same = before !== undefined && isDeepStrictEqual(before, now)
    into.set(key, same ? before : now)
    return !same
  }

  const watch = listWatch<Raw>({
    api,
    path,
    ...(query && { query }),
    ...(metadataOnly && { accept: partialObjects }),
    what,
    optional: missing,
    on: {
      replaced(items) {
        const next = new Map<string, Kept>()
        const changes = items.filter((item) => put(next, item)).length
        const changed = !listed || changes > 0 || next.size !== objects.size
        objects = next
        listed = true
        if (changed) onChange()
      },
      changed(item) {
        if (put(objects, item)) onChange()
      },
      removed(item) {
        if (objects.delete(keyOf(item))) onChange()
      },
      // An answer too: who waits for this kind needn't any longer, and what was known holds no more.
      refused() {
        objects = new Map()
        listed = false
        onChange()
      },
    },
    log,
    clock,
    timing,
  })

  return {
    get: (key) => objects.get(key),
    all: () => objects,
    known: () => watch.refused() ?? (listed ? watch.state() : 'waiting'),
    close: watch.close,
  }
}

const keyOf = ({ metadata }: Identified) =>
  metadata?.namespace ? `${metadata.namespace}/${metadata.name}` : (metadata?.name ?? '')
