/**
 * Whether the other side still answers, for those who wait for its word on one connection.
 *
 * A connection whose other end vanished says nothing, and neither does a quiet watch: a real API server sends a bookmark
 * only every minute. So after a silence the server is asked, once for all who wait; what stays without an answer is
 * given up. While there is anything to hear nothing is asked.
 */
export type Pulse = {
  /** The other side said something. */
  heard(): void
  /** From here on its word is waited for, until what is returned is called, or `giveUp` was. */
  wait(giveUp: (reason: Error) => void): () => void
}

/** How long nothing is heard before it is asked, spread so that a thousand agents don't ask at once; milliseconds. */
export const defaultSilence = { least: 8_000, spread: 4_000 }
export type Silence = typeof defaultSilence

/** `ask`: resolves with undefined when an answer came, else with the reason why none did; never rejects. */
export function createPulse(options: {
  ask(): Promise<string | undefined>
  silence?: Silence
  clock?: () => number
  random?: () => number
}): Pulse {
  const { ask, silence = defaultSilence, clock = () => performance.now(), random = Math.random } = options
  const waiting = new Set<(reason: Error) => void>()
  let lastWord = clock()
  let timer: NodeJS.Timeout | undefined
  let asking = false

  const heard = () => {
    lastWord = clock()
  }

  // Not started anew with every word: it looks what there was when it is over.
  function listen(): void {
    const least = silence.least + random() * silence.spread
    timer = setTimeout(() => void look(least), Math.max(0, lastWord + least - clock()))
  }

  async function look(least: number): Promise<void> {
    if (clock() - lastWord < least) return listen()
    const askedAt = clock()
    asking = true
    const problem = await ask()
    asking = false
    if (problem === undefined) heard()
    if (problem !== undefined && lastWord < askedAt) {
      const all = [...waiting]
      waiting.clear()
      for (const giveUp of all) giveUp(new Error(problem))
    }
    if (waiting.size > 0) listen()
    else rest()
  }

  const rest = () => {
    clearTimeout(timer)
    timer = undefined
  }

  return {
    heard,
    wait(giveUp) {
      waiting.add(giveUp)
      if (timer === undefined && !asking) {
        heard()
        listen()
      }
      return () => {
        waiting.delete(giveUp)
        if (waiting.size === 0) rest()
      }
    },
  }
}
