/** What test/cluster/run says when it can't begin. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-cluster-'))
afterAll(() => rmSync(directory, { recursive: true }))
writeFileSync(join(directory, 'program'), '', { mode: 0o755 })
symlinkSync('program', join(directory, 'kubectl'))

const given = { KUBECONFIG: '/a/kubeconfig', NIGHTJAR_IMAGE: 'nightjar:test', PATH: directory }
const cases: [missing: string, env: Partial<typeof given>, next: string][] = [
  ['KUBECONFIG', { ...given, KUBECONFIG: undefined }, 'kind get kubeconfig'],
  ['NIGHTJAR_IMAGE', { ...given, NIGHTJAR_IMAGE: '' }, 'kind load docker-image'],
  ['kubectl', { ...given, PATH: '/nowhere' }, 'install kubectl'],
  ['helm', given, 'install helm'],
]

test.for(cases)('without %s it says so, and what to do, and nothing is tried', ([missing, env, next]) => {
  const { status, stdout, stderr } = spawnSync('/bin/sh', [join(import.meta.dirname, 'run')], {
    env,
    encoding: 'utf8',
  })
  expect(stderr).toContain(`test:cluster: found no ${missing}`)
  expect(stderr).toContain(next)
  expect(status).toBe(2)
  expect(stdout).toBe('')
})
