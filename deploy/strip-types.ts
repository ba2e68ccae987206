/**
 * Takes the types out of the TypeScript in these folders, in place: `node deploy/strip-types.ts DIRECTORY...`, for the image.
 * The files stay TypeScript by their names, and every line and column stays where it was. What Node would do as it starts
 * is done once, and the compiler that it does it with, 17 MiB of memory, is never loaded (deploy/nightjar).
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

for (const directory of process.argv.slice(2))
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, name)
    if (name.endsWith('.ts')) writeFileSync(path, stripTypeScriptTypes(readFileSync(path, 'utf8')))
  }
