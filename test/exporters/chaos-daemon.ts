/**
 * What the daemon does with alerts, without the kernel: real configuration, spool and delivery. Raises the alerts that no
 * run before it has, and keeps count in a file, as many bytes as alerts.
 *
 *   node chaos-daemon.ts CONFIG COUNT-FILE TOTAL
 */
import { openSync, statSync, writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { createMetrics } from '../../exporters/metrics.ts'
import { severities } from '../../sensor/alert.ts'
import { loadConfig } from '../../sensor/config.ts'
import { openExporting } from '../../sensor/exporting.ts'
import { createLog } from '../../sensor/log.ts'
import { bareAlert } from './sample.ts'

const [configFile = '', countFile = '', total = ''] = process.argv.slice(2)
const metrics = createMetrics()
const exporting = await openExporting(loadConfig(configFile), { output: 'none', metrics, log: createLog() })
const counted = openSync(countFile, 'a')
let ending = false
process.once('SIGTERM', () => {
  ending = true
})

/** Alerts between two marks in the count: so many are raised twice, under the same id, after a kill. */
const chunk = 100
/** More are not raised before some are delivered: the limits of the spool are for another test. */
const mostWaiting = 20_000

const sample = bareAlert()
const waiting = async () => (await metrics.spoolAlerts.get()).values[0]?.value ?? 0

for (let next = statSync(countFile).size; next < Number(total) && !ending; next += chunk) {
  while (!ending && (await waiting()) > mostWaiting) await pause(20)
  for (let number = next; number < next + chunk; number++) {
    const id = `01M8${String(number).padStart(22, '0')}`
    const alert = { ...sample, id, severity: severities[number % severities.length] ?? 'low' }
    for (const exporter of exporting.exporters()) exporter.send(alert)
  }
  writeSync(counted, '.'.repeat(chunk))
  await pause(1)
}
while (!ending) await pause(20)
await exporting.close(1200)
