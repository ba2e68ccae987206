/** Keys for what is remembered by the values of fields: short, however long the values are. */
import { hash } from 'node:crypto'
import type { Event } from '../sensor/event.ts'
import type { Getter } from './fields.ts'

const longestKey = 128

/** A text as a key: itself, or its digest where it is long. Values come from processes, which may choose long ones. */
export const shortKey = (text: string): string => (text.length > longestKey ? hash('sha256', text) : text)

/** Each kind of value begins in its own way, and says how far it goes: no two lists of values look alike. */
function part(value: ReturnType<Getter>): string {
  if (typeof value === 'string') return `${value.length}"${value}`
  return typeof value === 'object' ? JSON.stringify(value) : `${value ?? ''};`
}

/** One key for the values of these fields; an absent one is a value of its own. */
export function keyOf(getters: readonly Getter[], event: Event): string {
  let key = ''
  for (const get of getters) key += part(get(event))
  return shortKey(key)
}
