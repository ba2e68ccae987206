// helm test: every sensor of the release answers, sees, and has counted what happened on its node.
import { lookup } from 'node:dns/promises'

const [service, port] = process.argv.slice(-2)
const sensors = await lookup(service, { all: true })
let failed = 0
for (const { address, family } of sensors) {
  const url = `http://${family === 6 ? `[${address}]` : address}:${port}`
  const ask = async (path) => {
    const answer = await fetch(url + path, { signal: AbortSignal.timeout(10_000) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return text
  }
  const counted = (metrics, name) =>
    metrics
      .split('\n')
      .filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
  try {
    await ask('/healthz')
    await ask('/readyz')
    const metrics = await ask('/metrics')
    const events = counted(metrics, 'nightjar_events_total{')
    if (counted(metrics, 'nightjar_probe_up') !== 1) throw new Error('/metrics: nightjar_probe_up is not 1')
    if (events === 0) throw new Error('/metrics: it has counted no event')
    console.log(`${url}: sees; ${events} events, ${counted(metrics, 'nightjar_events_lost_total{')} lost`)
  } catch (error) {
    failed++
    console.error(`${url}: ${error.message}`)
  }
}
console.log(`${sensors.length - failed} of ${sensors.length} sensors are well`)
process.exit(sensors.length === 0 || failed > 0 ? 1 : 0)
