/** The chart as helm renders it. */
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { test } from 'vitest'

export const repository = resolve(import.meta.dirname, '../..')
export const chart = join(repository, 'deploy/helm/nightjar')
export const helm = (command: readonly string[], values: unknown = {}) =>
  spawnSync('helm', [...command, '--namespace', 'nightjar', '--values', '-'], {
    encoding: 'utf8',
    input: JSON.stringify(values),
  })

// helm is no npm package. CI has it; elsewhere a machine without it can still run every other test.
const hasHelm = spawnSync('helm', ['version']).status === 0
export const charted = (claim: string, check: () => void) =>
  test(claim, ({ skip }) => {
    skip(!hasHelm && !process.env.CI, 'helm is not on PATH')
    check()
  })
