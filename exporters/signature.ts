/**
 * Standard Webhooks (https://www.standardwebhooks.com): the receiver learns that a message is ours, unaltered, recent
 * and not one it had before. Its specification calls the identifier, the time and the body joined by dots "signed
 * content".
 */
import { createHmac } from 'node:crypto'

const prefix = 'whsec_'

/**
 * The key from the contents of a secret file, less one newline at its end: base64 after `whsec_`, else the bytes as
 * they are. Throws an error that says what is wrong, without the secret.
 */
export function signingKey(contents: Buffer): Buffer {
  const text = contents.toString('latin1').replace(/\r?\n$/, '')
  if (text === '') throw new Error('found an empty file, expected a secret of 24 to 64 random bytes')
  if (!text.startsWith(prefix)) return Buffer.from(text, 'latin1')
  const base64 = text.slice(prefix.length)
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64))
    throw new Error(`found ${prefix} with something that is not base64 after it`)
  return Buffer.from(base64, 'base64')
}

/** The three headers. `time` is that of the attempt, Unix time in milliseconds; without a key nothing is signed. */
export function webhookHeaders(id: string, time: number, body: string, key?: Buffer): Record<string, string> {
  const timestamp = String(Math.floor(time / 1000))
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp }
  if (key === undefined) return headers
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { ...headers, 'webhook-signature': `v1,${signature}` }
}
