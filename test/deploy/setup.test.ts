import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { afterEach, expect, test } from 'vitest'

const repository = resolve(import.meta.dirname, '../..')
const made: string[] = []
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true })
})

/** The few programs that the script itself needs, and no others: no bpftrace, no real npm. */
const needed = [
  'sh',
  'dirname',
  'find',
  'uname',
  'cksum',
  'cat',
  'id',
  'grep',
  'cut',
  'tr',
  'mkdir',
  'ln',
  'chmod',
  'touch',
]

const findOnPath = (program: string): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path))

/**
 * A source tree with the real scripts and lock file, and an npm that notes how it was called and then installs what
 * `installs` says: a shell command, run in the tree.
 */
const sourceTree = ({ installs = 'mkdir -p node_modules/.bin', npmVersion = '11.0.0' } = {}) => {
  const root = mkdtempSync(join(tmpdir(), 'nightjar-setup-'))
  made.push(root)
  chmodSync(root, 0o755)
  mkdirSync(join(root, 'deploy'))
  mkdirSync(join(root, 'bin'))
  for (const file of ['deploy/setup', 'deploy/packages.sh', 'package-lock.json'])
    copyFileSync(join(repository, file), join(root, file))
  for (const program of needed) {
    const path = findOnPath(program)
    if (path) symlinkSync(path, join(root, 'bin', program))
  }
  const npm = join(root, 'bin/npm')
  writeFileSync(
    npm,
    `#!/bin/sh\n[ "$1" = --version ] && { echo ${npmVersion}; exit; }\necho "$@" >>npm-calls\necho chatter\n${installs}\n`,
  )
  chmodSync(npm, 0o755)
  return {
    root,
    npmCalls: () => (existsSync(join(root, 'npm-calls')) ? readFileSync(join(root, 'npm-calls'), 'utf8') : ''),
    run: (...options: string[]) =>
      spawnSync('/bin/sh', [join(root, 'deploy/setup'), ...options], {
        encoding: 'utf8',
        env: { PATH: join(root, 'bin') },
        cwd: tmpdir(),
      }),
  }
}

/** What npm leaves when the package `node` could install its binary; the real one of this process stands in. */
const working = `mkdir -p node_modules/.bin; ln -sf ${process.execPath} node_modules/.bin/node; touch node_modules/.package-lock.json`

test('the first run installs from the lock file, development packages too, and says so on stderr alone', () => {
  const tree = sourceTree({ installs: working })
  const { status, stdout, stderr } = tree.run('--no-probe')
  expect(status).toBe(0)
  expect(stdout).toBe('')
  expect(stderr).toContain('chatter')
  expect(tree.npmCalls()).toMatch(/^ci --include=dev .*\n$/)
})

test('a second run installs nothing and is silent', () => {
  const tree = sourceTree({ installs: working })
  tree.run('--no-probe')
  const calls = tree.npmCalls()
  expect(tree.run('--no-probe')).toMatchObject({ status: 0, stdout: '', stderr: '' })
  expect(tree.npmCalls()).toBe(calls)
})

test('a changed lock file is installed, whatever its date', () => {
  const tree = sourceTree({ installs: working })
  tree.run('--no-probe')
  const lockFile = join(tree.root, 'package-lock.json')
  const { atime, mtime } = statSync(lockFile)
  appendFileSync(lockFile, '\n')
  utimesSync(lockFile, atime, mtime)
  tree.run('--no-probe')
  expect(tree.npmCalls().split('\n').filter(Boolean)).toHaveLength(2)
})

test('packages that someone installed by hand, after the lock file last changed, are taken as they are', () => {
  const tree = sourceTree()
  spawnSync('/bin/sh', ['-c', working], { cwd: tree.root })
  expect(tree.run('--no-probe')).toMatchObject({ status: 0, stderr: '' })
  expect(tree.npmCalls()).toBe('')
})

test('an install that was cut short is done again', () => {
  const tree = sourceTree({ installs: `${working}; [ -e again ] || { touch again; exit 1; }` })
  expect(tree.run('--no-probe').status).toBe(1)
  rmSync(join(tree.root, 'node_modules/.package-lock.json'))
  expect(tree.run('--no-probe').status).toBe(0)
  expect(tree.npmCalls().split('\n').filter(Boolean)).toHaveLength(2)
})

test('where the npm package `node` brought no binary, it fails and says what was found, expected and to be done', () => {
  const { status, stderr } = sourceTree().run('--no-probe')
  expect(status).toBe(1)
  expect(stderr).toMatch(/node_modules\/\.bin\/node: found: .*; expected: Node 24 or newer/)
  expect(stderr).toContain('ignore-scripts')
})

test('an npm that is too old is named, with the one that is needed', () => {
  const tree = sourceTree({ npmVersion: '8.19.4' })
  const { status, stderr } = tree.run('--no-probe')
  expect(status).toBe(1)
  expect(stderr).toContain('found npm 8.19.4, expected 9 or newer')
  expect(tree.npmCalls()).toBe('')
})

test('an option that it does not know is a usage error', () => {
  expect(sourceTree().run('--all')).toMatchObject({ status: 2, stdout: '' })
})

test.skipIf(process.platform !== 'linux')('a user who is not root is told what is missing, and goes on', () => {
  const tree = sourceTree({ installs: working })
  tree.run('--no-probe')
  const aptGet = join(tree.root, 'bin/apt-get')
  writeFileSync(aptGet, '#!/bin/sh\ntouch apt-get-was-run\n')
  chmodSync(aptGet, 0o755)
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['deploy/setup'], {
    encoding: 'utf8',
    env: { PATH: join(tree.root, 'bin') },
    cwd: tree.root,
    ...user,
  })
  expect(status).toBe(0)
  expect(stdout).toBe('')
  expect(stderr).toMatch(
    /missing: bpftrace\. Install with: sudo apt-get .* update && sudo apt-get .* install .* bpftrace/,
  )
  expect(existsSync(join(tree.root, 'apt-get-was-run'))).toBe(false)
})
