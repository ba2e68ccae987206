/** Boots each kernel with each Debian and prints what Nightjar did there: see README.md. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mirror, openArchive } from './archive.ts'
import { type BootFiles, bootFiles, disk } from './disks.ts'
import { type Finding, steps } from './findings.ts'
import { type Kernel, kernels, roots } from './kernels.ts'
import { boot } from './machine.ts'
import { type MachineName, machines } from './machines.ts'
import { table } from './table.ts'

const cache = process.env.NIGHTJAR_KERNELS_CACHE ?? '/var/cache/nightjar-kernels'
const repository = join(import.meta.dirname, '../..')
/** Milliseconds for one machine: it is emulated, and compiles the whole program three times. */
const limit = 60 * 60_000

const say = (text: string) => process.stderr.write(`kernels: ${text}\n`)
const message = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** Arguments: names of kernels, of suites and of steps; of each, none: all of them. */
const wanted = process.argv.slice(2)
const known: string[] = [...kernels.map(({ name }) => name), ...roots, ...steps]
const unknown = wanted.find((one) => !known.includes(one))
if (unknown !== undefined) {
  say(`found ${unknown}, expected any of ${known.join(', ')}`)
  process.exit(2)
}
const chosen = <T extends string>(all: readonly T[]): readonly T[] => {
  const some = all.filter((one) => wanted.includes(one))
  return some.length > 0 ? some : all
}

/** What is made for a machine like this one has no mark in its name. */
const marked = (name: string, machine: MachineName) => (machine === 'x64' ? name : `${name}-${machine}`)

/** Debian's root; made once. */
async function tree(suite: string, machine: MachineName): Promise<string> {
  const directory = join(cache, 'roots', marked(suite, machine))
  if (!existsSync(directory)) {
    say(`Debian ${marked(suite, machine)} (a minute or two)`)
    const unfinished = `${directory}.making`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(join(cache, 'roots'), { recursive: true })
    const options = [
      '--variant=minbase',
      '--include=bpftrace,busybox-static,libstdc++6',
      ...(machine === 'x64' ? [] : ['--foreign', `--arch=${machines[machine].debian}`]),
      suite,
      unfinished,
      await mirror(),
    ]
    execFileSync('debootstrap', options, { stdio: ['ignore', 'ignore', 'inherit'] })
    if (machine !== 'x64') unpackAll(unfinished)
    renameSync(unfinished, directory)
  }
  return directory
}

/** The same as a disk; made once. */
async function root(suite: string, machine: MachineName): Promise<string> {
  const file = join(cache, 'disks', `${marked(suite, machine)}.ext4`)
  if (!existsSync(file)) disk(await tree(suite, machine), file)
  return file
}

/**
 * What debootstrap does for a machine of another kind is only half of it: the packages that the system needs are unpacked, the
 * others lie there. Their own scripts can't run here, and nothing that is tried needs what they set up.
 */
function unpackAll(directory: string): void {
  const packages = join(directory, 'var/cache/apt/archives')
  for (const name of readdirSync(packages).filter((one) => one.endsWith('.deb')))
    execFileSync('dpkg-deb', ['--extract', join(packages, name), directory])
  rmSync(packages, { recursive: true })
}

/** What boots this kernel; made once. Undefined, and said why, if no suite has it. */
async function kernel({ name, suites, machine, roots: [own = roots[0]] }: Kernel): Promise<BootFiles | string> {
  const note = join(cache, 'boot', `${name}.json`)
  if (existsSync(note)) return JSON.parse(readFileSync(note, 'utf8'))
  const archive = await openArchive(join(cache, 'apt'))
  const reasons: string[] = []
  for (const suite of suites) {
    const packages = join(cache, 'packages', marked(suite, machine))
    try {
      if (!existsSync(packages)) {
        say(`the kernel of Debian ${marked(suite, machine)}`)
        rmSync(`${packages}.making`, { recursive: true, force: true })
        await archive.kernel(suite, machines[machine].debian, `${packages}.making`)
        renameSync(`${packages}.making`, packages)
      }
      const busybox = join(await tree(own, machine), 'bin/busybox')
      const packer = join(await tree(roots[0], 'x64'), 'bin/busybox')
      const files = bootFiles(packages, join(cache, 'boot', name), busybox, packer)
      writeFileSync(note, JSON.stringify(files))
      return files
    } catch (error) {
      const [why = ''] = message(error)
        .split('\n')
        .filter((line) => line.startsWith('E: '))
      reasons.push(`${suite}: ${why || message(error)}`)
      say(`not to be had: ${reasons.at(-1)}`)
    }
  }
  return reasons.join('; ')
}

