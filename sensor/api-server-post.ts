/** POST to the API server, with the credentials of a KubeConfig or of this pod. */
import type { Dispatcher } from 'undici'
import { type ClusterAccess, credentialsOf } from '../enrich/cluster-access.ts'
import { retryAfter } from '../exporters/backoff.ts'
import type { ApiServerPost } from '../exporters/kubernetes-events.ts'
import { undici } from './undici.ts'

const longestAnswer = 64 * 1024

export function apiServerPost(access: ClusterAccess): ApiServerPost {
  const { Agent, fetch } = undici()
  const server = access.getCurrentCluster()?.server ?? ''
  let pool: Dispatcher | undefined
  return {
    address: URL.parse(server)?.origin ?? server,
    async post(path, body, signal) {
      const credentials = await credentialsOf(access)
      // There is a new pool for each request; one is enough.
      pool ??= credentials.dispatcher ?? new Agent()
      const headers = { ...credentials.headers, 'content-type': 'application/json', accept: 'application/json' }
      const response = await fetch(server + path, {
        method: 'POST',
        headers: { ...headers, 'user-agent': 'nightjar' },
        body: JSON.stringify(body),
        dispatcher: pool,
        signal,
        redirect: 'manual',
      })
      const message = response.ok ? '' : statusMessage((await response.text()).slice(0, longestAnswer))
      if (response.ok) await response.body?.cancel()
      const wait = retryAfter(response.headers.get('retry-after') ?? undefined, Date.now())
      // Client certificates may have been renewed.
      if (response.status === 401) await forget()
      return { status: response.status, message, ...(wait !== undefined && { retryAfter: wait }) }
    },
    close: forget,
  }

  async function forget() {
    const old = pool
    pool = undefined
    await old?.destroy()
  }
}

/** The API server explains itself in a Status object; a proxy in between sends anything. */
function statusMessage(text: string): string {
  try {
    const { message } = JSON.parse(text)
    if (typeof message === 'string') return message
  } catch {
    // Not a Status.
  }
  return text
}
