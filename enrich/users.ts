/** User id -> name, from the host's user database. */
import { readFileSync, statSync } from 'node:fs'

export type Users = {
  /** undefined: the file has no such user, or there is no file. */
  nameOf(uid: number): string | undefined
}

const recheckMs = 1_000

/** `path`: the host's passwd file (passwd(5)), read again when it changed; looked at once a second at most. */
export function openUsers(options: { path?: string; clock?: () => number } = {}): Users {
  const { path = '/etc/passwd', clock = () => performance.now() } = options
  let names = new Map<number, string>()
  let version = ''
  let checkedAt = Number.NEGATIVE_INFINITY

  function refresh(): void {
    checkedAt = clock()
    try {
      const { ino, size, mtimeNs } = statSync(path, { bigint: true })
      // useradd writes a new file and renames it: the inode tells what a coarse mtime may not.
      const found = `${ino} ${size} ${mtimeNs}`
      if (found === version) return
      names = parse(readFileSync(path, 'utf8'))
      version = found
    } catch {
      names = new Map()
      version = ''
    }
  }

  return {
    nameOf(uid) {
      if (clock() - checkedAt >= recheckMs) refresh()
      return names.get(uid)
    },
  }
}

/** name:password:uid:... Of several names for one uid the first counts, as for getpwuid(3). */
function parse(passwd: string): Map<number, string> {
  const names = new Map<number, string>()
  for (const line of passwd.split('\n')) {
    const [name, , uid] = line.split(':')
    if (name && uid && /^\d+$/.test(uid) && !names.has(Number(uid))) names.set(Number(uid), name)
  }
  return names
}
