import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import { startAttacker } from './attacker.ts'
import { reverseShells } from './reverse-shells.ts'
import { act, kernelTest, type Sensor, settled, startSensor } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-shells-'))
let sensor: Sensor

describe('a reverse shell raises one critical alert, with peer, arguments and ancestors', () => {
  beforeAll(async () => {
    sensor = await startSensor()
  })
  afterAll(async () => {
    await sensor?.stop()
    rmSync(directory, { recursive: true })
  })

  for (const shell of reverseShells)
    kernelTest(shell.name, async () => {
      // The answer proves that the shell was one: `$(( ))` is worked out by it.
      const attacker = await startAttacker('echo owned-by-$((40+2)); sleep 0.3; exit\n')
      const home = join(directory, String(attacker.port))
      // PS1 and HOME: no start-up files of this machine's user in an interactive shell.
      const args = shell.args(attacker.port, directory)
      await act('timeout', ['10', shell.command, ...args], { env: { PATH: process.env.PATH, HOME: home } })
      for (const fifo of ['f', 'g']) rmSync(join(directory, fifo), { force: true })
      await attacker.close()
      expect(attacker.heard(), `the shell obeyed: ${attacker.heard()}`).toContain('owned-by-42')

      const mine = ({ rule, process }: Alert) =>
        rule.id === 'reverse-shell' && process?.stdin?.peer?.port === attacker.port
      const alert = await sensor.alerts.first(mine)
      expect(alert.severity).toBe('critical')
      expect(alert.process?.name).toMatch(shell.program)
      expect(alert.process?.stdin?.peer?.ip).toBe('127.0.0.1')
      expect(alert.process?.command_args?.length).toBeGreaterThan(0)
      const lineage = [alert.process, ...(alert.process?.ancestors ?? [])].map((process) => process?.command_line)
      expect(lineage.join('\n'), 'the whole command line of who started it').toContain(
        ['timeout', '10', shell.command, ...args].join(' '),
      )
      expect(alert.identity?.subject).toBe('user:root')
      expect(alert.arrived - Date.parse(alert.time), 'milliseconds from the kernel to the alert').toBeLessThan(1000)

      // A later act of ours has been judged: whatever the shell did before has been, too.
      await settled(sensor)
      expect(sensor.alerts.all.filter(mine), 'one alert, not five').toHaveLength(1)
    })
})
