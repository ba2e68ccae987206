/**
 * Interests: what the loaded rules could use, as far as the kernel side can tell it. It sends an event if one interest
 * in its type holds; an interest may be too wide, never too narrow.
 */
import type { EventType } from '../sensor/event.ts'

/** All that is given must hold of the event; what is absent may be anything. */
export interface Interest {
  /** The last component of file.path is one of these. */
  readonly names?: ReadonlySet<string>
  /** The directory that holds the file is called one of these. */
  readonly parents?: ReadonlySet<string>
  /** One of the directories above the file is called one of these. */
  readonly within?: ReadonlySet<string>
  /** The file is opened to be changed: written, created, truncated, appended to. */
  readonly changing?: true
  readonly inContainer?: true
  /** The call succeeded, or failed. */
  readonly outcome?: 'success' | 'failure'
  /** What the program passed is one of these. */
  readonly requested?: ReadonlySet<string>
  /** The process's executable has one of these file names, or is a multi-call binary that was called by one of them. */
  readonly programs?: ReadonlySet<string>
  /** One of the directories above its executable is called one of these. */
  readonly programsWithin?: ReadonlySet<string>
  /** Its executable was made or changed since the container's image, or had no name any more when it began. */
  readonly program?: 'upper' | 'deleted'
  /** The connection is one of unix sockets. */
  readonly unix?: true
  /** Of connections that one process makes again and again to one place, one a second is enough. */
  readonly news?: true
  /** The remote port is one of these. */
  readonly ports?: ReadonlySet<number>
  /** The remote address is one of these. */
  readonly addresses?: ReadonlySet<string>
}

/** Of each type of event that a rule is on: interests, one of which must hold. `{}` is every event of the type. */
export type Interests = ReadonlyMap<EventType, readonly Interest[]>

/** Every event of these types. */
export const allOf = (types: Iterable<EventType>): Interests => new Map([...types].map((type) => [type, [{}]]))
