/**
 * Cuts a recorded capture down to what its script did: other programs of the machine, the lineage above the script and
 * the machine's name are nobody's business. What the attacks did stays as the kernel told it.
 *
 *   node test/captures/trim.ts RECORDED SCRIPT CAPTURE
 */
import { createCapture, readCapture } from '../../sensor/capture.ts'
import type { ProcessBase } from '../../sensor/event.ts'

const [recorded = '', script = '', capture = ''] = process.argv.slice(2)
const isScript = ({ command_args }: ProcessBase) => command_args?.some((arg) => arg.endsWith(script)) ?? false

const writer = await createCapture(capture)
const { truncated } = await readCapture(recorded, (event) => {
  const ancestors = event.process?.ancestors ?? []
  const at = ancestors.findIndex(isScript)
  if (!event.process || at < 0 || isScript(event.process)) return
  writer.write({
    ...event,
    process: { ...event.process, ancestors: ancestors.slice(0, at) },
    host: { ...event.host, name: 'demo' },
  })
})
await writer.close()
if (truncated !== undefined) throw new Error(truncated)
