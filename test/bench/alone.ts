/** bpftrace by itself, with a program of a line or two: what a sensor made of it can't do without. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { findingIn, worked } from './watched.ts'

export interface Alone {
  /** Seconds on a processor since it began. */
  work(): number
  stop(): Promise<void>
}

/** What it prints itself, which is also when it writes out what it has: a sensor's latency asks for more of that. */
const tick = 'interval:ms:100 { @tick = 1; print(@tick); }'

/** Resolves when its probes are attached; `path` is put before PATH, to find another bpftrace. */
export async function runAlone(program: string, path: string | undefined): Promise<Alone> {
  const child = spawn('bpftrace', ['-B', 'full', '-e', `${program}\n${tick}`], {
    env: findingIn(path),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const attached = Promise.withResolvers<void>()
  let ticks = 0
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = text
  })
  createInterface(child.stdout).on('line', (line) => {
    // What is attached last is so a moment after the first tick.
    if (line.startsWith('@tick') && ++ticks === 3) attached.resolve()
  })
  exited.then(() => attached.reject(new Error(`bpftrace ended: ${complaint}`)))
  await attached.promise
  return {
    work: () => worked(child.pid ?? 0),
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
