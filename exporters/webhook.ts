/**
 * Alerts as HTTP POST requests, signed as Standard Webhooks has it. The receiver may be slow, away, broken or hostile:
 * an attempt ends in time whatever it does, and it learns nothing but the alert and the headers meant for it.
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { createSecureContext } from 'node:tls'
import type { Logger } from 'pino'
import { type Static, Type } from 'typebox'
import { Client } from 'undici'
import product from '../package.json' with { type: 'json' }
import { severities } from '../sensor/alert.ts'
import { durationPattern, parseDuration } from '../sensor/duration.ts'
import { retryAfter } from './backoff.ts'
import { delivery, type Outcome } from './delivery.ts'
import type { Exporter } from './exporter.ts'
import { formatNames, formats } from './formats.ts'
import type { FailureReason, Metrics } from './metrics.ts'
import { signingKey, webhookHeaders } from './signature.ts'

const defaults = {
  format: 'native',
  minSeverity: 'low',
  initialDelay: '500ms',
  maxDelay: '1m',
  timeout: '10s',
} as const

const Duration = (fallback: string, description: string) =>
  Type.Optional(
    Type.String({
      title: 'a duration such as 500ms, 10s or 1m',
      pattern: durationPattern,
      default: fallback,
      description,
    }),
  )

const FilePath = (description: string) =>
  Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], minLength: 1, description }))

/** One entry of `exporters.webhooks` in the configuration. Files are read when the exporter is made. */
export const WebhookConfig = Type.Object(
  {
    name: Type.String({
      title: 'a name of letters, digits, dots, underscores and hyphens, at most 63',
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
      description: 'Names the receiver in logs and metrics; unique among the exporters.',
    }),
    url: Type.String({
      title: 'an http:// or https:// URL',
      pattern: '^https?://',
      description: 'Where the alerts are posted. Redirects are not followed.',
    }),
    format: Type.Optional(
      Type.Enum([...formatNames], { default: defaults.format, description: 'How an alert is written.' }),
    ),
    secretFile: FilePath(
      'Secret of the Standard Webhooks signature: base64 after "whsec_", else the bytes of the file, less one newline.',
    ),
    headers: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Headers to send.' })),
    headersFile: FilePath(
      'More headers, from a file as secrets are: one "Name: value" a line, # begins a comment line. They win.',
    ),
    tls: Type.Optional(
      Type.Object(
        {
          caFile: FilePath('PEM certificates of the authorities to trust, in place of the well-known ones.'),
          certFile: FilePath('PEM certificate that the sensor shows the receiver.'),
          keyFile: FilePath('PEM private key of that certificate.'),
        },
        { additionalProperties: false },
      ),
    ),
    minSeverity: Type.Optional(
      Type.Enum([...severities], { default: defaults.minSeverity, description: 'Alerts below it are not sent here.' }),
    ),
    retry: Type.Optional(
      Type.Object(
        {
          initialDelay: Duration(defaults.initialDelay, 'Longest wait after the first failure; doubled after each.'),
          maxDelay: Duration(defaults.maxDelay, 'Longest wait of all, whatever the receiver asks for.'),
        },
        { additionalProperties: false },
      ),
    ),
    timeout: Duration(defaults.timeout, 'How long one attempt may take, from connecting to the status.'),
    batch: Type.Optional(Type.Null({ description: 'One alert a request, the alert itself as the body.' })),
  },
  { additionalProperties: false, description: 'A receiver of alerts by HTTP.' },
)
export type WebhookConfig = Static<typeof WebhookConfig>

export interface WebhookSurroundings {
  metrics: Metrics
  log: Pick<Logger, 'info' | 'warn'>
  /** In [0, 1); default Math.random. */
  random?: () => number
  /** Unix time in milliseconds; default Date.now. */
  now?: () => number
  /** Alerts that may wait in memory; default 10,000. */
  capacity?: number
}

/** What is read of an answer's body, in bytes and in milliseconds, so that the connection can be used again. */
const bodyLimit = { bytes: 64 * 1024, milliseconds: 1000 }

/** Headers that say what this exporter does; another value would be a lie, or break the request. */
const ownHeaders = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'webhook-id',
  'webhook-signature',
  'webhook-timestamp',
])

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

