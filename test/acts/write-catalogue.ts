/** Writes docs/shipped-rules.md and docs/navigator.json anew, after a rule or an act changed: `npm run docs` */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { documents } from './documents.ts'

for (const [file, text] of Object.entries(await documents()))
  writeFileSync(join(import.meta.dirname, '../..', file), text)
