/** The JSON Schemas (2020-12) of what goes in and out, as other programs and editors use them. */
import { Alert } from './alert.ts'
import { Config } from './config.ts'

const dialect = 'https://json-schema.org/draft/2020-12/schema'

/** File name (in this folder) -> schema. */
export const publishedSchemas = (): Record<string, object> => ({
  'alert.schema.json': published(Alert),
  'config.schema.json': published(Config),
})

/** Without the protobuf field numbers, which are the capture's own affair. */
function published(schema: object): object {
  return { $schema: dialect, ...JSON.parse(JSON.stringify(schema, (key, value) => (key === 'n' ? undefined : value))) }
}
