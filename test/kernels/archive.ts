/** Debian's archive, for suites that this machine itself does not use: apt with a configuration of its own. */
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** Of the package debian-archive-keyring, which every Debian has. */
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Where Debian is downloaded from: NIGHTJAR_DEBIAN_MIRROR, or what apt on this machine is set up with. */
export async function mirror(): Promise<string> {
  const { NIGHTJAR_DEBIAN_MIRROR: chosen } = process.env
  if (chosen) return chosen
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI)',
    'Created-By: Packages',
    'Label: Debian',
  ])
  const [first] = stdout.split('\n')
  if (!first)
    throw new Error('found no archive of Debian in the configuration of apt, expected one; set NIGHTJAR_DEBIAN_MIRROR')
  return first
}

export interface Archive {
  /**
   * Downloads the packages of the kernel of this suite for this kind of machine (as Debian names it) into `directory`.
   * Rejects with apt's words if it can't be had.
   */
  kernel(suite: string, machine: string, directory: string): Promise<void>
}

/** @param directory Where apt keeps its lists. */
export async function openArchive(directory: string): Promise<Archive> {
  const from = await mirror()
  const apt = async (suite: string, machine: string, command: string, args: string[], cwd = directory) => {
    const own = join(directory, machine === 'amd64' ? suite : `${suite}-${machine}`)
    for (const folder of ['etc', 'lists/partial', 'cache/archives/partial'])
      mkdirSync(join(own, folder), { recursive: true })
    writeFileSync(join(own, 'etc/sources.list'), `deb [signed-by=${keyring}] ${from} ${suite} main\n`)
    writeFileSync(join(own, 'status'), '')
    const settings = {
      'Dir::Etc': join(own, 'etc'),
      'Dir::State': own,
      'Dir::State::status': join(own, 'status'),
      'Dir::Cache': join(own, 'cache'),
      'Acquire::Languages': 'none',
      // A package is written where root alone may write.
      'APT::Sandbox::User': 'root',
      'APT::Architecture': machine,
      'APT::Architectures': machine,
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    const { stdout } = await run(command, [...options, ...args], { cwd, maxBuffer: 64 << 20 })
    return stdout
  }
  /** What a package needs of the kernel's own: its image alone, or what newer ones have divided it into. */
  const parts = async (suite: string, machine: string, name: string): Promise<string[]> => {
    const stdout = await apt(suite, machine, 'apt-cache', ['depends', '--important', name])
    const needed = [...stdout.matchAll(/^\s*Depends: (linux-(?:image|binary|modules)-\d\S+)$/gm)].map(
      ([, one = '']) => one,
    )
    const further = await Promise.all(needed.map((one) => parts(suite, machine, one)))
    return [...new Set([...needed, ...further.flat()])]
  }
  return {
    async kernel(suite, machine, into) {
      await apt(suite, machine, 'apt-get', ['-q', 'update', '-o', 'APT::Update::Error-Mode=any'])
      const names = await parts(suite, machine, `linux-image-${machine}`)
      mkdirSync(into, { recursive: true })
      for (const name of names) await apt(suite, machine, 'apt-get', ['-q', 'download', name], into)
    },
  }
}
