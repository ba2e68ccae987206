/**
 * Writes rules/schema.json anew, after the event, the operators or the schema changed:
 * `node rules/write-schema.ts && biome format --write rules/schema.json`
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { publishedSchema } from './schema.ts'

await writeFile(join(import.meta.dirname, 'schema.json'), `${JSON.stringify(publishedSchema(), null, 2)}\n`)
