/** Processes whose end was lost on the way from the kernel: the table would hold them for alive until their numbers come again. */
import { runningNumbers } from './proc.ts'

export interface LostEnds {
  /** Events were lost, and an end may be among them. */
  lost(): void
  close(): void
}

/**
 * After a loss asks twice which processes there are, and `sweep` is told: what is in neither look is gone, and what is still on
 * its way through the pipe has come by the second. `every`: milliseconds to the first look, and between the two.
 */
export function followLostEnds(options: {
  running?: () => ReadonlySet<number>
  sweep(running: ReadonlySet<number>): void
  every?: number
}): LostEnds {
  const { running = () => new Set(runningNumbers()), sweep, every = 10_000 } = options
  let looks = 0
  let timer: NodeJS.Timeout | undefined
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }
  const look = () => {
    const found = running()
    // Where processes of others are hidden (proc(5), hidepid) init is, too: nothing can be told from what isn't there.
    if (found.has(1)) sweep(found)
    if (--looks === 0) stop()
  }
  return {
    lost() {
      looks = 2
      timer ??= setInterval(look, every).unref()
    },
    close: stop,
  }
}
