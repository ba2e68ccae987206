/** Throwaway containers, as the kubelet makes them but for the runtime: a cgroup with its name, and namespaces. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { openCgroups } from '../../enrich/cgroups.ts'

export interface Ran {
  /** What holds the script's process tree: the first process that the test started. */
  readonly pid: number
  readonly code: number | null
  readonly stderr: string
}

export interface Container {
  /** As the runtime would name it, and as alerts do. */
  readonly id: string
  /** Runs a script in it by `sh -e`, in mount, PID, UTS and network namespaces of its own. */
  run(script: string): Promise<Ran>
}

const namespaces = ['--mount', '--pid', '--uts', '--net', '--fork', '--kill-child', '--mount-proc']
const longest = 20_000

function ran(command: string, args: string[]): Promise<Ran> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: longest, killSignal: 'SIGKILL' })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ pid: child.pid ?? 0, code, stderr }))
  })
}

/** Runs a script on the host, in namespaces of its own. */
export const onHost = (script: string): Promise<Ran> => ran('unshare', [...namespaces, 'sh', '-ec', script])

/** A place in the cgroup hierarchy for the containers of one test file; `close` removes them all. */
export function containers(name: string): { make(): Container; close(): void } {
  const own = join(openCgroups().hierarchy ?? '/sys/fs/cgroup', `nightjar-${name}-${process.pid}`)
  return {
    make() {
      const id = randomBytes(32).toString('hex')
      const cgroup = join(own, 'kubepods/burstable', `pod${crypto.randomUUID()}`, id)
      mkdirSync(cgroup, { recursive: true })
      const enter = ['-c', `echo $$ > "$0" && exec unshare ${namespaces.join(' ')} sh -ec "$1"`]
      return { id, run: (script) => ran('sh', [...enter, join(cgroup, 'cgroup.procs'), script]) }
    },
    close: () => removeCgroup(own),
  }
}

function removeCgroup(directory: string): void {
  let entries: { isDirectory(): boolean; name: string }[]
  try {
    entries = readdirSync(directory, { withFileTypes: true })
  } catch {
    return // Nothing was made.
  }
  for (const entry of entries) if (entry.isDirectory()) removeCgroup(join(directory, entry.name))
  rmdirSync(directory)
}
