import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { countsReporter } from './test/counts-reporter.ts'

/** Recorded answers of a real API server lie beside the repository where its checks run, and not in it. */
const fixtures = join(import.meta.dirname, '../shared/fixtures')
const wantFixtures = [
  'test/enrich/{enricher,identities,identity-end-to-end,owners,pods,reach-watch}.test.ts',
  'test/enrich/{cloud,credential,spiffe}.test.ts',
  'test/e2e/identity.test.ts',
]
const withoutFixtures = !existsSync(fixtures) && process.env.CI !== 'true'
if (withoutFixtures) process.stderr.write(`not run, for want of ${fixtures}: ${wantFixtures.join(', ')}\n`)

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/cluster/**', ...(withoutFixtures ? wantFixtures : [])],
    reporters: ['default', countsReporter()],
    // The end-to-end tests share one kernel and two cores: files one after the other, so that none starves another.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
