/**
 * Alerts as OpenTelemetry logs, over OTLP/HTTP in protobuf. https://opentelemetry.io/docs/specs/otlp/#otlphttp
 *
 * What the configuration doesn't say, the environment may, by OpenTelemetry's own variables. An answer that refuses some
 * of the records (partial success) is counted, and those are not sent again, as the specification has it.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Type } from '../sensor/schema.ts'
import { type Complain, complaintAbout } from './complaint.ts'
import { type HttpPost, httpPost } from './http.ts'
import { basicAuthorization, configuredHeaders } from './http-headers.ts'
import { decodePartialSuccess, encodeLogs } from './otlp-messages.ts'
import { resourceLogs } from './otlp-record.ts'
import { printable } from './printable.ts'
import type { Outcome, Receiver } from './receiver.ts'
import { FilePath, type ReceiverConfig, receiverProperties, receiverSettings } from './receiver-config.ts'
import { references, withSecrets } from './secret-text.ts'
import { TlsConfig, tlsOptions } from './tls.ts'

export const OtlpConfig = Type.Object(
  {
    endpoint: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        default: null,
        description:
          'Where a collector listens, such as http://collector:4318; /v1/logs is added if the path is not that already. null: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, then OTEL_EXPORTER_OTLP_ENDPOINT, else nothing is sent.',
      }),
    ),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: `Headers to send, besides OTEL_EXPORTER_OTLP_HEADERS; values may hold ${references}.`,
      }),
    ),
    headersFile: FilePath(
      'More headers, from a file as secrets are: one "Name: value" a line, # begins a comment line. They win.',
    ),
    compression: Type.Optional(Type.Enum(['gzip', 'none'], { default: 'gzip', description: 'Of the body.' })),
    tls: Type.Optional(TlsConfig),
    ...receiverProperties,
  },
  { additionalProperties: false, description: 'An OpenTelemetry collector, or another receiver of OTLP/HTTP.' },
)

export interface OtlpConfig extends ReceiverConfig {
  endpoint?: string | null
  headers?: Record<string, string>
  headersFile?: string | null
  compression?: 'gzip' | 'none'
  tls?: TlsConfig
}

type Environment = Readonly<Record<string, string | undefined>>

const complain: Complain = complaintAbout('exporters.otlp')
const defaultBatch = { size: 100, wait: '200ms' }
const logsPath = '/v1/logs'
const compress = promisify(gzip)

/** By OpenTelemetry's rules the variable for logs comes before the one for all signals. */
const variable = (environment: Environment, name: string): string | undefined =>
  environment[`OTEL_EXPORTER_OTLP_LOGS_${name}`] || environment[`OTEL_EXPORTER_OTLP_${name}`] || undefined

/**
 * The way to the collector; undefined if neither the configuration nor the environment names one. Rejects, with an error
 * for a person, if a value can't be used.
 *
 * @param now Unix time in milliseconds
 */
export async function otlp(
  config: OtlpConfig = {},
  environment: Environment = process.env,
  now: () => number = Date.now,
): Promise<Receiver | undefined> {
  const url = await endpointOf(config, environment)
  if (url === undefined) return undefined
  const settings = receiverSettings(
    { batch: defaultBatch, ...timeoutOf(environment), ...config, ...(config.batch === null && { batch: { size: 1 } }) },
    complain,
  )
  const compression = config.compression ?? (variable(environment, 'COMPRESSION') === 'none' ? 'none' : 'gzip')
  const headers = {
    ...basicAuthorization(url, complain),
    ...pairsOf(environment, 'OTEL_EXPORTER_OTLP_LOGS_HEADERS', 'OTEL_EXPORTER_OTLP_HEADERS'),
    ...(await configuredHeaders(config, complain)),
    'content-type': 'application/x-protobuf',
    ...(compression === 'gzip' && { 'content-encoding': 'gzip' }),
  }
  const tls = await tlsOptions({ ...tlsOf(environment), ...config.tls }, complain)
  const serviceName = environment.OTEL_SERVICE_NAME
  const resource = {
    ...pairsOf(environment, 'OTEL_RESOURCE_ATTRIBUTES'),
    ...(serviceName && { 'service.name': serviceName }),
  }
  const { post, close } = httpPost(url, { tls, now, ...settings })

  return {
    name: 'otlp',
    address: url.origin,
    ...settings,
    async attempt(alerts, signal) {
      const message = encodeLogs(resourceLogs(alerts, { observed: now(), resource }))
      const body = compression === 'gzip' ? await compress(message) : Buffer.from(message)
      return outcomeOf(await post({ body, headers }, signal))
    },
    close,
  }
}

