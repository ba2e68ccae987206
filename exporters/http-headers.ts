/** The headers that a receiver's configuration adds to each request. */
import type { Complain } from './complaint.ts'
import { contentsOf, withSecrets } from './secret-text.ts'

// As in server.ts: an import would load Node's own copy of undici, too.
const { validateHeaderName, validateHeaderValue } = process.getBuiltinModule('node:http')

/** Headers that say what the exporter itself does; another value would be a lie, or break the request. */
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

/** RFC 7617. undici, unlike curl, leaves the user and the password of the URL alone. */
export function basicAuthorization(url: URL, complain: Complain): Record<string, string> {
  if (url.username === '' && url.password === '') return {}
  try {
    const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
    return { authorization: `Basic ${Buffer.from(user).toString('base64')}` }
  } catch {
    throw complain('url', 'found a % in the user or password that begins no escape, expected %25 for a %')
  }
}

/** By lower-case name; those of the file win. Rejects with what is wrong, without the values. */
export async function configuredHeaders(
  { headers, headersFile }: { headers?: Record<string, string>; headersFile?: string | null },
  complain: Complain,
): Promise<Record<string, string>> {
  const given: { where: string; header: string; value: string }[] = []
  for (const [header, value] of Object.entries(headers ?? {}))
    given.push({ where: 'headers', header, value: await withSecrets(value, 'headers', complain) })
  if (headersFile !== undefined && headersFile !== null) {
    const lines = (await contentsOf(headersFile, 'headersFile', complain)).toString('utf8').split(/\r?\n/)
    for (const [index, line] of lines.entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue
      const where = `headersFile: ${headersFile}, line ${index + 1}`
      const colon = line.indexOf(':')
      if (colon < 1) throw complain(where, 'found no "Name: value", expected one a line')
      given.push({ where, header: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() })
    }
  }
  const result: Record<string, string> = {}
  for (const { where, header, value } of given) {
    const key = header.toLowerCase()
    if (ownHeaders.has(key)) throw complain(where, `found ${key}, which Nightjar sets itself; remove it`)
    try {
      validateHeaderName(header)
      validateHeaderValue(header, value)
    } catch (error) {
      throw complain(where, error instanceof Error ? error.message : String(error))
    }
    result[key] = value
  }
  return result
}
