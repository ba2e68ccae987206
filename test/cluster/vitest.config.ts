/** The tests of test/cluster/run. They share one cluster and one installation: one file after the other. */
import { defineConfig } from 'vitest/config'
import { countsReporter } from '../counts-reporter.ts'

// biome-ignore lint/style/noDefaultExport: vitest reads this one
export default defineConfig({
  test: {
    include: ['test/cluster/**/*.test.ts'],
    reporters: ['default', countsReporter()],
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 180_000,
  },
})
