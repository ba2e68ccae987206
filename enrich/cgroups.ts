/**
 * Cgroup id -> path. The kernel side sends the id of the cgroup in the v2 hierarchy (bpf_get_current_cgroup_id: the
 * kernfs id, which on 64-bit kernels is the directory's inode number) and announces cgroups with their path. What was
 * not announced is found in the mounted hierarchy: the directory whose inode it is.
 *
 * Where there is no v2 hierarchy, or it doesn't show the process's cgroup (a cgroup namespace), the answer comes from
 * /proc/<pid>/cgroup while the process lives. Containers whose cgroups are of v1 alone the process table follows.
 */
import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { containerOf } from './containers.ts'

export type Cgroups = {
  /** Where the v2 hierarchy is mounted; undefined: none found, only /proc is asked. */
  hierarchy: string | undefined
  /**
   * The path from the root of the hierarchy, such as `/system.slice/ssh.service`, or `/` itself; undefined: not known.
   * `startTime` (any number that tells two processes with one pid apart) lets a container that /proc named be remembered.
   */
  pathOf(where: {
    cgroupId?: string | undefined
    pid?: number | undefined
    startTime?: number | undefined
  }): string | undefined
  /** A cgroup of the v2 hierarchy was announced (in tracepoint:cgroup:* these are the ones with root == 0). */
  made(id: string, path: string): void
  /** It was removed. Its path stays known for a while: events of its last processes may still come. */
  removed(id: string): void
}

const CGROUP2_SUPER_MAGIC = 0x63677270 // include/uapi/linux/magic.h

const mostKnown = 32_768
const mostGone = 4_096
const mostWalked = 50_000
// A walk takes some milliseconds on a full node: four at once, then one every 250 ms.
const walks = { atOnce: 4, everyMs: 250 }
const missingForMs = 1_000
// A process may enter its container at any moment. But two sensors must not ask for each other at each other's asking.
const onHostForMs = 100

/**
 * `root`: the mount point, or /sys/fs/cgroup of the host as seen from here; default: what this process has mounted.
 * `seesAll`: /proc numbers the processes as the kernel does. Where it doesn't (a nested PID namespace) it can't be asked.
 */
export function openCgroups(
  options: {
    root?: string
    proc?: string
    seesAll?: boolean
    clock?: () => number
    onWalk?: (directories: number) => void
  } = {},
): Cgroups {
  const { root, proc = '/proc', seesAll = true, clock = () => performance.now(), onWalk } = options
  const mount = root === undefined ? mounted(proc) : below(root)
  const known = new LRUCache<string, string>({ max: mostKnown })
  const gone = new LRUCache<string, string>({ max: mostGone })
  const missing = new LRUCache<string, number>({ max: mostGone })
  const ofProcess = new LRUCache<string, { path: string | undefined; at: number }>({ max: mostGone })
  // When all walks of the allowance will be there again.
  let restedAt = Number.NEGATIVE_INFINITY

  // Breadth first: a container that fills its own subtree with cgroups must not hide the others from the walk.
  function walk(): void {
    if (mount === undefined) return
    const directories = ['']
    for (const directory of directories) {
      try {
        const { ino } = statSync(mount.at + directory, { bigint: true })
        known.set(String(ino), mount.prefix + directory || '/')
        for (const entry of readdirSync(mount.at + directory, { withFileTypes: true })) {
          if (entry.isDirectory() && directories.length < mostWalked) directories.push(`${directory}/${entry.name}`)
        }
      } catch {
        // Removed since its parent was read.
      }
    }
    onWalk?.(directories.length)
  }

  function find(id: string): string | undefined {
    const path = known.get(id) ?? gone.get(id)
    if (path !== undefined || mount === undefined) return path
    const now = clock()
    if (now - (missing.get(id) ?? Number.NEGATIVE_INFINITY) < missingForMs) return undefined
    if (restedAt - now > (walks.atOnce - 1) * walks.everyMs) return undefined
    restedAt = Math.max(restedAt, now) + walks.everyMs
    walk()
    const found = known.get(id)
    if (found === undefined) missing.set(id, now)
    return found
  }

  function findByProcess(pid: number, startTime: number | undefined): string | undefined {
    const key = `${pid} ${startTime}`
    const now = clock()
    const remembered = ofProcess.get(key)
    // Only a container's path is kept: runc starts on the host and enters its container afterwards, and none leaves.
    const stays = startTime !== undefined && containerOf(remembered?.path ?? '')
    if (remembered && (stays || now - remembered.at < onHostForMs)) return remembered.path
    const path = processPath(pid, proc)
    ofProcess.set(key, { path, at: now })
    return path
  }

  walk()
  return {
    hierarchy: mount?.at,
    pathOf({ cgroupId, pid, startTime }) {
      const path = cgroupId === undefined ? undefined : find(cgroupId)
      return path ?? (pid === undefined || !seesAll ? undefined : findByProcess(pid, startTime))
    },
    made(id, path) {
      gone.delete(id)
      missing.delete(id)
      known.set(id, path)
    },
    removed(id) {
      const path = known.get(id)
      if (path === undefined) return
      known.delete(id)
      gone.set(id, path)
    },
  }
}

type Mount = { at: string; prefix: string }

/** proc_pid_mountinfo(5): id parent dev ROOT MOUNT-POINT options [optional ...] - TYPE source superoptions */
function mounted(proc: string): Mount | undefined {
  const mounts = read(join(proc, 'self/mountinfo'))
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[fields.indexOf('-', 6) + 1] === 'cgroup2')
    .map((fields) => ({ root: unescaped(fields[3] ?? ''), at: unescaped(fields[4] ?? '') }))
  // A container may have only its own part of the hierarchy at the usual place, and the whole of it elsewhere.
  const places = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']
  const whole = mounts.filter((mount) => mount.root === '/')
  const best = places.flatMap((at) => whole.find((mount) => mount.at === at) ?? [])[0] ?? whole[0] ?? mounts[0]
  // `..` leads out of this process's cgroup namespace: where to is not told.
  return best && { at: best.at, prefix: best.root === '/' || best.root.startsWith('/..') ? '' : best.root }
}

/** Mount points are written with octal escapes for blank, tab, newline and backslash. */
const unescaped = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** In a hybrid set-up the v2 hierarchy is in the directory `unified` beside those of v1. */
function below(root: string): Mount | undefined {
  const at = [root.replace(/(.)\/+$/, '$1'), join(root, 'unified')].find(isCgroup2)
  return at === undefined ? undefined : { at, prefix: '' }
}

function isCgroup2(directory: string): boolean {
  try {
    return statfsSync(directory).type === CGROUP2_SUPER_MAGIC
  } catch {
    return false
  }
}

/**
 * What /proc says of a process, cgroups(7): lines of hierarchy:controllers:path; hierarchy 0 is v2. A line that names a
 * container goes first. Undefined: there is no such process (any more).
 */
export function processPath(pid: number, proc = '/proc'): string | undefined {
  const hierarchies = read(join(proc, String(pid), 'cgroup'))
    .split('\n')
    .map((line) => /^(\d+):[^:]*:(.*)$/.exec(line))
    .flatMap((found) => (found?.[1] && found[2] ? [{ hierarchy: found[1], path: found[2] }] : []))
  const best =
    hierarchies.find(({ path }) => containerOf(path)) ??
    hierarchies.find(({ hierarchy }) => hierarchy === '0') ??
    hierarchies[0]
  return best?.path
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
