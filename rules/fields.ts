/**
 * The fields that a rule may name: every leaf of the event, flattened from the one definition in sensor/event.ts, with
 * its type, its meaning and the event types that can carry it. A field compiles to a getter.
 */
import { carried, Event, type EventType, eventTypes } from '../sensor/event.ts'

export type FieldType = 'string' | 'ip' | 'integer' | 'number' | 'boolean'
export type Scalar = string | number | boolean

/** One step from the event to a value: into a member, into one element of an array, or into each of them. */
type Step = { key: string } | { index: number } | 'each'

export interface Field {
  readonly name: string
  readonly type: FieldType
  /** More than one value: a list such as `process.command_args`, or one value for each ancestor. */
  readonly multiple: boolean
  readonly description: string
  /** The only values there are, where the definition lists them. */
  readonly values?: readonly string[]
  /** The event types that can carry the field; on all others it's always absent. */
  readonly eventTypes: readonly EventType[]
  readonly steps: readonly Step[]
}

/** The value of a field, or its values (never none of them), or undefined where the event doesn't have it. */
export type Getter = (event: Event) => Scalar | readonly Scalar[] | undefined

/** What is read of a JSON Schema here. */
interface Shape {
  type?: string
  description?: string
  enum?: string[]
  examples?: string[]
  properties?: Record<string, Shape>
  patternProperties?: Record<string, Shape>
  items?: Shape
}

/** Every event but the sensor's own is of a process; a finding about a workload is of its pod and identity. */
const ofWorkloads = eventTypes.filter((type) => type !== 'gap')
const ofProcesses = ofWorkloads.filter((type) => type !== 'posture')

const carrying = (object: string): readonly EventType[] =>
  eventTypes.filter((type) => (carried[type] as readonly string[]).includes(object))

/** Which event types carry what. The longest name that a field begins with decides. */
const carriers: Readonly<Record<string, readonly EventType[]>> = {
  ...Object.fromEntries(Object.keys(Event.properties).map((object) => [object, carrying(object)])),
  event: eventTypes,
  type: eventTypes,
  time: eventTypes,
  host: eventTypes,
  process: ofProcesses,
  'process.exit_code': ['exit'],
  container: ofProcesses,
  k8s: ofWorkloads,
  'k8s.node': eventTypes,
  'k8s.cluster': eventTypes,
  identity: ofWorkloads,
}

/** Event types that carry the field of that name; none if no row of the table covers it. */
export function carriersOf(name: string): readonly EventType[] {
  const segments = name.split('.')
  for (let length = segments.length; length > 0; length--) {
    const found = carriers[segments.slice(0, length).join('.')]
    if (found) return found
  }
  return []
}

const typesOfLeaf: Readonly<Record<string, FieldType>> = {
  string: 'string',
  integer: 'integer',
  number: 'number',
  boolean: 'boolean',
}

/** A string named `ip` is an address: it's compared by value, not by how it's written. */
function typeOf(shape: Shape, name: string): FieldType | undefined {
  if (shape.enum) return 'string'
  return name.endsWith('.ip') ? 'ip' : typesOfLeaf[shape.type ?? '']
}

const mapSuffix = '.<name>'

function* flatten(shape: Shape, name: string, steps: readonly Step[]): Generator<Field> {
  if (shape.properties) {
    for (const [key, inner] of Object.entries(shape.properties)) {
      yield* flatten(inner, name === '' ? key : `${name}.${key}`, [...steps, { key }])
    }
    return
  }
  if (shape.items) {
    yield* flatten({ description: shape.description, ...shape.items }, name, [...steps, 'each'])
    return
  }
  const [entry] = Object.values(shape.patternProperties ?? {})
  const type = typeOf(entry ?? shape, name)
  if (type === undefined) return
  const values = shape.enum ?? shape.examples
  yield {
    name: entry ? name + mapSuffix : name,
    type,
    multiple: steps.includes('each'),
    description: shape.description ?? '',
    ...(values && { values }),
    eventTypes: carriersOf(name),
    steps,
  }
}

