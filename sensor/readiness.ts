import type { Condition } from '../exporters/server.ts'

/**
 * Whether the sensor does its work, for /readyz: the kernel sends events (its heartbeat arrives, whether anything
 * happens or not), and there are rules to judge them by.
 */
export function readiness(state: { probeUp: boolean; rules: readonly { enabled: boolean }[] }): Condition {
  if (!state.probeUp) return { ok: false, reason: 'the kernel probes are not attached' }
  if (!state.rules.some(({ enabled }) => enabled)) return { ok: false, reason: 'no rules are loaded' }
  return { ok: true }
}
