/**
 * Resolves, with why, when the process is to end: SIGTERM, SIGINT, nobody reads its output any more (`| head`), or so
 * many milliseconds after `started`.
 * Rejects if `started` does.
 */
export function ending(duration: number | undefined, started: Promise<void>, untilUnread = false): Promise<string> {
  return new Promise((resolve, reject) => {
    process.once('SIGTERM', () => resolve('SIGTERM'))
    process.once('SIGINT', () => resolve('SIGINT'))
    if (untilUnread) process.stdout.on('error', () => resolve('the output is closed'))
    started.then(() => {
      // Ended otherwise, the process doesn't wait for it.
      if (duration !== undefined) setTimeout(resolve, duration, 'the duration is over').unref()
    }, reject)
  })
}

/**
 * Node opens its debugger at SIGUSR1, on localhost and to whoever is there: code run in the sensor, with its rights, by
 * any process of its network namespace. A listener takes the place of that (src/inspector_agent.cc installs its own
 * before any script runs). `--disable-sigusr1`, where the product is started, covers the moment before.
 */
export function refuseDebugger(refused: () => void): void {
  process.on('SIGUSR1', refused)
}
