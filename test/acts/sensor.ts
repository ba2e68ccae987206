/** The rules of the pack sensor are acted out by a test of their own, against a sensor that may be hurt. */
import type { Act } from './act.ts'

export const acts: Act[] = [
  { rule: 'sensor-signalled', shownBy: 'test/e2e/attacked.test.ts' },
  { rule: 'sensor-traced', shownBy: 'test/e2e/attacked.test.ts' },
  { rule: 'sensor-blinded', shownBy: 'test/e2e/attacked.test.ts' },
]
