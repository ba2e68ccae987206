import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conditionsOf } from '../../bpf/conditions.ts'
import { addressKey, asksFor, type Connecting, connectFilter } from '../../bpf/connect-filter.ts'
import { createEngine } from '../../rules/engine.ts'
import { interests } from '../../rules/interests.ts'
import type { Event } from '../../sensor/event.ts'
import { programName } from '../../sensor/shells.ts'
import { rulesOn } from './rules-on.ts'

const ips = ['10.0.0.1', '10.0.0.2', '169.254.169.254', 'fd00:ec2::254', '::1', '10.0.0.100']
const ports = [22, 53, 443, 8443]
const names = ['sh', 'python3', 'python3.11', 'busybox', 'busybox-static', 'toybox', 'nc', 'tmp', 'ä€']
const directories = ['tmp', 'usr', 'bin', 'shm', 'dev', 'sh']

/** What the kernel sees of a connection, and the event that is made of it. */
const connection = fc.record({
  to: fc.option(fc.record({ ip: fc.constantFrom(...ips), port: fc.constantFrom(...ports) }), { nil: undefined }),
  path: fc
    .tuple(fc.array(fc.constantFrom(...directories), { maxLength: 3 }), fc.constantFrom(...names))
    .map(([above, name]) => [...above, name]),
  calledAs: fc.constantFrom('sh', 'nc', '-x'),
  upper: fc.boolean(),
  deleted: fc.boolean(),
  isNew: fc.boolean(),
  inContainer: fc.boolean(),
})
type Connection = typeof connection extends fc.Arbitrary<infer C> ? C : never

const asPath = (path: readonly string[]) => `/${path.join('/')}`

function eventOf({ to, path, calledAs, upper, deleted, inContainer }: Connection): Event {
  return {
    type: 'connect',
    time: 1,
    process: {
      name: programName(asPath(path), [calledAs]),
      executable: {
        path: asPath(path),
        name: path.at(-1) ?? '',
        ...(upper && { upper_layer: true }),
        ...(deleted && { deleted: true }),
      },
    },
    ...(to ? { destination: to, network: { transport: 'tcp' } } : { destination: { path: '/run/a.sock' } }),
    ...(inContainer && { container: { id: 'c' } }),
  }
}

/** A program that began before the sensor is not known to the kernel side. */
const seenOf = ({ to, path, upper, deleted, isNew }: Connection): Connecting => ({
  ...(to && { to }),
  ...(isNew && { program: { path, upper, deleted } }),
})

const testsOf = (one: Connection) => {
  const path = asPath(one.path)
  const name = programName(path, [one.calledAs])
  return fc.constantFrom(
    { 'destination.ip': one.to?.ip ?? '10.0.0.1' },
    { 'destination.ip': { in: ['192.0.2.1', ...ips.slice(0, 3)] } },
    { 'destination.ip': { cidr: '10.0.0.0/8' } },
    { 'destination.port': one.to?.port ?? 22 },
    { 'destination.port': { in: ports.slice(0, 2) } },
    { 'destination.port': { gt: 100 } },
    { 'destination.path': { exists: true } },
    { 'destination.path': { exists: false } },
    { 'destination.path': { endsWith: 'a.sock' } },
    { 'process.name': name },
    { 'process.name': { in: ['sh', 'nc'] } },
    { 'process.name': { startsWith: 'python' } },
    { 'process.executable.name': one.path.at(-1) ?? '' },
    { 'process.executable.path': path },
    { 'process.executable.path': { startsWith: '/tmp/' } },
    { 'process.executable.path': { startsWith: `/${one.path[0]}` } },
    { 'process.executable.path': { endsWith: `/${one.path.at(-1)}` } },
    { 'process.executable.path': { glob: '/dev/shm/*' } },
    { 'process.executable.upper_layer': true },
    { 'process.executable.upper_layer': false },
    { 'process.executable.deleted': true },
    { 'container.id': { exists: true } },
    { 'network.transport': 'tcp' },
  )
}

const conditionAbout = (one: Connection) =>
  fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: 'small' },
      { weight: 4, arbitrary: testsOf(one) },
      { weight: 3, arbitrary: fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((all) => ({ all })) },
      { weight: 2, arbitrary: fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((any) => ({ any })) },
      { weight: 1, arbitrary: fc.record({ not: tie('node') }) },
    ),
  })).node

const rulesAndConnections = fc.array(connection, { minLength: 1, maxLength: 4 }).chain((connections) =>
  fc.record({
    connections: fc.constant(connections),
    conditions: fc.array(fc.constantFrom(...connections).chain(conditionAbout), { minLength: 1, maxLength: 2 }),
  }),
)

