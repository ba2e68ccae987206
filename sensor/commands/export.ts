/** `nightjar export test`: one sample alert to each receiver of the configuration, and what each said. */
import { hostname } from 'node:os'
import { ulid } from 'ulid'
import type { Outcome, Receiver } from '../../exporters/receiver.ts'
import { type Alert, alertSchema } from '../alert.ts'
import { rfc3339 } from '../alerts.ts'
import { type Config, loadConfig } from '../config.ts'
import { createReceivers } from '../exporting.ts'
import { UsageError } from '../usage.ts'
import { version } from '../version.ts'

/** Sets the exit code 1 if a receiver didn't take it. Throws UsageError if there is none, or one can't be set up. */
export async function exportTest(options: { config?: string }): Promise<void> {
  const config: Config = options.config === undefined ? {} : loadConfig(options.config)
  const receivers = await createReceivers(config)
  if (receivers.length === 0)
    throw new UsageError(
      'found no receiver in the configuration, expected one, such as exporters.webhooks; see --config',
    )
  const alert = sample(Date.now())
  const width = Math.max(...receivers.map(({ name }) => name.length))
  const tried = receivers.map(async (receiver) => {
    const { isDelivered, said } = await tell(receiver, alert)
    process.stdout.write(`${receiver.name.padEnd(width)}  ${receiver.address}  ${said}\n`)
    return isDelivered
  })
  const results = await Promise.all(tried)
  if (results.includes(false)) process.exitCode = 1
}

async function tell(receiver: Receiver, alert: Alert): Promise<{ isDelivered: boolean; said: string }> {
  const { timeout } = receiver
  const controller = new AbortController()
  const late = () => controller.abort(new DOMException(`no answer within ${timeout} ms`, 'TimeoutError'))
  const timer = setTimeout(late, timeout)
  const began = performance.now()
  const outcome = await receiver.attempt([alert], controller.signal)
  const took = Math.round(performance.now() - began)
  clearTimeout(timer)
  await receiver.close()
  return { isDelivered: outcome.verdict === 'delivered' && !outcome.refused, said: `${inWords(outcome)}, ${took} ms` }
}

function inWords(outcome: Outcome): string {
  if (outcome.verdict === 'failed') return `FAILED (${outcome.reason}): ${outcome.detail}`
  const { detail } = outcome
  if (outcome.verdict === 'refused' || outcome.refused) return `REFUSED: ${detail}`
  return detail === undefined ? 'delivered' : `delivered: ${detail}`
}

/** What a receiver gets at any other time, but that it says what it is. */
function sample(now: number): Alert {
  const time = rfc3339(now)
  return {
    schema: alertSchema,
    id: ulid(now),
    time,
    rule: { id: 'export-test', name: 'Test of a receiver', pack: 'nightjar', tags: {} },
    severity: 'info',
    priority: 0,
    message:
      'This is a test of the way from Nightjar to you, asked for with "nightjar export test". Nothing has happened.',
    event: { type: 'exec' },
    process: {
      name: 'true',
      executable: { path: '/usr/bin/true', name: 'true' },
      command_args: ['true'],
      command_line: 'true',
    },
    host: { name: hostname() },
    count: 1,
    first_seen: time,
    last_seen: time,
    sensor: { version, node: hostname(), lost_events: 0 },
  }
}
