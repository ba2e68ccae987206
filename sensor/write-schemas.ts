/**
 * Writes sensor/alert.schema.json and sensor/config.schema.json anew, after alert.ts, event.ts or config.ts changed:
 * `npm run schemas`
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { publishedSchemas } from './published-schemas.ts'

for (const [file, schema] of Object.entries(publishedSchemas()))
  writeFileSync(join(import.meta.dirname, file), `${JSON.stringify(schema, null, 2)}\n`)
