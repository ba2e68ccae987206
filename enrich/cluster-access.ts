/**
 * The way to an API server: where it is, and the credentials that a request takes with it.
 *
 * A kubeconfig can ask for anything (client certificates, programs that give tokens, proxies), so that is the library's.
 * In a pod all of it are three files: the sensor in a cluster, which is the one that counts, needs none of the 75 MB of
 * memory that the library's models of every object of Kubernetes take.
 */
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { dirname, join } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import type { Dispatcher } from 'undici'
import { undici } from '../sensor/undici.ts'

/** A KubeConfig, or what is alike. */
export type ClusterAccess = Pick<KubeConfig, 'getCurrentCluster' | 'applySecurityAuthentication'>

type RequestContext = Parameters<KubeConfig['applySecurityAuthentication']>[0]

/** The headers of a request, and connections that know the server's authority: new ones each time. */
export async function credentialsOf(
  access: ClusterAccess,
): Promise<{ headers: Record<string, string>; dispatcher?: Dispatcher }> {
  const headers: Record<string, string> = {}
  let dispatcher: Dispatcher | undefined
  const context: Pick<RequestContext, 'setHeaderParam' | 'setDispatcher'> = {
    setHeaderParam(name, value) {
      headers[name] = value
    },
    setDispatcher(made) {
      dispatcher = made as Dispatcher
    },
  }
  await access.applySecurityAuthentication(context as RequestContext)
  return { headers, ...(dispatcher && { dispatcher }) }
}

/**
 * By the service account of this pod, whose files are in the directory of `tokenFile`. The kubelet writes the token anew
 * before it ends (and the authority, when the cluster's is renewed), so both are read for each request.
 */
export function podAccess(env: NodeJS.ProcessEnv, tokenFile: string): ClusterAccess {
  const host = env.KUBERNETES_SERVICE_HOST ?? ''
  const port = env.KUBERNETES_SERVICE_PORT ?? '443'
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  return {
    getCurrentCluster: () => ({ name: 'pod', server, skipTLSVerify: false }),
    async applySecurityAuthentication(context) {
      const [token, ca] = await Promise.all([
        readFile(tokenFile, 'utf8'),
        readFile(join(dirname(tokenFile), 'ca.crt'), 'utf8'),
      ])
      context.setHeaderParam('Authorization', `Bearer ${token.trim()}`)
      const { Agent } = undici()
      // As client-go: a load balancer in between forgets connections after a minute.
      context.setDispatcher(new Agent({ connect: { ca, keepAlive: true, keepAliveInitialDelay: 30_000 } }) as never)
    },
  }
}
