/** From the act to the receiver, with a receiver that is away and a sensor that is killed in between. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect } from 'vitest'
import { idsOf, receiver } from '../exporters/receiver.ts'
import { act, kernelTest, type Sensor, startSensor } from './sensor.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const rule = {
  id: 'marked',
  name: 'A marked program',
  description: 'A program that a test runs.',
  on: ['exec'],
  when: { 'process.command_args': 'nightjar-spool-test' },
  severity: 'high',
  message: '{process.command_line}',
}

/** A sensor with one rule, and these receivers. */
async function setUp() {
  const folder = mkdtempSync(join(tmpdir(), 'nightjar-e2e-spool-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  const files = { rules: join(folder, 'rules.json'), config: join(folder, 'config.json'), spool: join(folder, 'spool') }
  writeFileSync(files.rules, JSON.stringify({ pack: 'test', version: '1', rules: [rule] }))
  const receivers = (...webhooks: object[]) =>
    writeFileSync(files.config, JSON.stringify({ exporters: { spool: { directory: files.spool }, webhooks } }))
  const start = async (): Promise<Sensor> => {
    const sensor = await startSensor({ args: ['--no-builtin-rules', '--rules', files.rules, '--config', files.config] })
    cleanups.push(() => sensor.child.kill('SIGKILL'))
    return sensor
  }
  return { ...files, receivers, start }
}

const retry = { initialDelay: '20ms', maxDelay: '100ms' }
const mark = (sensor: Sensor, name: string) =>
  act('true', ['nightjar-spool-test', name]).then(() => sensor.alerts.first(({ message }) => message.endsWith(name)))

describe('a sensor that is killed', () => {
  kernelTest(
    'has lost no alert: the next one delivers what waited, under the same ids, before what is new',
    async () => {
      const { receivers, start, spool } = await setUp()
      const away = await receiver()
      await away.close()
      receivers({ name: 'soc', url: away.url, retry })
      const first = await start()
      const alerts = [await mark(first, 'one'), await mark(first, 'two'), await mark(first, 'three')]
      expect(await first.metric('nightjar_spool_alerts')).toBe(3)
      first.child.kill('SIGKILL')
      await first.exited
      expect(readdirSync(spool).some((file) => file.startsWith('high-'))).toBe(true)

      const second = await start()
      alerts.push(await mark(second, 'four'))
      const soc = await receiver({ port: away.port })
      cleanups.push(() => soc.close())
      expect(idsOf(await soc.got(4))).toEqual(alerts.map(({ id }) => id))
      expect(await second.stop()).toBe(0)
    },
  )
})

describe('SIGHUP', () => {
  kernelTest(
    'exchanges receivers; one that stays goes on where it was, a bad configuration changes nothing',
    async () => {
      const { receivers, start, config } = await setUp()
      const away = await receiver()
      await away.close()
      receivers({ name: 'soc', url: away.url, retry })
      const sensor = await start()
      const alerts = [await mark(sensor, 'one')]
      const reload = async (meant: string) => {
        const told = () => sensor.log.all.filter(({ msg }) => msg.includes(meant)).length
        const before = told()
        sensor.child.kill('SIGHUP')
        await expect.poll(told, { timeout: 15_000 }).toBe(before + 1)
      }
      writeFileSync(config, JSON.stringify({ exporters: { webhooks: [{ name: 'soc', url: 'nowhere' }] } }))
      await reload('not reloaded')
      alerts.push(await mark(sensor, 'two'))

      const [soc, other] = [await receiver({ port: away.port }), await receiver()]
      cleanups.push(
        () => soc.close(),
        () => other.close(),
      )
      receivers({ name: 'soc', url: soc.url, retry }, { name: 'other', url: other.url, retry })
      await reload('reloaded;')
      alerts.push(await mark(sensor, 'three'))
      expect(idsOf(await soc.got(3))).toEqual(alerts.map(({ id }) => id))
      expect(idsOf(await other.got(1))).toEqual([alerts[2]?.id])
      expect(await sensor.stop()).toBe(0)
    },
  )
})
