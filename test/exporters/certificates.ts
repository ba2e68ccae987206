/** Certificates of an authority of the test's own, made by openssl in a folder of the test's. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const ecKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export interface Files {
  certFile: string
  keyFile: string
}

function openssl(...args: string[]) {
  execFileSync('openssl', args, { stdio: 'pipe' })
}

/** A self-signed certificate, fit to sign others. */
export function authority(folder: string, name: string): Files {
  const files = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) }
  openssl(
    'req',
    '-x509',
    ...ecKey,
    '-keyout',
    files.keyFile,
    '-out',
    files.certFile,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  )
  return files
}

/** A certificate for a subject such as `IP:127.0.0.1`, signed by the authority. */
export function signed(folder: string, name: string, subjectAltName: string, by: Files): Files {
  const files = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) }
  const signer = ['-CA', by.certFile, '-CAkey', by.keyFile]
  const extensions = ['-addext', `subjectAltName=${subjectAltName}`, '-addext', 'basicConstraints=critical,CA:FALSE']
  openssl(
    'req',
    '-x509',
    ...ecKey,
    ...signer,
    '-keyout',
    files.keyFile,
    '-out',
    files.certFile,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    ...extensions,
  )
  return files
}
