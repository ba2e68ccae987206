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
  /** The remote port is one of these. */
  readonly ports?: ReadonlySet<number>
  /** The remote address is one of these. */
  readonly addresses?: ReadonlySet<string>
}

/** Of each type of event that a rule is on: interests, one of which must hold. `{}` is every event of the type. */
export type Interests = ReadonlyMap<EventType, readonly Interest[]>

/** Every event of these types. */
export const allOf = (types: Iterable<EventType>): Interests => new Map([...types].map((type) => [type, [{}]]))
