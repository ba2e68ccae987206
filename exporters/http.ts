/**
 * HTTP POST to one receiver, over connections that are kept. The receiver may be slow, away, broken or hostile: an attempt
 * ends in time whatever it does, and redirects are not followed, so no other host learns anything.
 */
import product from '../package.json' with { type: 'json' }
import { undici } from '../sensor/undici.ts'
import { retryAfter } from './backoff.ts'
import type { FailureReason } from './metrics.ts'
import type { Outcome } from './receiver.ts'
import type { TlsOptions } from './tls.ts'

export interface HttpPost {
  /**
   * Never rejects; ends soon after `signal` is aborted. `body` is the beginning of the answer, 64 KiB at most, as far as it
   * came within a second.
   */
  post(
    content: { body: string | Buffer; headers: Record<string, string> },
    signal: AbortSignal,
  ): Promise<{ outcome: Outcome; body: Buffer; status?: number }>
  close(): Promise<void>
}

/** What is read of an answer's body, in bytes and in milliseconds, so that the connection can be used again. */
const bodyLimit = { bytes: 64 * 1024, milliseconds: 1000 }

/** Status codes after which the same request may succeed later, and the reason that is counted. All 5xx are, too. */
const temporary: Record<number, FailureReason> = { 408: 'server_error', 425: 'server_error', 429: 'throttled' }

/** The reason that is counted, by the error's code or name; the first match, and `connection` if there is none. */
const reasons: [RegExp, FailureReason][] = [
  [/^(TimeoutError|ETIMEDOUT|UND_ERR_\w+_TIMEOUT)$/, 'timeout'],
  // OpenSSL's names of what can be wrong with a certificate, and Node's of what can be wrong with a handshake.
  [/^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$|UNABLE_TO_|CERT_|CRL_|ERROR_IN_C|DEPTH_ZERO_|SELF_SIGNED_|INVALID_)/, 'tls'],
  [/^(PATH_LENGTH_EXCEEDED|HOSTNAME_MISMATCH)$/, 'tls'],
  [/^(HTTPParserError|HPE_|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_)/, 'protocol'],
]

/** `timeout`: milliseconds for a connection. `now`: Unix time in milliseconds, for a Retry-After that is a date. */
export function httpPost(
  url: URL,
  { tls, concurrency, timeout, now }: { tls: TlsOptions; concurrency: number; timeout: number; now(): number },
): HttpPost {
  const { Pool } = undici()
  const pool = new Pool(url.origin, {
    connections: concurrency,
    // One request at a time needs one connection; HTTP/2 has nothing to add to that.
    allowH2: false,
    connect: { ...tls, timeout },
    // The attempt's own deadline covers all of it.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  return {
    async post({ body, headers }, signal) {
      const path = url.pathname + url.search
      const allHeaders = { 'user-agent': `nightjar/${product.version}`, ...headers }
      try {
        const response = await pool.request({ method: 'POST', path, headers: allHeaders, body, signal })
        const answer = await beginningOf(response.body)
        const wait = response.headers['retry-after']
        const outcome = outcomeOf(response.statusCode, retryAfter(Array.isArray(wait) ? wait[0] : wait, now()))
        return { outcome, body: answer, status: response.statusCode }
      } catch (error) {
        return { outcome: { verdict: 'failed', ...failureOf(error) }, body: Buffer.alloc(0) }
      }
    },
    close: () => pool.destroy(),
  }
}

/** The status is what counts. Of a body that is too long, or too slow, the rest is given up with its connection. */
async function beginningOf(body: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  const late = setTimeout(() => body.destroy(), bodyLimit.milliseconds)
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      length += chunk.length
      if (length > bodyLimit.bytes) break
    }
  } catch {
  } finally {
    clearTimeout(late)
  }
  return Buffer.concat(chunks).subarray(0, bodyLimit.bytes)
}

function outcomeOf(status: number, retryAfter: number | undefined): Outcome {
  const detail = `status ${status}`
  if (status >= 200 && status <= 299) return { verdict: 'delivered', detail }
  const reason = temporary[status] ?? (status >= 500 ? 'server_error' : undefined)
  if (reason !== undefined)
    return { verdict: 'failed', reason, detail, ...(retryAfter !== undefined && { retryAfter }) }
  if (status >= 300 && status <= 399)
    return { verdict: 'refused', detail: `${detail}: redirects are not followed; set url to where it leads` }
  return { verdict: 'refused', detail }
}

/** Codes of errors from before there was a connection: Node's, and undici's. */
const unreached = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** Only the code and the message: other properties of an error may hold the request. */
export function failureOf(error: unknown): { reason: FailureReason; detail: string; unreached?: true } {
  const { name = '', code, message = '' } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  const key = typeof code === 'string' ? code : name
  const reason = reasons.find(([pattern]) => pattern.test(key))?.[1] ?? 'connection'
  return {
    reason,
    detail: (message.includes(key) ? message : `${key} ${message}`).trim().slice(0, 200),
    ...(unreached.has(key) && { unreached: true }),
  }
}
