import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fieldOf } from '../../rules/fields.ts'
import { compileMessage, templateParts } from '../../rules/message.ts'
import type { Event } from '../../sensor/event.ts'

function render(template: string, event: object): string {
  const parts = templateParts(template).map((part) => {
    if ('text' in part) return part.text
    const field = 'field' in part ? fieldOf(part.field) : undefined
    if (field === undefined) throw new Error(`no field in ${JSON.stringify(part)}`)
    return field
  })
  return compileMessage(parts)({ type: 'exec', time: 1, ...event } as Event)
}

test('fields print their values, several joined by a space, and an absent one prints "?"', () => {
  const process = { name: 'sh', pid: 7, command_args: ['sh', '-c', 'id'], executable: { deleted: true } }
  expect(render('{process.name} ({process.pid}): {process.command_args}', { process })).toBe('sh (7): sh -c id')
  expect(render('deleted: {process.executable.deleted}', { process })).toBe('deleted: true')
  expect(render('{ process.name } by {process.parent.name} of {process.ancestors.name}', { process })).toBe(
    'sh by ? of ?',
  )
})

test('a doubled brace is a brace, and a value with braces is not a template', () => {
  expect(render('{{process.name}} is {process.name}', { process: { name: '{process.pid}' } })).toBe(
    '{process.name} is {process.pid}',
  )
})

test('a huge value is cut in the message', () => {
  const message = render('[{process.command_line}]', { process: { command_line: 'a'.repeat(1_000_000) } })
  expect(message).toBe(`[${'a'.repeat(256)}…]`)
})

test('a template without braces is its own message, and every character of any template is accounted for', () => {
  fc.assert(
    fc.property(
      fc.string().filter((text) => !/[{}]/.test(text)),
      (text) => {
        expect(render(text, {})).toBe(text)
      },
    ),
  )
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('{', '}', 'a', '.') }), (text) => {
      const lengths = templateParts(text).map((part) => {
        if ('text' in part) return /[{}]/.test(part.text) ? 2 : part.text.length
        return 'field' in part ? part.field.length + 2 : 1
      })
      expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(text.length)
    }),
  )
})
