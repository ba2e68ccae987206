/** Each shipped rule fires on a real act: the alert of the act's own container, or process tree, within seconds. */
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import { packs } from '../acts/proofs.ts'
import { containers, onHost } from './container.ts'
import { kernelTest, type Sensor, startSensor } from './sensor.ts'

const own = containers('acts')
let sensor: Sensor
beforeAll(async () => {
  sensor = await startSensor({ packs: 'all', patience: 100_000 })
}, 110_000)
afterAll(async () => {
  await sensor?.stop()
  own.close()
})

const within = (pid: number, { process }: Alert) =>
  process?.pid === pid || (process?.ancestors ?? []).some((ancestor) => ancestor.pid === pid)

describe.concurrent.each(Object.entries(packs))('the pack %s', (_, acts) => {
  for (const act of acts) {
    if ('shownBy' in act) kernelTest.skip(`${act.rule}: in ${act.shownBy}`, () => {})
    else if ('why' in act) kernelTest.skip(`${act.rule}: ${act.why}`, () => {})
    else
      kernelTest(act.rule, async () => {
        const container = act.host === true ? undefined : own.make()
        const { pid, code, stderr } = await (container?.run ?? onHost)(act.script)
        expect(code, stderr).toBe(0)
        const mine = (alert: Alert) => (container ? alert.container?.id === container.id : within(pid, alert))
        await sensor.alerts
          .first((alert) => mine(alert) && alert.rule.id === act.rule, 20_000)
          .catch(() => {
            const others = sensor.alerts.all.filter(mine).map(({ rule, message }) => `${rule.id}: ${message}`)
            expect.fail(`no alert of it, but: ${others.join('\n') || 'none'}`)
          })
      })
  }
})
