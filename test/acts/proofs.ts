/** How each shipped rule is proven beyond the tests that it carries itself: the packs' acts, in one table. */
import type { Act } from './act.ts'
import { acts as credentials } from './credentials.ts'
import { acts as escaping } from './escape.ts'
import { acts as execution } from './execution.ts'
import { acts as impact } from './impact.ts'
import { acts as network } from './network.ts'
import { acts as nightjar } from './nightjar.ts'
import { acts as persistence } from './persistence.ts'
import { acts as posture } from './posture.ts'
import { acts as sensor } from './sensor.ts'

export const packs: Record<string, Act[]> = {
  nightjar,
  credentials,
  execution,
  escape: escaping,
  persistence,
  network,
  impact,
  posture,
  sensor,
}
