import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compile } from '../../rules/compile.ts'
import { type Condition, readCondition } from '../../rules/condition.ts'
import { fieldOf } from '../../rules/fields.ts'
import type { Fault } from '../../rules/problem.ts'
import { eventTypes } from '../../sensor/event.ts'
import { interpret } from './interpreter.ts'
import { conditionArbitrary, eventArbitrary, macros as macrosInJson } from './vocabulary.ts'

const macros = new Map<string, Condition>()
for (const [name, raw] of Object.entries(macrosInJson)) {
  const { found } = read(raw)
  if (found) macros.set(name, found)
}

function read(condition: unknown) {
  const faults: Fault[] = []
  const found = readCondition(condition, ['when'], {
    on: [...eventTypes],
    list: (name) => (name === 'shells' ? ['sh', 'bash'] : undefined),
    listNames: () => ['shells'],
    macro: (name) => macros.get(name) ?? { found: 'no macro', expected: 'one' },
    report: (fault) => faults.push(fault),
  })
  return { found, faults }
}

const names = { multiple: (name: string) => fieldOf(name)?.multiple ?? false, macros: macrosInJson }

test('a compiled condition says what the naive reading of it says, whatever the condition and the event', () => {
  const verdicts = { true: 0, false: 0 }
  fc.assert(
    fc.property(conditionArbitrary, fc.array(eventArbitrary, { minLength: 1, maxLength: 8 }), (condition, events) => {
      const { found, faults } = read(condition)
      expect(faults).toEqual([])
      if (found === undefined) throw new Error('not read')
      const compiled = compile(found)
      for (const event of events) {
        const verdict = interpret(condition, event, names)
        verdicts[`${verdict}`]++
        expect(compiled(event)).toBe(verdict)
      }
    }),
    { numRuns: 3000 },
  )
  // Otherwise it would prove little.
  expect(verdicts.true).toBeGreaterThan(2000)
  expect(verdicts.false).toBeGreaterThan(2000)
})

test('a condition with a fault is never compiled, one without always is', () => {
  const junk = fc.oneof(
    fc.anything({ withNullPrototype: true }),
    fc.jsonValue(),
    fc
      .tuple(conditionArbitrary, fc.jsonValue(), fc.nat())
      .map(([condition, value, at]) => replaceAt(condition, value, at)),
  )
  fc.assert(
    fc.property(junk, (condition) => {
      const { found, faults } = read(condition)
      expect(found === undefined).toBe(faults.length > 0)
      if (found) expect(typeof compile(found)({ type: 'exec', time: 0 })).toBe('boolean')
    }),
    { numRuns: 2000 },
  )
})

/** Puts the value in place of one of the values in the condition. */
function replaceAt(condition: object, value: unknown, at: number): unknown {
  let left = at % 7
  return JSON.parse(JSON.stringify(condition), (_, inner) => (left-- === 0 ? value : inner))
}

test('a list stands where an array may, by its name', () => {
  const { found } = read({ 'process.name': { in: '@shells' } })
  expect(found).toMatchObject({ kind: 'test', operands: ['sh', 'bash'] })
  expect(read({ 'process.name': { in: '@shell' } }).faults).toMatchObject([{ suggestion: '@shells' }])
  expect(read({ 'process.name': { equals: '@shells' } }).found).toMatchObject({ operands: ['@shells'] })
})

test('a value that its field never has is refused, with the one that was meant', () => {
  expect(read({ 'process.stdin.type': 'sokcet' }).faults).toMatchObject([{ suggestion: 'socket' }])
  expect(read({ 'file.access': { in: ['read', 'wirte'] } }).faults).toMatchObject([{ suggestion: 'write' }])
  expect(read({ 'namespace.types': { subset: ['users'] } }).faults).toMatchObject([{ suggestion: 'user' }])
  expect(read({ 'process.stdin.type': { startsWith: 'sock' } }).faults).toEqual([])
})

test('members of one object must all hold', () => {
  const { found } = read({
    'process.name': 'sh',
    'process.pid': { gt: 1, lt: 9 },
    not: { 'container.id': { exists: true } },
  })
  if (found === undefined) throw new Error('not read')
  const holds = compile(found)
  expect(holds({ type: 'exec', time: 0, process: { name: 'sh', pid: 5 } })).toBe(true)
  expect(holds({ type: 'exec', time: 0, process: { name: 'sh', pid: 9 } })).toBe(false)
  expect(holds({ type: 'exec', time: 0, process: { name: 'sh', pid: 5 }, container: { id: 'x' } })).toBe(false)
})

test('conditions nest to 32 deep and no deeper, and a condition of 100,000 levels is refused, not crashed on', () => {
  const nested = (levels: number) => {
    let condition: object = { 'process.name': 'sh' }
    for (let level = 0; level < levels; level++) condition = { not: condition }
    return condition
  }
  expect(read(nested(32)).faults).toEqual([])
  expect(read(nested(33)).faults).toMatchObject([{ found: 'conditions 33 deep', expected: 'at most 32' }])
  expect(read(nested(100_000)).faults).toHaveLength(1)
})
