/** A condition becomes one closure: everything that doesn't depend on the event is done beforehand. */
import type { Event, EventType } from '../sensor/event.ts'
import type { Condition } from './condition.ts'
import { compileField } from './fields.ts'
import type { Predicate } from './operators.ts'

export type Test = (event: Event) => boolean

/** Predicates that have been compiled, so that rules which ask the same share one: a long list, or an automaton. */
export type Shared = Map<string, Predicate>

/** Compiles a condition. The test is pure and total: an absent field is an answer, not an error. */
export function compile(condition: Condition, shared: Shared = new Map()): Test {
  switch (condition.kind) {
    case 'all': {
      const tests = condition.of.map((member) => compile(member, shared))
      return (event) => {
        for (const test of tests) if (!test(event)) return false
        return true
      }
    }
    case 'any': {
      const tests = condition.of.map((member) => compile(member, shared))
      return (event) => {
        for (const test of tests) if (test(event)) return true
        return false
      }
    }
    case 'not': {
      const test = compile(condition.of, shared)
      return (event) => !test(event)
    }
    case 'test': {
      const get = compileField(condition.field)
      const holds = predicateOf(condition, shared)
      return (event) => holds(get(event))
    }
  }
}

function predicateOf({ operator, operands, field }: Extract<Condition, { kind: 'test' }>, shared: Shared): Predicate {
  const key = JSON.stringify([operator.name, field.type, operands])
  const found = shared.get(key)
  if (found) return found
  const predicate = operator.compile(operands, field.type)
  shared.set(key, predicate)
  return predicate
}

/** Compiles a condition that is asked of these types of event alone; on all others it doesn't hold. */
export function testFor(on: readonly EventType[], condition: Condition, shared: Shared): Test {
  const types: ReadonlySet<EventType> = new Set(on)
  const test = compile(condition, shared)
  return (event) => types.has(event.type) && test(event)
}
