/** The sensor's own log: pino JSON on stderr, pretty on a terminal. NIGHTJAR_LOG_LEVEL sets the level. */
import { type Logger, pino } from 'pino'
import pinoPretty from 'pino-pretty'

export function createLog(): Logger {
  const options = {
    level: process.env.NIGHTJAR_LOG_LEVEL ?? 'info',
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
  }
  if (process.stderr.isTTY) return pino(options, pinoPretty({ destination: 2, sync: true }))
  return pino(options, pino.destination({ fd: 2, sync: true }))
}
