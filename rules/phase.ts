/**
 * Phases: a rule or an exception may hold for a part of a container's life only. All is read from the event, and its
 * own time counts, so a replay judges as the live run.
 *
 * `startup` is the first while of a container, from container.start_time on; `steady` is all the rest. What is not
 * known to be starting is steady: the host's processes, and a container whose start the runtime has not said.
 * `break-glass` is while the pod's annotation says who broke the glass and until when.
 */

import { parseDuration } from '../sensor/duration.ts'
import type { Event } from '../sensor/event.ts'
import { parseExpiry } from './expiry.ts'
import { isObject } from './json.ts'

/** `length` of the startup is in milliseconds. */
export type Phase = { readonly kind: 'startup' | 'steady'; readonly length: number } | { readonly kind: 'break-glass' }

export const phaseNames = ['startup', 'steady', 'break-glass'] as const

/** How long a startup lasts where the rule doesn't say. */
export const usualStartup = 60_000

export const breakGlassAnnotation = 'nightjar.dev/break-glass'

/** The field that tells the phase. */
export const fieldOfPhase = ({ kind }: Phase): string =>
  kind === 'break-glass' ? `k8s.pod.annotation.${breakGlassAnnotation}` : 'container.start_time'

/** Who broke the glass, and until when: Unix time in milliseconds. */
export interface BreakGlass {
  readonly owner: string
  readonly expires: number
  readonly reason?: string
}

/** An annotation that asks for break-glass and does not give it. */
export interface RefusedBreakGlass {
  readonly why: 'expired' | 'malformed'
  /** For people: what was found, and what was expected. */
  readonly detail: string
}

const form = `expected "owner=alice@example.org; expires=2027-01-01T00:00:00Z; reason=...", or the same as a JSON object`

/** The members of `key=value; key=value; reason=...`, or of a JSON object; undefined if the text is neither. */
function membersOf(text: string): ReadonlyMap<string, unknown> | undefined {
  if (text.trimStart().startsWith('{')) {
    try {
      const value: unknown = JSON.parse(text)
      return isObject(value) ? new Map(Object.entries(value)) : undefined
    } catch {
      return undefined
    }
  }
  const members = new Map<string, string>()
  // A reason is a sentence, with whatever stands in it: it goes to the end.
  const [, pairs = text, reason] = /^(.*?)(?:(?<=^|;)\s*reason=(.*))?$/s.exec(text) ?? []
  if (reason !== undefined) members.set('reason', reason)
  for (const part of pairs.split(';').filter((one) => one.trim() !== '')) {
    const at = part.indexOf('=')
    const key = part.slice(0, Math.max(at, 0)).trim()
    // Of two owners neither is the one.
    if (key === '' || members.has(key)) return undefined
    members.set(key, part.slice(at + 1).trim())
  }
  return members
}

const textIn = (members: ReadonlyMap<string, unknown>, key: string): string => {
  const value = members.get(key)
  return typeof value === 'string' ? value.trim() : ''
}

/** What the annotation says, whether or not it has expired; or why it says nothing. */
export function readBreakGlass(annotation: string): BreakGlass | RefusedBreakGlass {
  const refuse = (found: string): RefusedBreakGlass => ({ why: 'malformed', detail: `${found}; ${form}` })
  const members = membersOf(annotation)
  if (members === undefined) return refuse(`found ${JSON.stringify(annotation)}`)
  const [owner, until, reason] = ['owner', 'expires', 'reason'].map((key) => textIn(members, key))
  if (!owner) return refuse('found no owner')
  const expires = parseExpiry(until ?? '')
  if (expires === undefined) return refuse(until ? `found the end ${JSON.stringify(until)}` : 'found no end')
  return { owner, expires, ...(reason && { reason }) }
}

/** Is told of each annotation that is refused, each time it is asked for. */
export type OnRefused = (event: Event, refused: RefusedBreakGlass) => void

function isGlassBroken(event: Event, onRefused: OnRefused): boolean {
  const annotation = event.k8s?.pod?.annotation?.[breakGlassAnnotation]
  if (typeof annotation !== 'string') return false
  const read = readBreakGlass(annotation)
  if ('why' in read) {
    onRefused(event, read)
    return false
  }
  if (event.time < read.expires) return true
  const ended = new Date(read.expires).toISOString()
  onRefused(event, {
    why: 'expired',
    detail: `it ended at ${ended} (ask ${read.owner}); give it a later end, or remove it`,
  })
  return false
}

/** The start is exact to a second, and the runtime says it once the first program runs: an earlier event is of it too. */
const isStarting = ({ time, container }: Event, length: number): boolean =>
  container?.start_time !== undefined && time - container.start_time < length

/** Is the event in that phase? None is all of them. */
export function compilePhase(phase: Phase | undefined, onRefused: OnRefused): (event: Event) => boolean {
  if (phase === undefined) return () => true
  if (phase.kind === 'break-glass') return (event) => isGlassBroken(event, onRefused)
  const { kind, length } = phase
  return (event) => isStarting(event, length) === (kind === 'startup')
}

/** Two that exclude each other: what holds in one never holds in the other. */
export function excludes(one: Phase, other: Phase): boolean {
  if (one.kind === 'startup' && other.kind === 'steady') return one.length <= other.length
  return one.kind === 'steady' && other.kind === 'startup' && other.length <= one.length
}

/** The phase as it stands in a rule; undefined if it is none. */
export function parsePhase(raw: unknown): Phase | undefined {
  if (raw === 'break-glass') return { kind: raw }
  if (raw === 'startup' || raw === 'steady') return { kind: raw, length: usualStartup }
  if (!isObject(raw)) return undefined
  const [member, ...more] = Object.entries(raw)
  if (member === undefined || more.length > 0) return undefined
  const [kind, text] = member
  const length = typeof text === 'string' ? parseDuration(text) : undefined
  return (kind === 'startup' || kind === 'steady') && length ? { kind, length } : undefined
}

/** When it holds, for people: follows "only". */
export function phaseInWords(phase: Phase): string {
  if (phase.kind === 'break-glass') return `while the pod's annotation ${breakGlassAnnotation} says who broke the glass`
  const seconds = `${phase.length / 1000} s of the container`
  return phase.kind === 'startup' ? `during the first ${seconds}` : `after the first ${seconds}`
}
