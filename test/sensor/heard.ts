/** Everything that the decoder and the assembler say about a stream of bytes. */
import type { KernelRecord, RecordName } from '../../bpf/records.ts'
import { type Act, createAssembler } from '../../sensor/assemble.ts'
import { createDecoder } from '../../sensor/decoder.ts'

export interface Decoded {
  records: KernelRecord[]
  lost: number[]
  rejected: string[]
  /** Times up to which all was told. */
  told: number[]
}

/** Decodes the pieces of one stream and its end. */
export function decoded(pieces: Iterable<string | Uint8Array>): Decoded {
  const heard: Decoded = { records: [], lost: [], rejected: [], told: [] }
  const decoder = createDecoder({
    record: (record) => heard.records.push(record),
    told: (time) => heard.told.push(time),
    lost: (count) => heard.lost.push(count),
    reject: (line) => heard.rejected.push(line),
  })
  for (const piece of pieces) decoder.push(Buffer.from(piece))
  decoder.end()
  return heard
}

export interface Assembled {
  acts: Act[]
  heartbeats: number[]
  incomplete: RecordName[]
  rejected: string[]
  /** Events that still wait for parts or their head. */
  waiting: number
}

/** Decodes the lines and puts their records together, but for those that are dropped. */
export function assembled(lines: Iterable<string>, drops = (_: RecordName) => false): Assembled {
  const { records, rejected } = decoded(lines)
  const acts: Act[] = []
  const heartbeats: number[] = []
  const incomplete: RecordName[] = []
  const assembler = createAssembler({
    act: (act) => acts.push(act),
    heartbeat: (time) => heartbeats.push(time),
    incomplete: (record) => incomplete.push(record),
    drops,
  })
  for (const record of records) assembler.push(record)
  return { acts, heartbeats, incomplete, rejected, waiting: assembler.waiting() }
}
