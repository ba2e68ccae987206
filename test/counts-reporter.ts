/**
 * A vitest reporter that counts. It adds one line, "passed failed skipped", to the file that NIGHTJAR_COUNTS names, for
 * whoever runs several suites and sums them (test/run, .ci/run); without that variable it prints the sum itself.
 *
 * A test file that can't be loaded, a hook that throws and an error outside of any test count as one failed test each:
 * vitest calls the tests behind a broken hook skipped.
 */
import { appendFileSync } from 'node:fs'
import type { Reporter } from 'vitest/node'

type Counts = { passed: number; failed: number; skipped: number }
type Modules = Parameters<NonNullable<Reporter['onTestRunEnd']>>[0]

const count = (modules: Modules, errorsOutside: number): Counts => {
  const counts: Counts = { passed: 0, failed: errorsOutside, skipped: 0 }
  for (const module of modules) {
    counts.failed += module.errors().length
    for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      counts[state === 'pending' ? 'skipped' : state] += 1
    }
  }
  return counts
}

/** The line that closes a run: "N passed, N failed", and what was skipped, if anything was. */
const summary = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

export const countsReporter = (): Reporter => ({
  onTestRunEnd(modules, errorsOutside) {
    const counts = count(modules, errorsOutside.length)
    const file = process.env.NIGHTJAR_COUNTS
    if (file) appendFileSync(file, `${counts.passed} ${counts.failed} ${counts.skipped}\n`)
    else process.stdout.write(`${summary(counts)}\n`)
  },
})
