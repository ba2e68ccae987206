/** Keys for what is remembered by the values of fields: short, however long the values are. */
import { hash } from 'node:crypto'
import type { Event } from '../sensor/event.ts'
import type { Getter } from './fields.ts'

const longestKey = 128

/** A text as a key: itself, or its digest where it is long. Values come from processes, which may choose long ones. */
export const shortKey = (text: string): string => (text.length > longestKey ? hash('sha256', text) : text)

/** One key for the values of these fields; an absent one is a value of its own. */
export const keyOf = (getters: readonly Getter[], event: Event): string =>
  shortKey(JSON.stringify(getters.map((get) => get(event) ?? null)))
