import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { publishedSchemas } from '../../sensor/published-schemas.ts'

for (const [file, schema] of Object.entries(publishedSchemas()))
  test(`${file} is what the sensor checks by (npm run schemas writes it anew)`, () => {
    const published: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../sensor', file), 'utf8'))
    expect(published).toEqual(schema)
  })
