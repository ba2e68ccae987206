import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const repository = resolve(import.meta.dirname, '../..')
let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nightjar-counts-'))
  writeFileSync(join(directory, 'counts'), '')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const shell = (script: string) =>
  spawnSync('/bin/sh', ['-uc', `. ${repository}/test/counts.sh; ${script}; total`], {
    encoding: 'utf8',
    env: { ...process.env, NIGHTJAR_COUNTS: join(directory, 'counts') },
  })
const lastLine = (text: string) => text.trimEnd().split('\n').at(-1)

test.each([
  ['counts add up', 'suite a sh -c "echo 3 0 0 >>\\$NIGHTJAR_COUNTS"; check b true', '4 passed, 0 failed', 0],
  ['what was skipped is said', 'suite a sh -c "echo 3 0 2 >>\\$NIGHTJAR_COUNTS"', '3 passed, 0 failed, 2 skipped', 0],
  ['a failed check is a failed test', 'check a true; check b false', '1 passed, 1 failed', 1],
  ['a failed test fails the run', 'suite a sh -c "echo 3 1 0 >>\\$NIGHTJAR_COUNTS; exit 1"', '3 passed, 1 failed', 1],
  [
    'a suite that crashes is a failed test',
    'suite a sh -c "echo 3 0 0 >>\\$NIGHTJAR_COUNTS; exit 7"',
    '3 passed, 1 failed',
    1,
  ],
  ['a suite that runs nothing is a failed test', 'suite a true', '0 passed, 1 failed', 1],
])('%s', (_, script, line, status) => {
  const result = shell(script)
  expect(lastLine(result.stdout)).toBe(line)
  expect(result.status).toBe(status)
})

const suites: Record<string, string> = {
  'plain.test.ts': `test('passes', () => {}); test('fails', () => expect(1).toBe(2)); test.skip('skipped', () => {}); test.todo('to do')`,
  'hook.test.ts': `import { beforeAll, describe } from 'vitest'
    describe('broken', () => { beforeAll(() => { throw new Error('no') }); test('behind it', () => {}) })`,
  'broken.test.ts': `import './missing.ts'`,
}

/** Runs the real vitest over those files, in a directory of their own. */
const vitest = (files: readonly string[], environment: NodeJS.ProcessEnv) => {
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'))
  mkdirSync(join(directory, 'test'))
  for (const file of files)
    writeFileSync(join(directory, 'test', file), `import { expect, test } from 'vitest'\n${suites[file]}\n`)
  writeFileSync(
    join(directory, 'vitest.config.ts'),
    `import { countsReporter } from '${repository}/test/counts-reporter.ts'
    export default { test: { reporters: ['default', countsReporter()] } }`,
  )
  return spawnSync(process.execPath, [join(repository, 'node_modules/vitest/vitest.mjs'), 'run'], {
    encoding: 'utf8',
    cwd: directory,
    env: environment,
  })
}
const { NIGHTJAR_COUNTS: _, ...withoutCounts } = process.env

test('tests, a file that can not be loaded and a hook that throws are counted, none of them twice', () => {
  const counts = join(directory, 'counts')
  vitest(Object.keys(suites), { ...process.env, NIGHTJAR_COUNTS: counts })
  // passed: 1; failed: the test, the hook, the file; skipped: skip, todo, and the test behind the hook.
  expect(readFileSync(counts, 'utf8')).toBe('1 3 3\n')
})

test('on its own, the reporter closes the run with the sum', () => {
  const { stdout, status } = vitest(['plain.test.ts'], withoutCounts)
  expect(lastLine(stdout)).toBe('1 passed, 1 failed, 2 skipped')
  expect(status).toBe(1)
})
