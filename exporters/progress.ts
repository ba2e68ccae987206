/** Up to where everything is done with, while several deliveries are under way and end in any order. */
export interface Progress {
  /**
   * The next `alerts` alerts, up to this sequence number, are being dealt with. They follow those of the call before.
   */
  begin(through: number, alerts: number): Part
}

export interface Part {
  /** These belong to it as well. False if another part has begun since: then they can't. */
  extend(through: number, alerts: number): boolean
  done(): void
}

/** `onDone` hears how far everything is done with, and how many alerts more that is than before. */
export function progress(onDone: (through: number, alerts: number) => void): Progress {
  let underWay: { through: number; alerts: number; isDone: boolean }[] = []

  /** Neighbours that are done become one, so the list is no longer than twice what is under way. */
  function settle() {
    const merged: typeof underWay = []
    for (const part of underWay) {
      const before = merged.at(-1)
      if (before?.isDone && part.isDone) {
        before.through = part.through
        before.alerts += part.alerts
      } else merged.push(part)
    }
    const first = merged[0]?.isDone ? merged.shift() : undefined
    underWay = merged
    if (first) onDone(first.through, first.alerts)
  }

  return {
    begin(through, alerts) {
      const part = { through, alerts, isDone: false }
      underWay.push(part)
      return {
        extend(through, alerts) {
          if (underWay.at(-1) !== part || part.isDone) return false
          part.through = through
          part.alerts += alerts
          return true
        },
        done() {
          part.isDone = true
          settle()
        },
      }
    },
  }
}
