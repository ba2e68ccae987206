import { expect, test } from 'vitest'
import { carriersOf, compileField, fieldOf, fields } from '../../rules/fields.ts'
import { type Event, eventTypes } from '../../sensor/event.ts'

function read(event: object, name: string): unknown {
  const field = fieldOf(name)
  if (field === undefined) throw new Error(`no field ${name}`)
  return compileField(field)({ type: 'exec', time: 1, ...event } as Event)
}

test('every field has a type, a meaning, and event types that carry it', () => {
  expect(fields.size).toBeGreaterThan(150)
  for (const field of fields.values()) {
    expect(field.description, field.name).not.toBe('')
    expect(field.eventTypes, field.name).not.toEqual([])
  }
})

test('the types come from the definition of the event', () => {
  const types = (name: string) => [fieldOf(name)?.type, fieldOf(name)?.multiple]
  expect(types('process.pid')).toEqual(['integer', false])
  expect(types('process.start_time')).toEqual(['number', false])
  expect(types('process.executable.deleted')).toEqual(['boolean', false])
  expect(types('process.command_args')).toEqual(['string', true])
  expect(types('destination.ip')).toEqual(['ip', false])
  expect(types('process.ancestors.stdin.peer.ip')).toEqual(['ip', true])
  expect(fieldOf('event.type')?.values).toEqual([...eventTypes])
})

test('the parent is the first ancestor, and an ancestor is any of them', () => {
  const process = { ancestors: [{ name: 'bash', command_args: ['bash', '-l'] }, { name: 'sshd' }] }
  expect(read({ process }, 'process.parent.name')).toBe('bash')
  expect(read({ process }, 'process.parent.command_args')).toEqual(['bash', '-l'])
  expect(read({ process }, 'process.ancestors.name')).toEqual(['bash', 'sshd'])
  expect(read({ process }, 'process.ancestors.command_args')).toEqual(['bash', '-l'])
  expect(read({ process: { ancestors: [] } }, 'process.parent.name')).toBeUndefined()
  expect(fieldOf('process.parent.ancestors.name')).toBeUndefined()
})

test('a cloud of an identity is named by any of them; an annotation by all that follows', () => {
  const identity = {
    cloud: [{ provider: 'aws', held: true }, { provider: 'gcp' }],
    secrets: [{ name: 'db', via: 'env' }],
  }
  expect(read({ identity }, 'identity.cloud.provider')).toEqual(['aws', 'gcp'])
  expect(read({ identity }, 'identity.cloud.held')).toEqual([true])
  expect(read({ identity }, 'identity.secrets.name')).toEqual(['db'])
  const k8s = { pod: { annotation: { 'example.com/owner': 'team-a' } } }
  expect(read({ k8s }, 'k8s.pod.annotation.example.com/owner')).toBe('team-a')
})

test('event.type is the type', () => {
  expect(read({ type: 'connect' }, 'event.type')).toBe('connect')
})

test('a label is named by all that follows, dots and slashes included', () => {
  const k8s = { pod: { label: { app: 'shop', 'app.kubernetes.io/name': 'cart' } } }
  expect(read({ k8s }, 'k8s.pod.label.app')).toBe('shop')
  expect(read({ k8s }, 'k8s.pod.label.app.kubernetes.io/name')).toBe('cart')
  expect(read({ k8s }, 'k8s.pod.label.app.kubernetes')).toBeUndefined()
  expect(fieldOf('k8s.pod.label.')).toBeUndefined()
  expect(fieldOf('k8s.pod.label')).toBeUndefined()
  expect(fieldOf('k8s.pod.label.<name>')).toBeUndefined()
})

test('what every object inherits is no label and no field', () => {
  expect(read({ k8s: { pod: { label: {} } } }, 'k8s.pod.label.constructor')).toBeUndefined()
  expect(read({ k8s: { pod: { label: {} } } }, 'k8s.pod.label.__proto__')).toBeUndefined()
  for (const name of ['constructor', '__proto__', 'process', 'process.', '', 'process.constructor']) {
    expect(fieldOf(name), name).toBeUndefined()
  }
})

test('a value that is absent, null or of another type counts as absent', () => {
  expect(read({}, 'process.name')).toBeUndefined()
  expect(read({ process: null }, 'process.name')).toBeUndefined()
  expect(read({ process: { name: null } }, 'process.name')).toBeUndefined()
  expect(read({ process: { name: 7 } }, 'process.name')).toBeUndefined()
  expect(read({ process: { command_args: [] } }, 'process.command_args')).toBeUndefined()
  expect(read({ process: { command_args: 'sh' } }, 'process.command_args')).toBeUndefined()
  expect(read({ process: { command_args: [1, 'x'] } }, 'process.command_args')).toEqual(['x'])
})

test('the table of carriers knows what a type of event cannot have', () => {
  expect(carriersOf('destination.ip')).toEqual(['connect', 'dns', 'accept'])
  expect(carriersOf('process.exit_code')).toEqual(['exit'])
  expect(carriersOf('container.id')).not.toContain('gap')
  expect(carriersOf('k8s.node.name')).toContain('gap')
  expect(carriersOf('nothing.of.the.kind')).toEqual([])
})
