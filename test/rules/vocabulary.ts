/** Random conditions and events over a small vocabulary, so that they often have to do with each other. */
import fc from 'fast-check'
import { fieldOf } from '../../rules/fields.ts'
import { operatorsFor } from '../../rules/operators.ts'
import { type Event, eventTypes } from '../../sensor/event.ts'

const names = ['', 'sh', 'bash', 'python3.11', 'a/b', '*', 'SH', 'é🐚', '@shells', 'a\nb']
const parts = ['', 's', 'sh', 'on3', '/', '.', '🐚', '@x']
const globs = ['*', '?', 'sh*', '*sh', 'p*1?', 'a*b', '', '?*', 'é*']
const patterns = ['sh', '^sh$', '^(ba)?sh$', '[0-9]+', 'a.b', '', '^$', 'x|y|h']
const addresses = [
  '10.0.0.1',
  '::ffff:10.0.0.1',
  '169.254.169.254',
  'fd00:ec2::254',
  'FD00:EC2:0:0:0:0:0:254',
  '::1',
  '0:0:0:0:0:0:0:1',
]
const networks = ['10.0.0.0/8', '0.0.0.0/0', '169.254.169.254/32', 'fd00::/8', '::/0', '::1/128', '10.0.0.1/31']
const numbers = [0, 1, 2, 5, 1000]

