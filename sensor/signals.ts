/**
 * Resolves, with why, when the process is to end: SIGTERM, SIGINT, or so many milliseconds after `started`.
 * Rejects if `started` does.
 */
export function ending(duration: number | undefined, started: Promise<void>): Promise<string> {
  return new Promise((resolve, reject) => {
    process.once('SIGTERM', () => resolve('SIGTERM'))
    process.once('SIGINT', () => resolve('SIGINT'))
    started.then(() => {
      if (duration !== undefined) setTimeout(resolve, duration, 'the duration is over')
    }, reject)
  })
}
