/**
 * Calls to the container runtime on its unix socket: gRPC, which is HTTP/2 with a message in the body and its status in
 * the trailers (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). One connection, opened when it is
 * wanted and again when it broke.
 */
import { existsSync } from 'node:fs'
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { type Answers, decodeAnswer, encodeCall, type Method } from './cri-messages.ts'

export type Cri = {
  /** Rejects when the runtime can't be reached, refuses, or doesn't answer within two seconds. */
  call<M extends Method>(method: M, request: object): Promise<Answers[M]>
  close(): void
}

/** Where runtimes listen by default: containerd, CRI-O, k3s and RKE2, k0s, MicroK8s, cri-dockerd. */
export const usualSockets = [
  '/run/containerd/containerd.sock',
  '/run/crio/crio.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/k0s/containerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
  '/run/cri-dockerd.sock',
]

const timeoutMs = 2_000
const mostBytes = 16 * 1024 * 1024

export function openCri(socket: string): Cri {
  let session: ClientHttp2Session | undefined

  function connected(): ClientHttp2Session {
    if (session && !session.closed && !session.destroyed) return session
    const opened = connect('http://localhost', { createConnection: () => connectSocket(socket) })
    const forget = () => {
      if (session === opened) session = undefined
    }
    // Every call under way is told of it by its own stream.
    opened.on('error', forget)
    opened.on('close', forget)
    opened.on('goaway', forget)
    // It must not keep the process alive.
    opened.unref()
    session = opened
    return opened
  }

  return {
    call(method, request) {
      const { promise, resolve, reject } = Promise.withResolvers<Answers[typeof method]>()
      const stream = connected().request({
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: `/runtime.v1.RuntimeService/${method}`,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        [constants.HTTP2_HEADER_TE]: 'trailers',
        'grpc-timeout': `${timeoutMs}m`,
        'user-agent': 'nightjar',
      })
      const chunks: Buffer[] = []
      let size = 0
      let status: IncomingHttpHeaders = {}
      const fail = (message: string) => {
        reject(new Error(`${method}: ${message}`))
        stream.close(constants.NGHTTP2_CANCEL)
      }
      const timer = setTimeout(() => fail(`no answer for ${timeoutMs} ms`), timeoutMs)
      stream.on('response', (headers) => {
        status = { ...status, ...headers }
      })
      stream.on('trailers', (headers) => {
        status = { ...status, ...headers }
      })
      stream.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > mostBytes) fail(`an answer of more than ${mostBytes} bytes`)
        else chunks.push(chunk)
      })
      // Where the connection can't be made, that is the cause of the stream's error.
      stream.on('error', ({ cause, message }) => fail(cause instanceof Error ? cause.message : message))
      stream.on('close', () => {
        clearTimeout(timer)
        if (status['grpc-status'] !== '0') return fail(refusal(status))
        try {
          resolve(decodeAnswer(method, Buffer.concat(chunks)))
        } catch (error) {
          fail(error instanceof Error ? error.message : String(error))
        }
      })
      stream.end(encodeCall(method, request))
      return promise
    },
    close() {
      session?.destroy()
    },
  }
}

function refusal(status: IncomingHttpHeaders): string {
  const code = status['grpc-status']
  if (code === undefined) return status[':status'] ? `HTTP status ${status[':status']}` : 'the connection was closed'
  return `gRPC status ${code}: ${decodeURIComponent(String(status['grpc-message'] ?? ''))}`
}

/** Whether a runtime answers there, and which. Never rejects. */
async function runtimeAt(socket: string): Promise<{ runtime: string } | { problem: string }> {
  const cri = openCri(socket)
  try {
    const { runtimeName = 'unnamed', runtimeVersion = '' } = await cri.call('Version', {})
    return { runtime: `${runtimeName} ${runtimeVersion}`.trim() }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  } finally {
    cri.close()
  }
}

/**
 * `auto`: the first of the usual places where a runtime answers (Docker's containerd has the interface switched off);
 * else the socket named. Never rejects; `tried`: why not, for each that is there.
 */
export async function findRuntime(
  socket: string,
  usual = usualSockets,
): Promise<{ socket: string; runtime: string } | { tried: string[] }> {
  const tried: string[] = []
  for (const place of socket === 'auto' ? usual.filter((one) => existsSync(one)) : [socket]) {
    const answer = await runtimeAt(place)
    if ('runtime' in answer) return { socket: place, runtime: answer.runtime }
    tried.push(`${place}: ${answer.problem}`)
  }
  return { tried }
}