/**
 * Opens the way to one receiver. Rejects, with an error for a person, if the configuration names a file that can't be
 * read or a value that can't be used; whether the receiver is there shows with the first alert.
 */
export async function webhookExporter(config: WebhookConfig, surroundings: WebhookSurroundings): Promise<Exporter> {
  const { name } = config
  const { metrics, log, random = Math.random, now = Date.now, capacity = 10_000 } = surroundings
  const url = urlOf(config)
  const format = formats[config.format ?? defaults.format]
  const timeout = durationOf(name, 'timeout', config.timeout ?? defaults.timeout)
  const initialDelay = durationOf(name, 'retry.initialDelay', config.retry?.initialDelay ?? defaults.initialDelay)
  const maxDelay = durationOf(name, 'retry.maxDelay', config.retry?.maxDelay ?? defaults.maxDelay)
  const key = await keyOf(config)
  const headers = {
    ...basicAuthorization(name, url),
    ...(await headersOf(config)),
    'content-type': format.contentType,
    'user-agent': `nightjar/${product.version}`,
  }
  const client = new Client(url.origin, {
    // One request at a time needs one connection; HTTP/2 has nothing to add to that.
    allowH2: false,
    connect: { ...(await tlsOf(config)), rejectUnauthorized: true, timeout },
    // The attempt's own deadline covers all of it.
    headersTimeout: 0,
    bodyTimeout: 0,
  })

  async function attempt(body: string, id: string, signal: AbortSignal): Promise<Outcome> {
    try {
      const response = await client.request({
        method: 'POST',
        path: url.pathname + url.search,
        headers: { ...headers, ...webhookHeaders(id, now(), body, key) },
        body,
        signal,
      })
      // The status is the answer. What comes after it is read for the connection's sake alone: too much of it, or too
      // slowly, and the connection is given up instead.
      const drained = { limit: bodyLimit.bytes, signal: AbortSignal.timeout(bodyLimit.milliseconds) }
      await response.body.dump(drained).catch(() => undefined)
      const wait = response.headers['retry-after']
      return outcomeOf(response.statusCode, retryAfter(Array.isArray(wait) ? wait[0] : wait, now()))
    } catch (error) {
      return { verdict: 'failed', ...failureOf(error) }
    }
  }

  const delivering = delivery({
    name,
    // Neither the user, nor the path, nor the query: any of them can be the secret.
    receiver: url.origin,
    attempt: (alert, signal) => attempt(format.one(alert), alert.id, signal),
    timeout,
    delays: { initialDelay, maxDelay },
    capacity,
    metrics,
    log,
    random,
  })
  const wanted = new Set<string>(
    severities.slice(0, severities.indexOf(config.minSeverity ?? defaults.minSeverity) + 1),
  )

  return {
    name,
    send(alert) {
      if (wanted.has(alert.severity)) delivering.send(alert)
    },
    async close(deadlineMs) {
      const undelivered = await delivering.close(deadlineMs)
      await client.destroy()
      return undelivered
    },
  }
}

function outcomeOf(status: number, retryAfter: number | undefined): Outcome {
  if (status >= 200 && status <= 299) return { verdict: 'delivered' }
  const reason = temporary[status] ?? (status >= 500 ? 'server_error' : undefined)
  const detail = `status ${status}`
  if (reason !== undefined)
    return { verdict: 'failed', reason, detail, ...(retryAfter !== undefined && { retryAfter }) }
  if (status >= 300 && status <= 399) {
    return { verdict: 'refused', detail: `${detail}: redirects are not followed; set url to where it leads` }
  }
  return { verdict: 'refused', detail }
}

/** Only the code and the message: other properties of an error may hold the request. */
function failureOf(error: unknown): { reason: FailureReason; detail: string } {
  const { name = '', code, message = '' } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  const key = typeof code === 'string' ? code : name
  const reason = reasons.find(([pattern]) => pattern.test(key))?.[1] ?? 'connection'
  return { reason, detail: (message.includes(key) ? message : `${key} ${message}`).trim().slice(0, 200) }
}

