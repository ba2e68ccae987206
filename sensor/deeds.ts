/**
 * Deeds: what a process did that changes nothing in the process table. A family of events reads its records to what
 * the event tells, and that is all there is to add: one entry here, one fragment in bpf/, one row in bpf/records.ts.
 */
import type { KernelRecord, RecordName, RecordOf } from '../bpf/records.ts'
import { credentialDeeds } from './deeds/credentials.ts'
import { kernelDeeds } from './deeds/kernel.ts'
import { nameDeeds } from './deeds/names.ts'
import { namespaceDeeds } from './deeds/namespaces.ts'
import { networkDeeds } from './deeds/network.ts'
import { openDeeds } from './deeds/opened.ts'
import { tracedDeeds } from './deeds/traced.ts'
import type { Event, EventType } from './event.ts'
import type { Part } from './parts.ts'

/** What an event tells besides who did it and when. */
export interface Told {
  type: EventType
  about: Partial<Event>
  /** Process that it was done to. */
  target?: number
}

/**
 * Reads a record. `whole` is false where one of its parts was lost: then nothing may be told that the lost part could
 * belie. Undefined: it can't be told at all.
 */
export type Reader<N extends RecordName> = (record: RecordOf<N>, parts: Part[], whole: boolean) => Told | undefined
export type Readers = { [N in RecordName]?: Reader<N> }

const readers: Readers = {
  ...openDeeds,
  ...nameDeeds,
  ...networkDeeds,
  ...tracedDeeds,
  ...namespaceDeeds,
  ...credentialDeeds,
  ...kernelDeeds,
}

/** What a record tells, or undefined: it is no deed, or too much of it was lost. */
export function toldBy(record: KernelRecord, parts: Part[], whole: boolean): Told | undefined {
  const read = readers[record.record] as Reader<RecordName> | undefined
  return read?.(record, parts, whole)
}
