/** POST to the API server, with the credentials of a KubeConfig. */
import { HttpMethod, type KubeConfig, RequestContext } from '@kubernetes/client-node'
import { Agent, type Dispatcher, fetch } from 'undici'
import { retryAfter } from '../exporters/backoff.ts'
import type { ApiServerPost } from '../exporters/kubernetes-events.ts'

const longestAnswer = 64 * 1024

export function apiServerPost(kubeConfig: KubeConfig): ApiServerPost {
  const server = kubeConfig.getCurrentCluster()?.server ?? ''
  let pool: Dispatcher | undefined
  return {
    address: URL.parse(server)?.origin ?? server,
    async post(path, body, signal) {
      const context = new RequestContext(server + path, HttpMethod.POST)
      await kubeConfig.applySecurityAuthentication(context)
      // The library makes a pool for each request; one is enough.
      pool ??= (context.getDispatcher() as Dispatcher | undefined) ?? new Agent()
      const headers = { ...context.getHeaders(), 'content-type': 'application/json', accept: 'application/json' }
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
