/** The TLS part of a receiver's configuration. Certificates are always checked. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureVersion } from 'node:tls'
import { type Static, Type } from '../sensor/schema.ts'
import type { Complain } from './complaint.ts'
import { FilePath } from './receiver-config.ts'
import { contentsOf } from './secret-text.ts'

const versions = ['TLSv1.2', 'TLSv1.3'] as const

export const TlsConfig = Type.Object(
  {
    caFile: FilePath('PEM certificates of the authorities to trust, in place of the well-known ones.'),
    certFile: FilePath('PEM certificate that the sensor shows the receiver.'),
    keyFile: FilePath('PEM private key of that certificate.'),
    minVersion: Type.Optional(
      Type.Enum([...versions], { default: 'TLSv1.2', description: 'The oldest version that is spoken.' }),
    ),
  },
  { additionalProperties: false },
)
export type TlsConfig = Static<typeof TlsConfig>

export interface TlsOptions {
  ca?: Buffer
  cert?: Buffer
  key?: Buffer
  minVersion: SecureVersion
  rejectUnauthorized: true
}

/** For tls.connect and what calls it. Rejects with what is wrong with the files. */
export async function tlsOptions(config: TlsConfig | undefined, complain: Complain): Promise<TlsOptions> {
  const { caFile, certFile, keyFile, minVersion = 'TLSv1.2' } = config ?? {}
  const read = async (key: string, path: string | null | undefined) =>
    path === undefined || path === null ? undefined : await contentsOf(path, `tls.${key}`, complain)
  const ca = await read('caFile', caFile)
  const cert = await read('certFile', certFile)
  const key = await read('keyFile', keyFile)
  if ((cert === undefined) !== (key === undefined)) {
    const [there, missing] = cert === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile']
    throw complain('tls', `found ${there} without ${missing}, expected both or neither`)
  }
  const material = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), minVersion }
  try {
    // A file with no certificate in it would be taken for an empty list of authorities, and every receiver refused.
    if (ca !== undefined) new X509Certificate(ca)
    createSecureContext(material)
  } catch (error) {
    const files = [caFile, certFile, keyFile].filter((path) => path !== undefined && path !== null).join(', ')
    const reason = error instanceof Error ? error.message : error
    throw complain('tls', `can't use ${files} (${reason}), expected PEM files that belong together`)
  }
  return { ...material, rejectUnauthorized: true }
}