export const vocabulary = {
  names,
  parts,
  globs,
  patterns,
  addresses,
  networks,
  numbers,
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const record = (shape: Record<string, fc.Arbitrary<unknown>>) => fc.record(shape, { requiredKeys: [] })
const name = fc.constantFrom(...names)
const integer = fc.constantFrom(...numbers)
const address = record({ ip: fc.constantFrom(...addresses), port: integer })

const processShape = {
  pid: integer,
  name,
  command_args: fc.array(name, { maxLength: 3 }),
  executable: record({ path: name, deleted: fc.boolean() }),
  stdin: record({ type: name, peer: address }),
  start_time: fc.constantFrom(0.5, 1, 2),
}

export const eventArbitrary: fc.Arbitrary<Event> = fc
  .record({
    type: fc.constantFrom(...eventTypes),
    time: integer,
    process: optional(record({ ...processShape, ancestors: fc.array(record(processShape), { maxLength: 3 }) })),
    destination: optional(address),
    file: optional(
      record({
        path: name,
        name,
        directory: name,
        requested_path: name,
        access: fc.array(fc.constantFrom('read', 'write', 'create', ...names), { maxLength: 3 }),
        setuid: fc.boolean(),
        uid: integer,
      }),
    ),
    error: optional(record({ code: name })),
    target: optional(record({ pid: integer, name, executable: record({ path: name }), same_container: fc.boolean() })),
    dns: optional(record({ question: record({ name, type: name }) })),
    namespace: optional(record({ types: fc.array(name, { maxLength: 2 }), host: fc.boolean() })),
    credentials: optional(
      record({ gained: fc.array(name, { maxLength: 2 }), previous: record({ user: record({ id: integer }) }) }),
    ),
    container: optional(record({ id: name })),
    identity: optional(record({ cloud: fc.array(record({ provider: name, held: fc.boolean() }), { maxLength: 2 }) })),
    k8s: optional(
      record({
        pod: record({
          label: fc.dictionary(fc.constantFrom('app', 'a.b/c', 'constructor'), name),
          annotation: fc.dictionary(fc.constantFrom('a.b/c', 'constructor'), name),
          capabilities: fc.array(name, { maxLength: 2 }),
        }),
      }),
    ),
  })
  // Absent, never undefined.
  .map((event) => JSON.parse(JSON.stringify(event)))

export const fieldNames = [
  'type',
  'event.type',
  'time',
  'process.pid',
  'process.name',
  'process.command_args',
  'process.executable.path',
  'process.executable.deleted',
  'process.stdin.type',
  'process.stdin.peer.ip',
  'process.stdin.peer.port',
  'process.start_time',
  'process.parent.name',
  'process.parent.command_args',
  'process.parent.stdin.peer.ip',
  'process.ancestors.name',
  'process.ancestors.pid',
  'process.ancestors.command_args',
  'process.ancestors.executable.deleted',
  'process.ancestors.stdin.peer.ip',
  'destination.ip',
  'destination.port',
  'container.id',
  'file.path',
  'file.name',
  'file.directory',
  'file.requested_path',
  'file.access',
  'file.setuid',
  'file.uid',
  'error.code',
  'target.pid',
  'target.name',
  'target.executable.path',
  'target.same_container',
  'dns.question.name',
  'dns.question.type',
  'namespace.types',
  'namespace.host',
  'credentials.gained',
  'credentials.previous.user.id',
  'identity.cloud.provider',
  'identity.cloud.held',
  'k8s.pod.capabilities',
  'k8s.pod.annotation.a.b/c',
  'k8s.pod.annotation.constructor',
  'k8s.pod.label.app',
  'k8s.pod.label.a.b/c',
  'k8s.pod.label.constructor',
]

const oneOrMany = (values: string[]) => fc.oneof(fc.constantFrom(...values), fc.subarray(values, { minLength: 1 }))
const bounds = fc
  .record({ gt: integer, gte: integer, lt: integer, lte: integer }, { requiredKeys: [] })
  .filter((limits) => Object.keys(limits).length > 0)

const scalars: Record<string, fc.Arbitrary<unknown>> = {
  string: name,
  ip: fc.constantFrom(...addresses),
  integer,
  number: fc.constantFrom(0, 0.5, 1, 1000),
  boolean: fc.boolean(),
}

function operandFor(operator: string, type: string, values: readonly string[] | undefined): fc.Arbitrary<unknown> {
  const scalar = values ? fc.constantFrom(...values) : (scalars[type] ?? fc.constant(null))
  const operands: Record<string, fc.Arbitrary<unknown>> = {
    equals: scalar,
    in: fc.array(scalar, { minLength: 1, maxLength: 3 }),
    subset: fc.array(scalar, { minLength: 1, maxLength: 4 }),
    // A text that is the name of a list stands for the list, so it's only a literal inside an array.
    startsWith: oneOrMany(parts).filter((operand) => operand !== '@x'),
    endsWith: oneOrMany(parts).filter((operand) => operand !== '@x'),
    contains: oneOrMany(parts).filter((operand) => operand !== '@x'),
    glob: oneOrMany(globs),
    regex: oneOrMany(patterns),
    cidr: oneOrMany(networks),
    exists: fc.boolean(),
    length: fc.oneof(integer, bounds),
  }
  return operands[operator] ?? scalars.number ?? scalar
}

const test = fc.constantFrom(...fieldNames).chain((fieldName) => {
  const field = fieldOf(fieldName)
  if (field === undefined) throw new Error(`no field ${fieldName}`)
  const asked = operatorsFor(field).map(({ name: operator }) =>
    operandFor(operator, field.type, field.values).map((operand) => [operator, operand] as const),
  )
  const operators = fc
    .array(fc.oneof(...asked), { minLength: 1, maxLength: 2 })
    .map((entries) => Object.fromEntries(entries))
  const value = fc.oneof({ weight: 3, arbitrary: operators }, operandFor('equals', field.type, field.values))
  return value.map((operand) => ({ [fieldName]: operand }))
})

/** Macros that a condition may use; the second uses the first. */
export const macros: Readonly<Record<string, object>> = {
  m0: { 'process.name': { in: ['sh', 'bash'] } },
  m1: { any: [{ 'process.pid': { gt: 1 } }, { not: { macro: 'm0' } }] },
}

/** A condition without fault, as JSON. */
export const conditionArbitrary = fc.letrec<{ condition: object }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 5, arbitrary: test },
    { weight: 1, arbitrary: fc.tuple(test, test).map(([one, other]) => ({ ...one, ...other })) },
    { weight: 1, arbitrary: fc.record({ macro: fc.constantFrom(...Object.keys(macros)) }) },
    {
      weight: 1,
      arbitrary: fc.tuple(test, fc.constant({ macro: 'm1' })).map(([one, other]) => ({ ...one, ...other })),
    },
    { weight: 2, arbitrary: fc.record({ all: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ any: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ not: tie('condition') }) },
  ),
})).condition

