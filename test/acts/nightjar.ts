/** The rules of the pack nightjar are acted out by tests of their own. */
import type { Act } from './act.ts'

export const acts: Act[] = [
  { rule: 'reverse-shell', shownBy: 'test/e2e/reverse-shell.test.ts' },
  { rule: 'metadata-service-access', shownBy: 'test/e2e/behaviours.test.ts' },
  { rule: 'unexpected-child-process', shownBy: 'test/e2e/behaviours.test.ts' },
  { rule: 'sensor-gap', shownBy: 'test/e2e/life.test.ts' },
]
