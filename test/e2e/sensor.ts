/** Starts the real sensor as its user does, and reads what it says. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import type { Event, EventType } from '../../sensor/event.ts'
import { checks } from '../../sensor/requirements.ts'

export const root = join(import.meta.dirname, '../..')
const main = join(root, 'sensor/main.ts')

const missing = (await checks()).filter(({ ok }) => ok === false).map(({ name, found }) => `${name}: ${found}`)

/** The tests that need a kernel which lets itself be watched: skipped with the reason elsewhere, failed in CI. */
export const kernelTest = missing.length === 0 || process.env.CI === 'true' ? test : test.skip
if (missing.length > 0) process.stderr.write(`no end-to-end tests here: ${missing.join('; ')}\n`)

/** A list that grows, and those who wait for something in it. */
export interface Journal<T> {
  readonly all: T[]
  /** The first one, old or new, that is meant. Rejects after `within` milliseconds with what came instead. */
  first(meant: (item: T) => boolean, within?: number): Promise<T>
}

export interface Sensor {
  readonly child: ChildProcess
  readonly alerts: Journal<Alert & { arrived: number }>
  readonly log: Journal<Record<string, unknown> & { msg: string }>
  /** Where /metrics is. */
  readonly url: string
  readonly exited: Promise<number | null>
  metric(name: string): Promise<number>
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>
}

export function journal<T>(): Journal<T> & { add(item: T): void } {
  const all: T[] = []
  const waiting = new Set<() => void>()
  return {
    all,
    add(item) {
      all.push(item)
      for (const look of waiting) look()
    },
    first: (meant, within = 15_000) =>
      new Promise((resolve, reject) => {
        const give = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`not seen in ${within} ms; seen: ${JSON.stringify(all.slice(-20), undefined, 1)}`))
        }, within)
        const look = () => {
          const found = all.find(meant)
          if (found === undefined) return
          clearTimeout(give)
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
      }),
  }
}

/** The command line of the product, in a process of its own. */
export function nightjar(args: string[], options: { env?: NodeJS.ProcessEnv; wrap?: string[] } = {}): ChildProcess {
  const [command = '', ...rest] = [...(options.wrap ?? []), process.execPath, main, ...args]
  return spawn(command, rest, {
    cwd: root,
    env: { ...process.env, KUBECONFIG: '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs a command to its end. */
export async function output(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', '']
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stdout, stderr }
}

/**
 * A sensor that watches, with a metrics port of its own, within `patience` milliseconds. Of the shipped packs it has those
 * named, by default the first one alone: the kernel program for all of them takes its time to attach.
 */
export async function startSensor(
  options: {
    args?: string[]
    packs?: string[] | 'all'
    env?: NodeJS.ProcessEnv
    wrap?: string[]
    patience?: number
  } = {},
): Promise<Sensor> {
  const { args = [], packs = ['nightjar'] } = options
  const shipped = packs === 'all' ? [] : packs.flatMap((pack) => ['--rules', join(root, `rules/packs/${pack}.json`)])
  const rules = packs === 'all' || args.includes('--no-builtin-rules') ? [] : ['--no-builtin-rules', ...shipped]
  const child = nightjar(['run', '--output', 'json', '--metrics', '127.0.0.1:0', ...rules, ...args], options)
  const alerts = journal<Alert & { arrived: number }>()
  const log = journal<Record<string, unknown> & { msg: string }>()
  if (!child.stdout || !child.stderr) throw new Error('no pipes')
  createInterface(child.stdout).on('line', (line) => alerts.add({ ...JSON.parse(line), arrived: Date.now() }))
  createInterface(child.stderr).on('line', (line) => log.add(line.startsWith('{') ? JSON.parse(line) : { msg: line }))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  await Promise.race([
    log.first(({ msg }) => msg === 'watching', options.patience ?? 45_000),
    exited.then((code) => {
      throw new Error(`the sensor ended with ${code}: ${log.all.map(({ msg }) => msg).join('\n')}`)
    }),
  ]).catch((problem) => {
    child.kill('SIGTERM') // Nobody is given the sensor, so nobody else would stop it.
    throw problem
  })
  const { address } = await log.first(({ msg }) => msg === 'metrics')
  const url = `http://${address}`
  return {
    child,
    alerts,
    log,
    url,
    exited,
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text()
      const lines = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line.charAt(name.length)))
      expect(lines, `metric ${name}`).not.toHaveLength(0)
      return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
    },
    async stop() {
      child.kill('SIGTERM')
      return exited
    },
  }
}

export interface EventStream {
  readonly events: Journal<Event>
  /** Resolves when the kernel probes are attached; rejects if the command ends before. */
  readonly attached: Promise<void>
  readonly pid: number | undefined
  /** Resolves when all is told of a process that has ended; exits must be watched. */
  ended(pid: number | undefined): Promise<void>
  /** What it has logged so far. */
  log(): string
  stop(): Promise<void>
}

/** `nightjar events` of these types. */
export function watchEvents(types: readonly EventType[]): EventStream {
  const events = journal<Event>()
  const child = nightjar(['events', '--type', types.join()])
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Error('no pipes')
  createInterface(stdout).on('line', (line) => events.add(JSON.parse(line)))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  let log = ''
  const attached = new Promise<void>((resolve, reject) => {
    stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
      if (text.includes('kernel probes attached')) resolve()
    })
    ended.then((code) => reject(new Error(`ended with ${code}: ${log}`)))
  })
  const exit = (pid: number | undefined) => events.first(({ type, process }) => type === 'exit' && process?.pid === pid)
  return {
    events,
    attached,
    pid: child.pid,
    async ended(pid) {
      await exit(pid)
      // bpftrace before 0.20 reads one processor's buffer after the other: what came before the exit may come behind it.
      await exit(await act('true', []))
    },
    log: () => log,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Runs a program to its end; its exit code doesn't matter, its events do. */
export function act(
  command: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<number> {
  const child = spawn(command, args, { ...options, stdio: 'ignore' })
  const pid = child.pid
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve(pid ?? 0))
  })
}

/** Waits until the sensor has judged what happened before this call. */
export async function settled(sensor: Sensor): Promise<void> {
  const before = await sensor.metric('nightjar_events_total{type="exit"}')
  await act('true', [])
  await expect
    .poll(() => sensor.metric('nightjar_events_total{type="exit"}'), { timeout: 10_000 })
    .toBeGreaterThan(before)
}