/** Node.js of this checkout's version, for a machine of another kind than this one. */
function foreignNode(machine: MachineName): string {
  const { version } = JSON.parse(readFileSync(join(repository, 'node_modules/node/package.json'), 'utf8'))
  const directory = join(cache, 'node', `${machine}-${version}`)
  const file = join(directory, 'package/bin/node')
  if (existsSync(file)) return file
  mkdirSync(directory, { recursive: true })
  const archive = execFileSync('npm', ['pack', '--silent', `node-linux-${machine}@${version}`], { cwd: directory })
  execFileSync('tar', ['-xzf', String(archive).trim(), 'package/bin/node'], { cwd: directory })
  return file
}

/** This checkout as a disk: made anew each time. */
function product(machine: MachineName): string {
  const directory = join(cache, 'product')
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(join(directory, 'bin'), { recursive: true })
  for (const name of ['package.json', 'bpf', 'sensor', 'enrich', 'rules', 'exporters', 'test/kernels'])
    cpSync(join(repository, name), join(directory, name), { recursive: true })
  const lock = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8'))
  const packages: Record<string, { dev?: boolean }> = lock.packages
  const production = Object.keys(packages).filter(
    (name) => name.startsWith('node_modules/') && packages[name]?.dev !== true,
  )
  for (const name of production)
    if (existsSync(join(repository, name))) cpSync(join(repository, name), join(directory, name), { recursive: true })
  cpSync(
    machine === 'x64' ? join(repository, 'node_modules/node/bin/node') : foreignNode(machine),
    join(directory, 'bin/node'),
  )
  const programs: Record<string, { source: string; options?: readonly string[] }> = {
    acts: { source: 'test/kernels/guest/acts.c' },
    privilege: { source: 'test/e2e/privilege.c' },
    ...(machine === 'x64' && {
      compat64: { source: 'test/kernels/guest/compat.c' },
      // Of the C library nothing, as there is none for 32 bits.
      compat32: {
        source: 'test/kernels/guest/compat.c',
        options: ['-m32', '-nostdlib', '-fno-builtin', '-fno-pie', '-fno-stack-protector'],
      },
    }),
  }
  for (const [name, { source, options = [] }] of Object.entries(programs))
    execFileSync(machines[machine].compiler, [
      '-static',
      '-w',
      ...options,
      '-o',
      join(directory, 'bin', name),
      join(repository, source),
    ])
  const file = join(cache, 'disks', `${marked('product', machine)}.ext4`)
  disk(directory, file)
  rmSync(directory, { recursive: true })
  return file
}

mkdirSync(join(cache, 'disks'), { recursive: true })
mkdirSync(join(cache, 'results'), { recursive: true })
const checkouts = new Map<MachineName, string>()
let failed = false

for (const one of kernels.filter(({ name }) => chosen(kernels.map((each) => each.name)).includes(name))) {
  const { name, machine } = one
  const files = await kernel(one)
  const checkout = checkouts.get(machine) ?? product(machine)
  checkouts.set(machine, checkout)
  for (const suite of chosen(roots).filter((each) => one.roots.includes(each))) {
    const result = join(cache, 'results', `${name}-${suite}.json`)
    if (typeof files === 'string') {
      writeFileSync(result, JSON.stringify([{ step: 'missing', why: files }]))
      continue
    }
    const findings: Finding[] = []
    const since = performance.now()
    say(`${files.release} with ${suite}'s bpftrace`)
    try {
      await boot({
        kind: machines[machine],
        kernel: files.kernel,
        initrd: files.initrd,
        parameters: `nightjar.steps=${chosen(steps).join()}`,
        disks: [await root(suite, machine), checkout],
        console: join(cache, 'results', `${name}-${suite}.console`),
        limit,
        onLine(line) {
          const start = line.indexOf('{')
          if (start < 0) return
          const finding: Finding = JSON.parse(line.slice(start))
          findings.push(finding)
          if (finding.step !== 'act' || !finding.ok) say(`  ${JSON.stringify(finding)}`)
        },
      })
      if (findings.at(-1)?.step !== 'done') throw new Error('the machine was off before all was done; see its console')
    } catch (error) {
      findings.push({ step: 'broken', why: message(error) })
      say(`  ${message(error)}`)
    }
    findings.push({ step: 'took', seconds: Math.round((performance.now() - since) / 1000) })
    writeFileSync(result, JSON.stringify(findings, undefined, 1))
  }
}

const results = kernels.flatMap(({ name }) =>
  roots.flatMap((suite) => {
    const file = join(cache, 'results', `${name}-${suite}.json`)
    if (!readdirSync(join(cache, 'results')).includes(`${name}-${suite}.json`)) return []
    const findings: Finding[] = JSON.parse(readFileSync(file, 'utf8'))
    return [{ kernel: name, suite, findings }]
  }),
)
const { text, failures } = table(results)
process.stdout.write(text)
failed ||= failures > 0
process.exitCode = failed ? 1 : 0
