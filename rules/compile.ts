/** A condition becomes one closure: everything that doesn't depend on the event is done beforehand. */
import type { Event, EventType } from '../sensor/event.ts'
import type { Condition } from './condition.ts'
import { compileField } from './fields.ts'

export type Test = (event: Event) => boolean

/** Compiles a condition. The test is pure and total: an absent field is an answer, not an error. */
export function compile(condition: Condition): Test {
  switch (condition.kind) {
    case 'all': {
      const tests = condition.of.map(compile)
      return (event) => {
        for (const test of tests) if (!test(event)) return false
        return true
      }
    }
    case 'any': {
      const tests = condition.of.map(compile)
      return (event) => {
        for (const test of tests) if (test(event)) return true
        return false
      }
    }
    case 'not': {
      const test = compile(condition.of)
      return (event) => !test(event)
    }
    case 'test': {
      const get = compileField(condition.field)
      const holds = condition.operator.compile(condition.operands, condition.field.type)
      return (event) => holds(get(event))
    }
  }
}

/** Compiles a condition that is asked of these types of event alone; on all others it doesn't hold. */
export function testFor(on: readonly EventType[], condition: Condition): Test {
  const types: ReadonlySet<EventType> = new Set(on)
  const test = compile(condition)
  return (event) => types.has(event.type) && test(event)
}
