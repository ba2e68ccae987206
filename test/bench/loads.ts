/** The loads of the sensor's benchmark, compiled for this machine. */
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Load {
  kind: 'open' | 'exec' | 'connect' | 'turns' | 'run'
  count: number
  /** Times a second; absent: as fast as it goes. */
  rate?: number
  /** Processes that share the work: one alone can't start 2,000 programs a second everywhere. */
  shares?: number
  command?: readonly string[]
}

/** Seconds: by the clock, and on a processor by the load itself. */
export interface Done {
  count: number
  elapsed: number
  worked: number
}

export type Run = (load: Load) => Promise<Done>

/** Compiles the loads into `directory`, where they also work, in this cgroup. */
export function loadsIn(directory: string, cgroup: string): Run {
  const program = join(directory, 'load')
  execFileSync('gcc', ['-O2', '-o', program, join(import.meta.dirname, 'load.c')])

  const one = async ({ kind, count, rate = 0, command = [] }: Load): Promise<Done> => {
    const joining = ['-c', 'echo $$ > "$0"/cgroup.procs && exec "$@"', cgroup, program]
    const child = spawn('/bin/sh', [...joining, kind, String(count), String(rate), ...command], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      text += more
    })
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    if (code !== 0) throw new Error(`load ${kind}: exit code ${code}`)
    const [done = 0, elapsed = 0, worked = 0] = text.trim().split(' ').map(Number)
    return { count: done, elapsed: elapsed / 1e9, worked: worked / 1e9 }
  }

  return async (load) => {
    const { shares = 1, count, rate } = load
    const share = { ...load, count: Math.round(count / shares), ...(rate !== undefined && { rate: rate / shares }) }
    const all = await Promise.all(Array.from({ length: shares }, () => one(share)))
    return {
      count: all.reduce((sum, done) => sum + done.count, 0),
      elapsed: Math.max(...all.map(({ elapsed }) => elapsed)),
      worked: all.reduce((sum, done) => sum + done.worked, 0),
    }
  }
}

/** A cgroup that is called as a container's are, in the hierarchy of version 2: most of what runs on a node is in one. */
export function containerLikeCgroup(): string {
  const found = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1]
  if (found === undefined) throw new Error('no cgroup2 hierarchy in /proc/mounts')
  const path = join(found, randomBytes(32).toString('hex'))
  mkdirSync(path)
  return path
}

/** A small program in C, in so many files, and the command that builds all of it anew. */
export function smallBuild(directory: string, files: number): readonly string[] {
  const sources = join(directory, 'build')
  mkdirSync(sources)
  const headers = ['stdio', 'stdlib', 'string', 'errno', 'unistd', 'sys/socket', 'sys/stat', 'time', 'math']
  for (let n = 0; n < files; n++) {
    const functions = Array.from(
      { length: 40 },
      (_, at) =>
        `int f${n}_${at}(int a, char *b) { for (int i = 0; i < a; i++) b[i] ^= i * ${at}; return strlen(b) + a; }`,
    )
    const text = [...headers.map((name) => `#include <${name}.h>`), ...functions].join('\n')
    writeFileSync(join(sources, `part${n}.c`), n === 0 ? `${text}\nint main(void) { return 0; }\n` : `${text}\n`)
  }
  return ['sh', '-ec', 'cd build; for part in *.c; do gcc -O1 -c $part; done; gcc -o whole *.o']
}
