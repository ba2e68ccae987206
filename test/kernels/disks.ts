/** What a virtual machine is made of: an initial file system with the kernel's own modules, and disks. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** What stands between the kernel and its disks; those that a kernel has built in are not there. */
const needed = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'crc32c_cryptoapi', 'ext4', 'overlay']
/** A module that nothing needs: one to be loaded by the core. */
const spare = 'dummy'

export interface BootFiles {
  release: string
  kernel: string
  initrd: string
}

/** From the packages of a kernel, in `packages`, to what boots it, in `into`. `busybox` is the machine's, `packer` one that runs here. */
export function bootFiles(packages: string, into: string, busybox: string, packer: string): BootFiles {
  const whole = join(into, 'tree')
  rmSync(into, { recursive: true, force: true })
  mkdirSync(whole, { recursive: true })
  for (const name of readdirSync(packages).filter((one) => one.endsWith('.deb')))
    execFileSync('dpkg-deb', ['--extract', join(packages, name), whole])
  const boot = readdirSync(whole, { recursive: true, encoding: 'utf8' }).find((one) => /\/vmlinuz(-[^/]*)?$/.test(one))
  const modules = ['lib/modules', 'usr/lib/modules'].map((one) => join(whole, one)).find((one) => existsSync(one))
  const [release] = modules === undefined ? [] : readdirSync(modules)
  if (boot === undefined || modules === undefined || release === undefined)
    throw new Error(`${packages}: found no kernel with modules in there, expected one`)

  const start = join(into, 'start')
  for (const folder of ['bin', 'modules', 'extra']) mkdirSync(join(start, folder), { recursive: true })
  const files = modulesOf(join(modules, release))
  const order = loadOrder(needed, files)
  order.forEach((name, at) => {
    writeFileSync(join(start, 'modules', `${String(at).padStart(2, '0')}-${name}.ko`), textOf(files.get(name)))
  })
  writeFileSync(join(start, 'extra', `${spare}.ko`), textOf(files.get(spare)))
  cpSync(busybox, join(start, 'bin/busybox'))
  cpSync(join(import.meta.dirname, 'guest/init'), join(start, 'init'))
  execFileSync('sh', ['-c', `chmod 755 init && find . | ${packer} cpio -o -H newc | gzip -1 > ../initrd`], {
    cwd: start,
    stdio: ['ignore', 'ignore', 'ignore'],
  })
  const kernel = join(into, 'vmlinuz')
  renameSync(join(whole, boot), kernel)
  rmSync(whole, { recursive: true })
  rmSync(start, { recursive: true })
  return { release, kernel, initrd: join(into, 'initrd') }
}

/** Module name -> its file. */
function modulesOf(directory: string): Map<string, string> {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((one) =>
    /\.ko(\.xz|\.zst)?$/.test(one),
  )
  return new Map(
    files.map((file) => [
      basename(file)
        .replace(/\.ko.*$/, '')
        .replaceAll('-', '_'),
      join(directory, file),
    ]),
  )
}

/** A module as insmod takes it. */
function textOf(file: string | undefined): Buffer {
  if (file === undefined) return Buffer.alloc(0)
  const unpack = file.endsWith('.xz') ? 'xz' : file.endsWith('.zst') ? 'zstd' : undefined
  return unpack ? execFileSync(unpack, ['-dc', file], { maxBuffer: 64 << 20 }) : readFileSync(file)
}

/** Those modules and what they depend on, as their `.modinfo` says (kernel/module, `depends=`), each after what it needs. */
function loadOrder(names: readonly string[], files: ReadonlyMap<string, string>): string[] {
  const order: string[] = []
  const add = (name: string) => {
    const file = files.get(name)
    if (file === undefined || order.includes(name)) return
    const [, depends = ''] = /\0depends=([^\0]*)\0/.exec(textOf(file).toString('latin1')) ?? []
    for (const one of depends.split(',')) add(one.replaceAll('-', '_'))
    order.push(name)
  }
  for (const name of names) add(name)
  return order
}

/** A directory as a disk: an ext4 that is just large enough. */
export function disk(directory: string, file: string): void {
  const [size = '0'] = execFileSync('du', ['-sm', directory], { encoding: 'utf8' }).split('\t')
  const unfinished = `${file}.making`
  rmSync(unfinished, { force: true })
  execFileSync('mke2fs', [
    '-q',
    '-t',
    'ext4',
    '-O',
    '^has_journal',
    '-d',
    directory,
    unfinished,
    `${Math.ceil(Number(size) * 1.15) + 64}M`,
  ])
  renameSync(unfinished, file)
}