/** What a stateful rule is about: few words, so that steps often meet. */
const stepCondition = fc.constantFrom<object>(
  { 'process.name': 'a' },
  { 'process.name': 'b' },
  { 'process.name': { in: ['b', 'c'] } },
  { 'process.name': 'c', 'process.user.id': 0 },
  { not: { 'process.name': 'a' } },
  { 'process.name': { startsWith: 'd' } },
)
const within = fc.constantFrom('2s', '5s', '30s')
const byFields = fc.subarray(['container.id', 'process.user.id'])
const on = fc.subarray(['exec', 'exit'], { minLength: 1 })
const step = fc.record({ on, when: stepCondition })
const between = fc.record({ on, when: stepCondition, negated: fc.constantFrom(false, false, true) })
/** Of the containers and pods in streamArbitrary. */
const phase = fc.constantFrom<unknown>('startup', 'steady', { startup: '3s' }, { steady: '8s' }, 'break-glass')
const exceptions = fc.array(
  fc.record(
    {
      when: fc.constantFrom<object>({ 'process.user.id': 7 }, { 'container.id': 'x' }),
      expires: fc.constantFrom('1970-01-01T00:00:04Z', '1970-01-01T00:00:20Z'),
      reason: fc.constant('so'),
      phase,
    },
    { requiredKeys: ['when', 'reason'] },
  ),
  { maxLength: 1 },
)

const sequenceRule = fc
  .tuple(fc.array(between, { minLength: 2, maxLength: 5 }), within, exceptions)
  .filter(([steps]) => steps.some(({ negated }) => !negated))
  .chain(([steps, time, unless]) =>
    fc
      .oneof(
        fc.constantFrom('container', 'process_tree'),
        byFields.filter((fields) => fields.length > 0),
      )
      .map((by) => ({ sequence: { steps, by, within: time }, unless })),
  )

const thresholdRule = fc
  .tuple(step, fc.integer({ min: 2, max: 4 }), byFields, within, fc.boolean(), exceptions)
  .map(([one, count, by, time, isDistinct, unless]) => ({
    ...one,
    threshold: { count, by, within: time, ...(isDistinct && { distinct: 'process.command_line' }) },
    unless,
  }))

/** The stateful part of a rule without fault, as JSON. */
export const statefulArbitrary = fc
  .tuple(fc.oneof(sequenceRule, thresholdRule), fc.option(phase, { freq: 3 }))
  .map(([rule, phase]) => ({ ...rule, ...(phase !== null && { phase }) }))

const somebody = fc.constantFrom(1, 2, 10, 11, 12).map((pid) => ({ pid, start_time: pid * 5 }))

const annotations = fc
  .constantFrom('owner=a; expires=1970-01-01T00:00:10Z', '{"owner":"a","expires":"1970-01-02"}', 'owner=a')
  .map((text) => ({ 'nightjar.dev/break-glass': text }))

/** Events that follow one another, now and then a little out of order, or after the clock was set back. */
export const streamArbitrary: fc.Arbitrary<Event[]> = fc
  .array(
    fc.record({
      type: fc.constantFrom('exec' as const, 'exec' as const, 'exit' as const),
      after: fc.constantFrom(0, 0, 500, 500, 1000, 1000, 1000, 1000, 3000, 3000, -200, -200, 10_000, -90_000),
      process: fc
        .record(
          {
            who: somebody,
            name: fc.constantFrom('a', 'b', 'c', 'd1'),
            command_line: fc.constantFrom('x', 'y', 'z'.repeat(200)),
            user: fc.record({ id: fc.constantFrom(0, 7) }),
            ancestors: fc.array(somebody, { maxLength: 2 }),
          },
          { requiredKeys: ['who', 'name'] },
        )
        .map(({ who, ...process }) => ({ ...who, ...process })),
      container: optional(
        fc.record(
          { id: fc.constantFrom('x', 'y'), start_time: fc.constantFrom(-55_000, 0, 4000) },
          { requiredKeys: ['id'] },
        ),
      ),
      k8s: optional(fc.record({ pod: fc.record({ annotation: annotations }) })),
    }),
    { minLength: 8, maxLength: 24 },
  )
  .map((events) => {
    let time = 0
    return events.map(({ after, ...event }) => {
      time += after
      return JSON.parse(JSON.stringify({ ...event, time }))
    })
  })