/** OTLP/HTTP: these may be tried again, and no other status. Where there was no answer, too. */
const temporary = new Set([429, 502, 503, 504, undefined])

function outcomeOf({ outcome, body, status }: Awaited<ReturnType<HttpPost['post']>>): Outcome {
  if (outcome.verdict === 'failed' && !temporary.has(status)) return { verdict: 'refused', detail: outcome.detail }
  if (outcome.verdict !== 'delivered') return outcome
  const { rejected = 0, message = '' } = decodePartialSuccess(body) ?? {}
  if (rejected <= 0) return { verdict: 'delivered' }
  const detail = `${rejected} records rejected: ${printable(message).slice(0, 200)}`
  return { verdict: 'delivered', refused: rejected, detail }
}

async function endpointOf({ endpoint }: OtlpConfig, environment: Environment): Promise<URL | undefined> {
  const { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: forLogs, OTEL_EXPORTER_OTLP_ENDPOINT: forAll } = environment
  if (typeof endpoint === 'string') {
    const url = httpUrl(await withSecrets(endpoint, 'endpoint', complain), 'endpoint')
    return url.pathname.endsWith(logsPath) ? url : forLogsAt(url)
  }
  const protocol = variable(environment, 'PROTOCOL')
  if ((forLogs || forAll) && protocol !== undefined && protocol !== 'http/protobuf') {
    const expected = 'expected http/protobuf, or an endpoint of it as exporters.otlp.endpoint'
    throw complain('OTEL_EXPORTER_OTLP_PROTOCOL', `found ${JSON.stringify(protocol)}, ${expected}`)
  }
  if (forLogs) return httpUrl(forLogs, 'OTEL_EXPORTER_OTLP_LOGS_ENDPOINT')
  if (forAll) return forLogsAt(httpUrl(forAll, 'OTEL_EXPORTER_OTLP_ENDPOINT'))
  return undefined
}

function httpUrl(text: string, key: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw complain(key, 'found something else than an http or https URL, expected one such as http://collector:4318')
}

function forLogsAt(base: URL): URL {
  const url = new URL(base)
  url.pathname = `${base.pathname.replace(/\/+$/, '')}${logsPath}`
  return url
}

/** Milliseconds, by OpenTelemetry's rules. */
function timeoutOf(environment: Environment): { timeout?: string } {
  const text = variable(environment, 'TIMEOUT')
  if (text === undefined) return {}
  if (/^[1-9]\d*$/.test(text.trim())) return { timeout: `${text.trim()}ms` }
  throw complain('OTEL_EXPORTER_OTLP_TIMEOUT', `found ${JSON.stringify(text)}, expected milliseconds such as 10000`)
}

function tlsOf(environment: Environment): TlsConfig {
  const caFile = variable(environment, 'CERTIFICATE')
  const certFile = variable(environment, 'CLIENT_CERTIFICATE')
  const keyFile = variable(environment, 'CLIENT_KEY')
  return { ...(caFile && { caFile }), ...(certFile && { certFile }), ...(keyFile && { keyFile }) }
}

/** `name=value,other=value`, values percent-encoded (W3C Baggage), of the first of these variables that is set. */
function pairsOf(environment: Environment, ...names: string[]): Record<string, string> {
  const name = names.find((name) => environment[name])
  const pairs = (name === undefined ? '' : (environment[name] ?? '')).split(',').filter((pair) => pair.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      // The value may be a secret.
      if (equals < 1) throw complain(name ?? '', 'found an entry without "=", expected name=value,other=value')
      const key = pair.slice(0, equals).trim()
      return [name?.endsWith('HEADERS') ? key.toLowerCase() : key, decoded(pair.slice(equals + 1).trim())]
    }),
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
