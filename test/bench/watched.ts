/** A running sensor as a benchmark sees it: what it takes of the machine, and what it says of itself. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Samples of /metrics by name and labels as they are written there. */
export type Samples = ReadonlyMap<string, number>

export interface Watched {
  readonly pids: { node: number; bpftrace: number }
  /** Seconds on a processor, of node and of bpftrace, since they began. */
  work(): { node: number; bpftrace: number }
  /** MiB that are resident, of the same two. */
  memory(): { node: number; bpftrace: number }
  samples(): Promise<Samples>
  /** Resolves when it has little to do. */
  idle(): Promise<void>
  /** Resolves when what happened before the call is judged; gives the samples of then. */
  settled(): Promise<Samples>
  /** Seconds from start to the first events. */
  readonly startup: number
  stop(): Promise<void>
}

const main = join(import.meta.dirname, '../../sensor/main.ts')
/**
 * Seconds on a processor, of the threads that a process has now. By what the scheduler counts, nanoseconds
 * (Documentation/scheduler/sched-stats.rst): the hundredths of a second of /proc/<pid>/stat are too coarse for one that idles.
 */
export function worked(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const nanoseconds = threads.map((one) =>
    Number(readFileSync(`/proc/${pid}/task/${one}/schedstat`, 'utf8').split(' ')[0]),
  )
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9
}

export const resident = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

/** Instructions that the kernel's verifier walked through for the programs that a process holds; 0 before Linux 5.16. */
export function verified(pid: number): number {
  const directory = `/proc/${pid}/fdinfo`
  return readdirSync(directory).reduce((sum, descriptor) => {
    const text = readFileSync(join(directory, descriptor), 'utf8')
    return sum + Number(/^verified_insns:\s+(\d+)$/m.exec(text)?.[1] ?? 0)
  }, 0)
}

/** An environment in which programs are looked for here first. */
export const findingIn = (path: string | undefined): NodeJS.ProcessEnv => ({
  ...process.env,
  ...(path && { PATH: `${path}:${process.env.PATH}` }),
})

/**
 * Starts `nightjar run` with all shipped rules, by its own first line, which says how V8 is started; `path` is put before
 * PATH, to find another bpftrace.
 */
export async function watch(path: string | undefined): Promise<Watched> {
  const since = performance.now()
  const child = spawn(main, ['run', '--output', 'none', '--metrics', '127.0.0.1:0'], {
    env: { ...findingIn(path), KUBECONFIG: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const said: string[] = []
  const told = Promise.withResolvers<{ bpftrace: number; url: string }>()
  let [bpftrace, url] = [0, '']
  createInterface(child.stderr).on('line', (line) => {
    said.push(line)
    const about = line.startsWith('{') ? JSON.parse(line) : {}
    if (about.msg === 'kernel probes attached') bpftrace = about.pid
    if (about.msg === 'metrics') url = `http://${about.address}/metrics`
    if (about.msg === 'watching') told.resolve({ bpftrace, url })
  })
  exited.then(() => told.reject(new Error(`the sensor ended: ${said.join('\n')}`)))
  const pids = await told.promise
  const startup = (performance.now() - since) / 1000
  const node = child.pid ?? 0

  const samples = async (): Promise<Samples> => {
    const text = await (await fetch(pids.url)).text()
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    )
  }
  const work = () => ({ node: worked(node), bpftrace: worked(pids.bpftrace) })
  return {
    pids: { node, bpftrace: pids.bpftrace },
    startup,
    samples,
    work,
    async idle() {
      for (let before = -1, spent = 1; spent > 0.03; ) {
        await new Promise((resolve) => setTimeout(resolve, 250))
        const { node, bpftrace } = work()
        spent = before < 0 ? 1 : node + bpftrace - before
        before = node + bpftrace
      }
    },
    memory: () => ({ node: resident(node), bpftrace: resident(pids.bpftrace) }),
    async settled() {
      // A process of ours begins and ends now. Its events come last: until then the counters of its kind grow.
      const count = (all: Samples) => all.get('nightjar_events_total{type="exit"}') ?? 0
      for (let quiet = 0, before = -1; quiet < 3; ) {
        await new Promise<void>((resolve) => spawn('/bin/true').once('close', () => resolve()))
        await new Promise((resolve) => setTimeout(resolve, 100))
        const now = count(await samples())
        // One of ours each time, and a few of others: more than that is a backlog that is being worked off.
        quiet = before >= 0 && now - before < 60 ? quiet + 1 : 0
        before = now
      }
      return samples()
    },
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}
