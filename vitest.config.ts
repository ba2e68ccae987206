import { defineConfig } from 'vitest/config'
import { countsReporter } from './test/counts-reporter.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/cluster/**'],
    reporters: ['default', countsReporter()],
    // The end-to-end tests share one kernel and two cores: files one after the other, so that none starves another.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
