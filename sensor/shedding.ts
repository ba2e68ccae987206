/**
 * Back-pressure: what is let go of when this process falls behind.
 *
 * Where node is slower than the kernel is busy, the pipe from bpftrace is full, bpftrace waits to write, and the
 * kernel's buffer runs over: then whatever comes is lost, an exec as soon as an open. Before that, the events that are
 * worth least are dropped as they are read, more families the further behind it is, and are counted.
 *
 * It is behind where events are read late and the pipe is full. Late alone is not enough: where bpftrace itself is what
 * is slow, dropping here what it has printed gains nothing.
 */
import type { RecordName } from '../bpf/records.ts'
import type { EventType } from './event.ts'

/**
 * What goes first, and how many milliseconds late events are then. The kernel's buffer holds about a second of the most
 * that bpftrace can print. What isn't here is never dropped: exec, exit, fork, credentials, what is done to namespaces,
 * mounts, the kernel and other processes, and the sensor's own.
 */
const families: readonly { late: number; records: Readonly<Partial<Record<RecordName, EventType>>> }[] = [
  { late: 250, records: { open: 'open' } },
  {
    late: 400,
    records: { unlink: 'unlink', rename: 'rename', link: 'link', mkdir: 'mkdir', chmod: 'chmod', chown: 'chown' },
  },
  {
    late: 550,
    records: {
      connect: 'connect',
      connect_to: 'connect',
      datagram: 'connect',
      accept: 'accept',
      listen: 'listen',
      dns: 'dns',
      socket_made: 'socket',
    },
  },
  { late: 700, records: { syscall: 'syscall', io_uring: 'io_uring', memfd: 'memfd' } },
]

/** By record: what events it makes, and the place of its family above, from 1. */
const droppable = new Map(
  families.flatMap(({ records }, at) =>
    Object.entries(records).map(([record, type]): [string, { type: EventType; level: number }] => [
      record,
      { type, level: at + 1 },
    ]),
  ),
)

/** Half of what is read at once (64 KiB, libuv's uv__read). A writer that need not wait has rarely left so much. */
const full = 32_768
/** Read less late than this, in milliseconds, it has caught up. */
const caughtUp = 100
/**
 * Behind for so many milliseconds, and it can't keep up. A sensor that was stopped for a while is behind, too, when it
 * goes on, but has caught up by then, and nothing need be dropped.
 */
const patience = 200
/** Not behind for so many milliseconds, and all is taken again: one flood is one episode, not twenty. */
const calm = 1_000

/** An episode, from the first event that was dropped to the moment when all were taken again. */
export interface Shed {
  seconds: number
  total: number
  byType: ReadonlyMap<EventType, number>
}

export interface Shedding {
  /** So many bytes were read at once, and the newest event in them so many milliseconds after it was; at `now`, ms. */
  read(bytes: number, late: number, now: number): void
  /** Whether this head is dropped, its parts with it: then it is counted. */
  drops(record: RecordName): boolean
  /** Nothing more will be read. */
  end(now: number): void
}

/** `began` and `ended` are told once an episode, `dropped` for each event. */
export function createShedding(tell: {
  began(late: number): void
  dropped(type: EventType): void
  ended(shed: Shed): void
}): Shedding {
  let level = 0
  let latest = 0
  let since = 0
  let behindAt = 0
  let behindSince: number | undefined
  let counts = new Map<EventType, number>()

  const end = (now: number) => {
    level = 0
    if (counts.size === 0) return
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
    tell.ended({ seconds: Math.round(now - since) / 1000, total, byType: counts })
    counts = new Map()
  }

  return {
    end,
    read(bytes, late, now) {
      latest = late
      if (bytes < full || late < caughtUp) {
        behindSince = undefined
        if (level > 0 && now - behindAt >= calm) end(now)
        return
      }
      behindAt = now
      behindSince ??= now
      if (now - behindSince < patience) return
      const wanted = families.filter((family) => late >= family.late).length
      if (wanted > 0 && level === 0) since = now
      level = Math.max(level, wanted)
    },
    drops(record) {
      if (level === 0) return false
      const known = droppable.get(record)
      if (!known || known.level > level) return false
      if (counts.size === 0) tell.began(latest)
      counts.set(known.type, (counts.get(known.type) ?? 0) + 1)
      tell.dropped(known.type)
      return true
    },
  }
}

/** `3 open, 1 connect`: the most first. */
export const shedInWords = ({ byType }: Shed): string =>
  [...byType]
    .sort(([, one], [, other]) => other - one)
    .map(([type, count]) => `${count} ${type}`)
    .join(', ')
