/**
 * Text of the configuration with secrets in it that are elsewhere: `${env:NAME}` is a variable of the sensor's environment,
 * `${file:PATH}` the contents of a file less one newline at the end. A secret is taken as it is: what looks like another
 * reference in it is none.
 */
import { readFile } from 'node:fs/promises'
import type { Complain } from './complaint.ts'

/** For a person. */
export const references = '$' + '{env:NAME} and $' + '{file:PATH}'

const reference = /\$\{(env|file):([^}]+)\}/g

/** The files that a text takes secrets from. */
export const filesIn = (text: string): string[] =>
  [...text.matchAll(reference)].flatMap(([, source, name]) => (source === 'file' && name !== undefined ? [name] : []))

export async function withSecrets(text: string, key: string, complain: Complain): Promise<string> {
  const sources: Record<string, (name: string) => Promise<string>> = {
    env: async (name) => {
      const value = process.env[name]
      if (value === undefined || value === '')
        throw complain(key, `found no environment variable ${name}, expected one that is set`)
      return value
    },
    file: async (path) => (await contentsOf(path, key, complain)).toString('utf8').replace(/\r?\n$/, ''),
  }
  const values: string[] = []
  for (const [, source = '', name = ''] of text.matchAll(reference)) values.push((await sources[source]?.(name)) ?? '')
  return text.replace(reference, () => values.shift() ?? '')
}

export async function contentsOf(path: string, key: string, complain: Complain): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw complain(key, `can't read the file (${reason}); create it, or correct the path`)
  }
}
