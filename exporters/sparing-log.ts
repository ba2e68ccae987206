/** A log that a broken receiver can't flood: so many lines a minute, and then how many there would have been. */
import type { Logger } from 'pino'

export type SparingLog = Pick<Logger, 'info' | 'warn'>

const per = 60_000

/** `now`: milliseconds of any clock. */
export function sparingLog(log: SparingLog, lines: number, now: () => number): SparingLog {
  let began = Number.NEGATIVE_INFINITY
  let written = 0
  let withheld = 0
  const line = (level: 'info' | 'warn') => (about: object, message: string) => {
    if (now() - began >= per) {
      began = now()
      written = 0
    }
    if (written++ >= lines) {
      withheld++
      return
    }
    log[level](withheld > 0 ? { ...about, lines_not_logged: withheld } : about, message)
    withheld = 0
  }
  return { info: line('info'), warn: line('warn') } as SparingLog
}
