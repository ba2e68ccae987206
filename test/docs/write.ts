/** Writes the generated documents anew, after a rule, an act, a field, a metric or a key changed: `npm run docs` */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { documents } from './documents.ts'

for (const [file, text] of Object.entries(await documents()))
  writeFileSync(join(import.meta.dirname, '../..', file), text)