/** Names that lead to the same value as another: a rule author's `event.type`, and the first of the ancestors. */
function* aliases(field: Field): Generator<Field> {
  if (field.name === 'type') yield { ...field, name: 'event.type' }
  if (!field.name.startsWith('process.ancestors.')) return
  const each = field.steps.indexOf('each')
  const steps = field.steps.with(each, { index: 0 })
  yield {
    ...field,
    name: field.name.replace('ancestors', 'parent'),
    multiple: steps.includes('each'),
    description: `Of the parent process: ${field.description}`,
    steps,
  }
}

function table(): Map<string, Field> {
  const shape: Shape = JSON.parse(JSON.stringify(Event))
  const found = new Map<string, Field>()
  for (const field of flatten(shape, '', [])) {
    const described = field.name.startsWith('process.ancestors.')
      ? { ...field, description: `Of any ancestor: ${field.description}` }
      : field
    found.set(field.name, described)
    for (const alias of aliases(field)) found.set(alias.name, alias)
  }
  return found
}

/** Every field by its name. A map of names to values, such as the pod's labels, stands once, as `k8s.pod.label.<name>`. */
export const fields: ReadonlyMap<string, Field> = table()

const maps = [...fields.values()].filter((field) => field.name.endsWith(mapSuffix))

/**
 * The field of that name, or undefined. In a map all that follows its own name is the key, dots and slashes included:
 * `k8s.pod.label.app.kubernetes.io/name`.
 */
export function fieldOf(name: string): Field | undefined {
  const found = fields.get(name)
  if (found) return found.name.endsWith(mapSuffix) ? undefined : found
  for (const map of maps) {
    const prefix = map.name.slice(0, -mapSuffix.length + 1)
    if (name.length > prefix.length && name.startsWith(prefix)) {
      return { ...map, name, steps: [...map.steps, { key: name.slice(prefix.length) }] }
    }
  }
  return undefined
}

/** What a value of the field's type is in an event. */
export const jsonTypes: Readonly<Record<FieldType, 'string' | 'number' | 'boolean'>> = {
  string: 'string',
  ip: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
}

/** What every object inherits (`constructor`, as a label's name) comes through here, but is of no field's type. */
function step(from: unknown, key: string | number): unknown {
  return typeof from === 'object' && from !== null ? (from as Record<string | number, unknown>)[key] : undefined
}

const ofType = (value: unknown, type: string): Scalar | undefined =>
  typeof value === type ? (value as Scalar) : undefined

function collect(from: unknown, steps: readonly Step[], at: number, type: string, into: Scalar[]): void {
  const next = steps[at]
  if (next === undefined) {
    if (typeof from === type) into.push(from as Scalar)
  } else if (next === 'each') {
    if (Array.isArray(from)) for (const element of from) collect(element, steps, at + 1, type, into)
  } else {
    collect(step(from, 'key' in next ? next.key : next.index), steps, at + 1, type, into)
  }
}

/** Compiles a field to a getter. A value that isn't of the field's type counts as absent. */
export function compileField(field: Field): Getter {
  const type = jsonTypes[field.type]
  if (field.multiple) {
    return (event) => {
      const found: Scalar[] = []
      collect(event, field.steps, 0, type, found)
      return found.length === 0 ? undefined : found
    }
  }
  const keys = field.steps.map((next) => (next === 'each' ? '' : 'key' in next ? next.key : next.index))
  const [one, two, three] = keys
  // Nearly all are two or three steps away: without a loop these take half the time.
  if (keys.length === 2 && one !== undefined && two !== undefined) {
    return (event) => ofType(step(step(event, one), two), type)
  }
  if (keys.length === 3 && one !== undefined && two !== undefined && three !== undefined) {
    return (event) => ofType(step(step(step(event, one), two), three), type)
  }
  return (event) => {
    let value: unknown = event
    for (const key of keys) value = step(value, key)
    return ofType(value, type)
  }
}
