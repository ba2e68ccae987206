/** npm run manifests */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { made } from './manifests.ts'

for (const [file, contents] of Object.entries(made)) writeFileSync(join(import.meta.dirname, file), contents())
