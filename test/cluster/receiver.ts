/** What the receiver's pod was sent, as it comes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Alert } from '../../sensor/alert.ts'
import { namespaces } from './scene.ts'

export interface Delivery {
  /** When all of it had come: Unix time in milliseconds, by the clock of the node. */
  arrived: number
  headers: Record<string, string>
  body: string
  alert: Alert
}

export interface Receiver {
  readonly deliveries: readonly Delivery[]
  /** Reads what the pod of the moment prints, from its start. */
  follow(): void
  /** The first delivery, old or new, that is meant. Rejects after `within` milliseconds with what came instead. */
  first(meant: (alert: Alert) => boolean, within?: number): Promise<Delivery>
  close(): void
}

export function openReceiver(): Receiver {
  const deliveries: Delivery[] = []
  const waiting = new Set<() => void>()
  let logs: ChildProcess | undefined
  let complaints = ''

  const taken = (line: string) => {
    const delivery = JSON.parse(line)
    deliveries.push({ ...delivery, alert: JSON.parse(delivery.body) })
    for (const look of waiting) look()
  }

  return {
    deliveries,
    follow() {
      logs?.kill()
      logs = spawn('kubectl', ['logs', '--namespace', namespaces.outside, '--follow', 'deployment/receiver'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      if (logs.stdout) createInterface(logs.stdout).on('line', taken)
      logs.stderr?.setEncoding('utf8').on('data', (text: string) => {
        complaints += text
      })
    },
    first: (meant, within = 20_000) =>
      new Promise((resolve, reject) => {
        const giveUp = setTimeout(() => {
          waiting.delete(look)
          const came = deliveries.map(({ alert }) => `${alert.time} ${alert.rule.id}: ${alert.message}`)
          reject(new Error(`not delivered within ${within} ms; what came: ${[...came, complaints].join('\n')}`))
        }, within)
        const look = () => {
          const found = deliveries.find(({ alert }) => meant(alert))
          if (!found) return
          clearTimeout(giveUp)
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
    close() {
      logs?.kill()
    },
  }
}
