/**
 * The controllers above a pod. The pod names only its direct one; a ReplicaSet is mostly a Deployment's and a Job may
 * be a CronJob's, which its own ownerReferences tell. One GET for each ReplicaSet or Job, remembered.
 */
import { LRUCache } from 'lru-cache'
import type { ApiServer, Refusal } from './api-server.ts'
import type { Log } from './list-watch.ts'

export type Owner = { kind: string; name: string }
export type Controller = Owner & { apiVersion: string; uid: string }

export type Owners = {
  /**
   * The controllers above an object in `namespace`, the direct one first, the topmost last. At once when it is known
   * or needs no question. Never rejects: where the answer is refused or late, the direct one is all there is.
   */
  above(namespace: string, direct: Controller): Owner[] | Promise<Owner[]>
}

/** Kinds that are themselves controlled by something worth naming, and where to read by what. */
const readable: Record<string, (namespace: string, name: string) => string> = {
  'apps/v1 ReplicaSet': (namespace, name) => `/apis/apps/v1/namespaces/${namespace}/replicasets/${name}`,
  'batch/v1 Job': (namespace, name) => `/apis/batch/v1/namespaces/${namespace}/jobs/${name}`,
}

const mostRemembered = 2_000
const mostAtOnce = 4
const forbiddenForMs = 600_000
const failedForMs = 10_000

export function createOwners(options: { api: ApiServer; log: Log; clock: () => number; timeoutMs?: number }): Owners {
  const { api, log, clock, timeoutMs = 2_000 } = options
  const remembered = new LRUCache<string, { owners: Owner[]; until: number }>({ max: mostRemembered })
  const asked = new Map<string, Promise<Owner[]>>()
  const complained = new Set<string>()
  const turns = takingTurns(mostAtOnce)

  async function ask(path: string, direct: Controller): Promise<Owner[]> {
    const owner = { kind: direct.kind, name: direct.name }
    const answer = await turns(() => api.get(path, {}, timeoutMs))
    const controller = 'body' in answer ? controllerOf(answer.body) : undefined
    const owners = controller ? [owner, { kind: controller.kind, name: controller.name }] : [owner]
    const rememberMs = 'refusal' in answer ? complain(direct, answer.refusal) : Number.POSITIVE_INFINITY
    remembered.set(direct.uid, { owners, until: clock() + rememberMs })
    return owners
  }

  /** For how long not to ask again, in milliseconds. */
  function complain({ kind }: Controller, { status, message }: Refusal): number {
    // Deleted since: nobody will ever know.
    if (status === 404) return Number.POSITIVE_INFINITY
    const about = `${kind} ${status ?? 'unreachable'}`
    if (!complained.has(about)) {
      complained.add(about)
      log.warn({ reason: message }, `a ${kind} can't be read: alerts name the ${kind} as owner, not what is above it`)
    }
    return status === 403 ? forbiddenForMs : failedForMs
  }

  return {
    above(namespace, direct) {
      const path = readable[`${direct.apiVersion} ${direct.kind}`]
      if (path === undefined) return [{ kind: direct.kind, name: direct.name }]
      const known = remembered.get(direct.uid)
      if (known && clock() < known.until) return known.owners
      const running = asked.get(direct.uid)
      if (running) return running
      const question = ask(path(namespace, direct.name), direct).finally(() => asked.delete(direct.uid))
      asked.set(direct.uid, question)
      return question
    },
  }
}

/** The owner that controls an object (there is one at most), of an API object's metadata.ownerReferences. */
export function controllerOf(object: unknown): Controller | undefined {
  const { metadata } = (object ?? {}) as {
    metadata?: { ownerReferences?: (Controller & { controller?: boolean })[] | null }
  }
  const found = metadata?.ownerReferences?.find((reference) => reference.controller === true)
  return found && { apiVersion: found.apiVersion, kind: found.kind, name: found.name, uid: found.uid }
}

/** Runs at most `most` of the works given to it at a time: a node's pods appear all at once when the sensor starts. */
function takingTurns(most: number) {
  const waiting: (() => void)[] = []
  let free = most
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1
    else await new Promise<void>((go) => waiting.push(go))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free += 1
    }
  }
}
