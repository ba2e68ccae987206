/** What ordinary work made the kernel say, recorded on a real machine (see record), raises nothing that wakes anyone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import { nightjar, output } from '../e2e/sensor.ts'

const captures = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.nightjar.gz'))
const directory = mkdtempSync(join(tmpdir(), 'nightjar-ordinary-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** What may be said, below medium: the rule's id. Packages and compilers do not belong in a running container. */
const told: Record<string, string[]> = {
  'apt-container': ['package-manager-in-container'],
  'npm_ci-container': ['package-manager-in-container'],
  'c_build-container': ['compiler-in-container'],
  'probes-container': ['namespace-created', 'namespace-entered'],
}

test('each work is recorded', () => {
  expect(captures.length).toBeGreaterThan(12)
})

test.each(captures)('%s', async (file) => {
  const capture = join(directory, basename(file, '.gz'))
  writeFileSync(capture, gunzipSync(readFileSync(join(import.meta.dirname, file))))
  const { code, stdout, stderr } = await output(nightjar(['replay', capture, '--output', 'json']))
  expect(code, stderr).toBe(0)
  const alerts: Alert[] = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
  const loud = alerts.filter(({ severity }) => !['info', 'low'].includes(severity))
  expect(loud.map(({ rule, severity, message }) => `${severity} ${rule.id}: ${message}`)).toEqual([])
  const rules = [...new Set(alerts.map(({ rule }) => rule.id))].toSorted()
  expect(rules).toEqual(told[basename(file, '.nightjar.gz')] ?? [])
})
