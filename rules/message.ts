/**
 * The sentence that an alert begins with: a template with fields in braces, `{process.name} connected to
 * {destination.ip}`. `{{` and `}}` are literal braces. An absent field prints "?", several values are joined by a space.
 */
import type { Event } from '../sensor/event.ts'
import { compileField, type Field, type Scalar } from './fields.ts'

/** Text and fields in turn. */
export type Template = readonly (string | Field)[]

export type TemplatePart = { readonly text: string } | { readonly field: string } | { readonly stray: string }

const pattern = /\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g

/** The parts of a template, in order. A `stray` brace is one that neither names a field nor is doubled. */
export function templateParts(template: string): TemplatePart[] {
  return [...template.matchAll(pattern)].map(([whole, field]) => {
    if (field !== undefined) return { field: field.trim() }
    if (whole === '{{' || whole === '}}') return { text: whole.slice(1) }
    return whole === '{' || whole === '}' ? { stray: whole } : { text: whole }
  })
}

/** A process writes its own arguments, so they may be huge; the alert carries the whole value beside the message. */
const longestValue = 256

function print(value: Scalar | readonly Scalar[] | undefined): string {
  if (value === undefined) return '?'
  const text = typeof value === 'object' ? value.join(' ') : String(value)
  return text.length > longestValue ? `${text.slice(0, longestValue)}…` : text
}

/** Compiles a template. Values print as they are, at most 256 characters of each; who shows them escapes them. */
export function compileMessage(template: Template): (event: Event) => string {
  const parts = template.map((part) => {
    if (typeof part === 'string') return () => part
    const get = compileField(part)
    return (event: Event) => print(get(event))
  })
  return (event) => parts.map((part) => part(event)).join('')
}
