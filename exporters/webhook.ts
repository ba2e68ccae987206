/** Alerts as HTTP POST requests, signed as Standard Webhooks has it. */
import { createHash } from 'node:crypto'
import type { Alert } from '../sensor/alert.ts'
import { Type } from '../sensor/schema.ts'
import { type Complain, complaintAbout } from './complaint.ts'
import { type FormatName, formatNames, formats } from './formats.ts'
import { httpPost } from './http.ts'
import { basicAuthorization, configuredHeaders } from './http-headers.ts'
import type { Receiver } from './receiver.ts'
import { FilePath, type ReceiverConfig, receiverProperties, receiverSettings } from './receiver-config.ts'
import { contentsOf, references, withSecrets } from './secret-text.ts'
import { signingKey, webhookHeaders } from './signature.ts'
import { TlsConfig, tlsOptions } from './tls.ts'

/** One entry of `exporters.webhooks` in the configuration. Files are read when the receiver is made. */
export const WebhookConfig = Type.Object(
  {
    name: Type.String({
      title: 'a name of letters, digits, dots, underscores and hyphens, at most 63',
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
      description: 'Names the receiver in logs, metrics and the spool; unique among the exporters.',
    }),
    url: Type.String({
      title: 'an http:// or https:// URL',
      pattern: '^(https?://|\\$\\{(env|file):)',
      description: `Where the alerts are posted; may hold ${references}. Redirects are not followed.`,
    }),
    format: Type.Optional(Type.Enum([...formatNames], { default: 'native', description: 'How an alert is written.' })),
    secretFile: FilePath(
      'Secret of the Standard Webhooks signature: base64 after "whsec_", else the bytes of the file, less one newline.',
    ),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: `Headers to send; values may hold ${references}.`,
      }),
    ),
    headersFile: FilePath(
      'More headers, from a file as secrets are: one "Name: value" a line, # begins a comment line. They win.',
    ),
    tls: Type.Optional(TlsConfig),
    ...receiverProperties,
  },
  { additionalProperties: false, description: 'A receiver of alerts by HTTP.' },
)

export interface WebhookConfig extends ReceiverConfig {
  name: string
  url: string
  format?: FormatName
  secretFile?: string | null
  headers?: Record<string, string>
  headersFile?: string | null
  tls?: TlsConfig
}

/**
 * Opens the way to one receiver. Rejects, with an error for a person, if the configuration names a file that can't be
 * read or a value that can't be used; whether the receiver is there shows with the first alert.
 *
 * @param now Unix time in milliseconds
 */
export async function webhook(config: WebhookConfig, now: () => number = Date.now): Promise<Receiver> {
  const complain = complaintAbout(`exporters.webhooks, "${config.name}"`)
  const settings = receiverSettings(config, complain)
  const formatName = config.format ?? 'native'
  const format = formats[formatName]
  const { one, many } = format
  if (settings.batch !== undefined && many === undefined)
    throw complain('batch', `found a batch, but the format ${formatName} has one alert a request; remove it`)
  const url = await urlOf(config, complain)
  const key = await keyOf(config, complain)
  const headers = {
    ...basicAuthorization(url, complain),
    ...(await configuredHeaders(config, complain)),
    'content-type': (settings.batch && format.batchContentType) || format.contentType,
  }
  const tls = await tlsOptions(config.tls, complain)
  const { post, close } = httpPost(url, { tls, now, ...settings })

  return {
    name: config.name,
    // Neither the user, nor the path, nor the query: any of them can be the secret.
    address: url.origin,
    ...settings,
    async attempt(alerts, signal) {
      const [first] = alerts
      const body = settings.batch && many ? many(alerts) : first === undefined ? '' : one(first)
      const signed = webhookHeaders(messageId(alerts, settings.batch !== undefined), now(), body, key)
      return (await post({ body, headers: { ...headers, ...signed } }, signal)).outcome
    },
    close,
  }
}

/** The same for every attempt with the same alerts: the alert's own id, or a digest of all ids in a batch. */
function messageId(alerts: readonly Alert[], isBatch: boolean): string {
  const ids = alerts.map(({ id }) => id).join(' ')
  return isBatch ? `batch_${createHash('sha256').update(ids).digest('hex').slice(0, 32)}` : ids
}

async function urlOf({ url }: WebhookConfig, complain: Complain): Promise<URL> {
  const parsed = URL.parse(await withSecrets(url, 'url', complain))
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed
  throw complain('url', 'found something else than an http or https URL, expected one such as https://soc.example/x')
}

async function keyOf({ secretFile }: WebhookConfig, complain: Complain): Promise<Buffer | undefined> {
  if (secretFile === undefined || secretFile === null) return undefined
  const contents = await contentsOf(secretFile, 'secretFile', complain)
  try {
    return signingKey(contents)
  } catch (error) {
    throw complain('secretFile', `${secretFile}: ${error instanceof Error ? error.message : error}`)
  }
}
