/** The alerts that an agent prints, as they come; also those of the time when nobody could read them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Alert } from '../../sensor/alert.ts'

export interface AgentLog {
  /** Each once, in the order in which they were printed. */
  alerts(): Alert[]
  /**
   * Reads the pod's log from its start, again and again while the API server doesn't let it. Of the pod before, what it has
   * printed is read to its end.
   */
  follow(namespace: string, pod: string): void
  /** Resolves when this gives something. Rejects after `within` milliseconds with what came instead. */
  until<T>(found: (alerts: Alert[]) => T | undefined | false, within?: number): Promise<T>
  close(): void
}

const againAfter = 500

export function openAgentLog(): AgentLog {
  const alerts = new Map<string, Alert>()
  const waiting = new Set<() => void>()
  let logs: ChildProcess | undefined
  let closed = false

  const taken = (line: string) => {
    if (!line.startsWith('{"schema"')) return
    const alert: Alert = JSON.parse(line)
    if (alerts.has(alert.id)) return
    alerts.set(alert.id, alert)
    for (const look of waiting) look()
  }

  function follow(namespace: string, pod: string): void {
    const reading = spawn('kubectl', ['logs', '--namespace', namespace, '--follow', pod], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    logs = reading
    const isCurrent = () => !closed && logs === reading
    createInterface(reading.stdout).on('line', taken)
    reading.once('close', () => setTimeout(() => isCurrent() && follow(namespace, pod), againAfter))
  }

  return {
    alerts: () => [...alerts.values()],
    follow,
    until: (found, within = 30_000) =>
      new Promise((resolve, reject) => {
        const giveUp = setTimeout(() => {
          waiting.delete(look)
          const came = [...alerts.values()].slice(-40).map(({ time, message }) => `${time} ${message}`)
          reject(new Error(`not seen within ${within} ms; what came last:\n${came.join('\n')}`))
        }, within)
        const look = () => {
          const result = found([...alerts.values()])
          if (result === undefined || result === false) return
          clearTimeout(giveUp)
          waiting.delete(look)
          resolve(result)
        }
        waiting.add(look)
        look()
      }),
    close() {
      closed = true
      logs?.kill()
    },
  }
}