const filterOf = (when: object, more: object = {}) =>
  connectFilter(interests(rulesOn('connect', [when], more).rules).get('connect') ?? [])

test('what the kernel would keep back, no rule matches: rules about connections, and those connections', () => {
  let [kept, matched] = [0, 0]
  fc.assert(
    fc.property(rulesAndConnections, ({ connections, conditions }) => {
      const { rules } = rulesOn('connect', conditions)
      const engine = createEngine({ rules, remarks: [] }, { onError() {}, onSuppressed() {} })
      const filter = connectFilter(interests(rules).get('connect') ?? [])
      for (const one of connections) {
        const matches = engine.judge(eventOf(one))
        if (!asksFor(filter, seenOf(one), conditionsOf(one))) {
          kept++
          expect(matches).toEqual([])
        }
        if (matches.length > 0) matched++
      }
    }),
    { numRuns: 4000 },
  )
  // Otherwise it would prove little.
  expect(kept).toBeGreaterThan(1000)
  expect(matched).toBeGreaterThan(1500)
})

describe('an interest is no wider than the rule says it', () => {
  const anywhere = conditionsOf({ inContainer: true })
  const onHost = conditionsOf({ inContainer: false })
  const python = { path: ['usr', 'bin', 'python3'], upper: false, deleted: false }
  const to = { ip: '10.0.0.1', port: 443 }
  const seen = { to, program: python }
  for (const [what, when, sent] of [
    ['a port', { 'destination.port': 22 }, { ...seen, to: { ...to, port: 22 } }],
    ['an address', { 'destination.ip': '10.0.0.2' }, { ...seen, to: { ...to, ip: '10.0.0.2' } }],
    ['unix sockets', { 'destination.path': '/run/a.sock' }, { program: python }],
    ['a program', { 'process.name': 'nc' }, { to, program: { ...python, path: ['usr', 'bin', 'nc'] } }],
    [
      'programs in a directory',
      { 'process.executable.path': { startsWith: '/tmp/' } },
      { to, program: { ...python, path: ['tmp', 'a', 'python3'] } },
    ],
    ['changed programs', { 'process.executable.upper_layer': true }, { to, program: { ...python, upper: true } }],
    ['deleted programs', { 'process.executable.deleted': true }, { to, program: { ...python, deleted: true } }],
  ] satisfies [string, object, Connecting][]) {
    test(what, () => {
      const filter = filterOf(when)
      expect(asksFor(filter, sent, onHost)).toBe(true)
      expect(asksFor(filter, seen, anywhere)).toBe(false)
    })
    test(`${what}, in containers`, () => {
      const filter = filterOf({ ...when, 'container.id': { exists: true } })
      expect(asksFor(filter, sent, anywhere)).toBe(true)
      expect(asksFor(filter, sent, onHost)).toBe(false)
    })
  }
  test('a program that began before the sensor may be any', () => {
    expect(asksFor(filterOf({ 'process.name': 'nc' }), { to }, onHost)).toBe(true)
    expect(asksFor(filterOf({ 'destination.port': 22 }), { to }, onHost)).toBe(false)
  })

  const counting = (by: string, when: object) =>
    filterOf(when, { threshold: { count: 20, distinct: 'destination.port', by: [by], within: '1m' } })
  test('places that are counted need no more than is told of them anyway', () => {
    expect(asksFor(counting('container.id', { 'network.transport': 'tcp' }), seen, anywhere)).toBe(false)
  })
  test('but where what is asked can change from one connection to the next, each counts', () => {
    expect(asksFor(counting('source.port', { 'network.transport': 'tcp' }), seen, anywhere)).toBe(true)
    expect(asksFor(counting('container.id', { 'process.user.id': 0 }), seen, anywhere)).toBe(true)
    const plain = { threshold: { count: 20, by: ['container.id'], within: '1m' } }
    expect(asksFor(filterOf({ 'network.transport': 'tcp' }, plain), seen, anywhere)).toBe(true)
  })
})

test('an address has one key however it is written', () => {
  expect(addressKey('::ffff:10.0.0.1')).toBe(addressKey('10.0.0.1'))
  expect(addressKey('0:0:0:0:0:0:0:1')).toBe(addressKey('::1'))
  expect(addressKey('10.0.0.1')).toBe('16777226, 0') // 0x0100000a: the bytes 10, 0, 0, 1 on a little-endian machine
  expect(addressKey('example.com')).toBeUndefined()
})
