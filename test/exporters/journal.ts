/** A real logger whose lines are kept, and can be waited for. */
import { type Logger, pino } from 'pino'

export interface Journal {
  readonly log: Logger
  readonly lines: string[]
  /** Resolves to the first line, past or future, that contains the text. */
  line(text: string): Promise<string>
}

export function journal(): Journal {
  const lines: string[] = []
  const waiting: { text: string; resolve(line: string): void }[] = []
  const log = pino(
    {},
    {
      write(line: string) {
        lines.push(line)
        for (const one of waiting) if (line.includes(one.text)) one.resolve(line)
      },
    },
  )
  return {
    log,
    lines,
    line: (text) =>
      new Promise((resolve) => {
        const found = lines.find((line) => line.includes(text))
        if (found === undefined) waiting.push({ text, resolve })
        else resolve(found)
      }),
  }
}