/** What is wrong with which key of which receiver. Values are named by the caller where they are no secret. */
function complaint(name: string, key: string, problem: string): Error {
  return new Error(`exporters.webhooks, "${name}": ${key}: ${problem}`)
}

/** A timer of Node's takes 24 days at most, and then waits not at all. */
const longestDuration = 86_400_000

function durationOf(name: string, key: string, text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds !== undefined && milliseconds > 0 && milliseconds <= longestDuration) return milliseconds
  const expected = 'expected a duration such as 500ms, 10s or 1m, above zero and at most 1d'
  throw complaint(name, key, `found ${JSON.stringify(text)}, ${expected}`)
}

function urlOf({ name, url }: WebhookConfig): URL {
  const parsed = URL.parse(url)
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed
  throw complaint(
    name,
    'url',
    'found something else than an http or https URL, expected one such as https://soc.example/x',
  )
}

async function contentsOf(name: string, key: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw complaint(name, key, `can't read the file (${reason}); create it, or correct the path`)
  }
}

async function keyOf({ name, secretFile }: WebhookConfig): Promise<Buffer | undefined> {
  if (secretFile === undefined || secretFile === null) return undefined
  const contents = await contentsOf(name, 'secretFile', secretFile)
  try {
    return signingKey(contents)
  } catch (error) {
    throw complaint(name, 'secretFile', `${secretFile}: ${error instanceof Error ? error.message : error}`)
  }
}

/** RFC 7617. undici, unlike curl, leaves the user and the password of the URL alone. */
function basicAuthorization(name: string, url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {}
  try {
    const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
    return { authorization: `Basic ${Buffer.from(user).toString('base64')}` }
  } catch {
    throw complaint(name, 'url', 'found a % in the user or password that begins no escape, expected %25 for a %')
  }
}

/** All headers that the configuration adds, by lower-case name. */
async function headersOf({ name, headers, headersFile }: WebhookConfig): Promise<Record<string, string>> {
  const given = Object.entries(headers ?? {}).map(([header, value]) => ({ where: 'headers', header, value }))
  if (headersFile !== undefined && headersFile !== null) {
    const lines = (await contentsOf(name, 'headersFile', headersFile)).toString('utf8').split(/\r?\n/)
    for (const [index, line] of lines.entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue
      const where = `headersFile: ${headersFile}, line ${index + 1}`
      const colon = line.indexOf(':')
      if (colon < 1) throw complaint(name, where, 'found no "Name: value", expected one a line')
      given.push({ where, header: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() })
    }
  }
  const result: Record<string, string> = {}
  for (const { where, header, value } of given) {
    const key = header.toLowerCase()
    if (ownHeaders.has(key)) throw complaint(name, where, `found ${key}, which Nightjar sets itself; remove it`)
    try {
      validateHeaderName(header)
      validateHeaderValue(header, value)
    } catch (error) {
      throw complaint(name, where, error instanceof Error ? error.message : String(error))
    }
    result[key] = value
  }
  return result
}

async function tlsOf({ name, tls }: WebhookConfig): Promise<{ ca?: Buffer; cert?: Buffer; key?: Buffer }> {
  const { caFile, certFile, keyFile } = tls ?? {}
  const read = async (key: string, path: string | null | undefined) =>
    path === undefined || path === null ? undefined : await contentsOf(name, `tls.${key}`, path)
  const [ca, cert, key] = [
    await read('caFile', caFile),
    await read('certFile', certFile),
    await read('keyFile', keyFile),
  ]
  if ((cert === undefined) !== (key === undefined)) {
    const [there, missing] = cert === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile']
    throw complaint(name, 'tls', `found ${there} without ${missing}, expected both or neither`)
  }
  const material = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  try {
    // A file with no certificate in it would be taken for an empty list of authorities, and every receiver refused.
    if (ca !== undefined) new X509Certificate(ca)
    createSecureContext(material)
  } catch (error) {
    const files = [caFile, certFile, keyFile].filter((path) => path !== undefined && path !== null).join(', ')
    throw complaint(
      name,
      'tls',
      `can't use ${files} (${error instanceof Error ? error.message : error}), expected PEM files that belong together`,
    )
  }
  return material
}
