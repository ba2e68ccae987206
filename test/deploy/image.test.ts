import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const repository = resolve(import.meta.dirname, '../..')
const script = join(repository, 'deploy/image')
const image = (...directories: string[]) => spawnSync('/bin/sh', [script, ...directories], { encoding: 'utf8' })

test('a directory with something in it is refused and left as it is', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-image-'))
  try {
    writeFileSync(join(directory, 'mine'), '')
    const { status, stderr } = image(directory)
    expect(status).toBe(1)
    expect(stderr).toContain(`${directory}: found something there, expected a directory that is new or empty`)
    expect(readdirSync(directory)).toEqual(['mine'])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('without a directory it says how it is called', () => {
  const { status, stderr } = image()
  expect(status).toBe(2)
  expect(stderr).toContain('npm run image -- DIR')
})

const text = (file: string) => readFileSync(join(repository, file), 'utf8')
/** Commands over several lines as one; comments left out. */
const commands = (file: string) =>
  text(file)
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
const withEngine = commands('deploy/Dockerfile')
const without = commands('deploy/image')
const sorted = (words: readonly string[]) => [...words].sort()

describe('deploy/Dockerfile and deploy/image make the same', () => {
  test("Debian's packages, and bpftrace of one version", () => {
    const [, list = ''] = /apt-get install -y --no-install-recommends ([^&]*)/.exec(withEngine) ?? []
    const [, version] = /'bpftrace=([\d.]+)\.\*'/.exec(list) ?? []
    const packages = list
      .trim()
      .split(' ')
      .map((name) => name.replaceAll("'", '').replace(/=.*/, ''))
    const [, others = ''] = /^packages=(.*)$/m.exec(without) ?? []
    // The base image has node's libstdc++6 already.
    expect(sorted([...packages, 'libstdc++6'])).toEqual(sorted(others.split(',')))
    expect(version).toBe(/^bpftrace=([\d.]+)$/m.exec(without)?.[1])
  })

  test('the Debian release, and the Node.js of package-lock.json', () => {
    const [, node, suite] = /^ARG NODE_IMAGE=node:([\d.]+)-(\w+)-slim$/m.exec(withEngine) ?? []
    expect(suite).toBe(/^suite=(\w+)$/m.exec(without)?.[1])
    expect(node).toBe(JSON.parse(text('package-lock.json')).packages['node_modules/node'].version)
  })

  test('the parts of the product', () => {
    const copied = [...withEngine.matchAll(/^COPY (?!--)(.*) \S+$/gm)].flatMap(([, from = '']) => from.split(' '))
    const parts = copied
      .map((name) => name.replace('*', ''))
      .filter((name) => !/^(package-lock.json|.npmrc)$/.test(name))
    const [, others = ''] = /^for part in (.*); do$/m.exec(without) ?? []
    expect(sorted([...new Set(parts)])).toEqual(sorted(others.split(' ')))
    const sent = text('deploy/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
    for (const part of parts) expect(sent).toContain(`!${part}`)
  })

  test('production packages by one command, without declarations and source maps, and no program that changes user', () => {
    for (const step of [
      'npm ci --omit=dev --ignore-scripts',
      "-type f \\( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \\) -delete",
      '-xdev -type f -perm /6000 -exec chmod u-s,g-s {} +',
    ]) {
      expect(withEngine).toContain(step)
      expect(without).toContain(step)
    }
  })
})

test('the types that the images are freed of are no part of what they run', () => {
  for (const image of [withEngine, without]) expect(image).toContain('strip-types.ts')
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-stripped-'))
  try {
    cpSync(join(repository, 'sensor/duration.ts'), join(directory, 'duration.ts'))
    execFileSync(process.execPath, ['--no-warnings', join(repository, 'deploy/strip-types.ts'), directory])
    const stripped = readFileSync(join(directory, 'duration.ts'), 'utf8')
    expect(stripped).not.toMatch(/: (string|number)\b/)
    expect(stripped.split('\n').length).toBe(text('sensor/duration.ts').split('\n').length)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('the Dockerfile is of no one architecture, pins what it is made from, and starts and asks without a shell', () => {
  expect(withEngine).not.toMatch(/x86|amd64|arm64|aarch64/)
  expect(withEngine.match(/^FROM .*/gm)?.map((line) => line.split(' ')[1])).toEqual(Array(2).fill(`$\{NODE_IMAGE}`))
  for (const [, instruction = ''] of withEngine.matchAll(/(?:^|\s)(?:ENTRYPOINT|CMD) (.*)$/gm))
    expect(JSON.parse(instruction)).toEqual(expect.arrayContaining([expect.any(String)]))
  expect(withEngine).toMatch(/^HEALTHCHECK /m)
  const [entryPoint, product] = ['deploy/nightjar', 'sensor/main.ts'].map((file) => text(file).split('\n')[0])
  expect(entryPoint).toMatch(/^#!\/usr\/bin\/env -S ([A-Z_]+=\S+ )*node\b/)
  expect(entryPoint, 'the options that the product starts with elsewhere').toBe(product)
  expect(entryPoint?.length, 'what Linux reads of a first line: BINPRM_BUF_SIZE').toBeLessThan(256)
})
