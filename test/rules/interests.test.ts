import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conditionsOf, fileFilter, nameKey, sends, sendsFailed } from '../../bpf/file-filter.ts'
import { createEngine } from '../../rules/engine.ts'
import { interests } from '../../rules/interests.ts'
import { readPacks } from '../../rules/pack.ts'
import type { RuleSet } from '../../rules/rule.ts'
import type { Event } from '../../sensor/event.ts'

/** Few names, that the rules and the files have in common; some share their first eight bytes. */
const names = [
  'etc',
  'shadow',
  'shadow.conf',
  'cron.d',
  'authorized_keys',
  'authorized_keys2',
  'a',
  '.ssh',
  'run',
  'id_rsa',
]
const name = fc.constantFrom(...names)
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((components) => `/${components.join('/')}`)
const accesses = ['read', 'write', 'create', 'truncate', 'append']

const pathTest = fc.oneof(
  fc.record({ equals: path }),
  fc.record({ in: fc.array(path, { minLength: 1, maxLength: 3 }) }),
  fc.record({
    startsWith: fc.oneof(
      path,
      path.map((one) => `${one}/`),
      fc.constantFrom('/', '/e', '/run/s'),
    ),
  }),
  fc.record({ endsWith: fc.oneof(path, name, fc.constantFrom('.d/a', '/', 'keys')) }),
  fc.record({
    glob: fc
      .array(fc.oneof(name, fc.constantFrom('*', '*.d', '?')), { minLength: 1, maxLength: 4 })
      .map((all) => `/${all.join('/')}`),
  }),
  fc.record({ contains: name }),
  fc.record({ regex: name }),
  fc.record({ exists: fc.boolean() }),
)
const one = fc.oneof(
  pathTest.map((test) => ({ 'file.path': test })),
  pathTest.map((test) => ({ 'file.directory': test })),
  pathTest.map((test) => ({ 'file.requested_path': test })),
  fc
    .oneof(name, fc.record({ in: fc.array(name, { minLength: 1 }) }), fc.record({ startsWith: name }))
    .map((test) => ({ 'file.name': test })),
  fc
    .oneof(
      fc.constantFrom(...accesses),
      fc.record({ subset: fc.subarray(accesses, { minLength: 1 }) }),
      fc.record({ in: fc.subarray(accesses, { minLength: 1 }) }),
    )
    .map((test) => ({ 'file.access': test })),
  fc.constantFrom({ 'container.id': { exists: true } }, { 'container.id': { exists: false } }, { 'k8s.pod.name': 'a' }),
  fc.constantFrom({ 'error.code': 'EACCES' }, { 'error.code': { exists: true } }, { 'error.code': { exists: false } }),
  fc.constantFrom({ 'process.name': 'cat' }),
)
const condition = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small' },
    one,
    fc.record({ all: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('node') }),
  ),
})).node

/** What the kernel sees of an open, and the event that is made of it. */
const open = fc.record({
  path,
  requested: path,
  access: fc.subarray(accesses, { minLength: 1 }),
  inContainer: fc.boolean(),
  failed: fc.boolean(),
})

function eventOf({
  path,
  requested,
  access,
  inContainer,
  failed,
}: typeof open extends fc.Arbitrary<infer O> ? O : never): Event {
  const file = failed
    ? { requested_path: requested, access }
    : {
        path,
        name: path.slice(path.lastIndexOf('/') + 1),
        directory: path.slice(0, path.lastIndexOf('/')) || '/',
        access,
        ...(requested !== path && { requested_path: requested }),
      }
  return {
    type: 'open',
    time: 1,
    process: { name: 'cat' },
    file,
    ...(failed && { error: { code: 'EACCES' } }),
    ...(inContainer && { container: { id: 'c' }, k8s: { pod: { name: 'a' } } }),
  }
}

function rulesOf(conditions: unknown[]): RuleSet {
  const rules = conditions.map((when, index) => ({
    id: `rule-${index}`,
    name: 'A rule',
    on: ['open'],
    when,
    severity: 'low',
    message: 'm',
  }))
  const { ruleSet, problems } = readPacks([{ file: 'test.json', value: { pack: 'test', version: '1', rules } }])
  expect(problems).toEqual([])
  return ruleSet
}

test('what the kernel would keep back, no rule matches: random rules, random opens', () => {
  fc.assert(
    fc.property(
      fc.array(condition, { minLength: 1, maxLength: 4 }),
      fc.array(open, { minLength: 1, maxLength: 20 }),
      (conditions, opens) => {
        const { rules } = rulesOf(conditions)
        const engine = createEngine({ rules, remarks: [] }, { onError() {}, onSuppressed() {} })
        const filter = fileFilter(interests(rules).get('open') ?? [])
        for (const one of opens) {
          const met = conditionsOf({
            changing: one.access.some((access) => access !== 'read'),
            inContainer: one.inContainer,
          })
          const sent = one.failed
            ? sendsFailed(filter, one.requested, met)
            : sends(filter, one.path.slice(1).split('/'), met)
          if (!sent) expect(engine.judge(eventOf(one))).toEqual([])
        }
      },
    ),
    { numRuns: 2000 },
  )
})

describe('an interest is no wider than the rule says it', () => {
  const filterOf = (when: object) => fileFilter(interests(rulesOf([when]).rules).get('open') ?? [])
  const reading = conditionsOf({ changing: false, inContainer: false })
  const writing = conditionsOf({ changing: true, inContainer: false })
  const inContainer = conditionsOf({ changing: false, inContainer: true })

  test('a name', () => {
    const filter = filterOf({ 'file.name': { in: ['shadow', 'gshadow'] } })
    expect(sends(filter, ['etc', 'shadow'], reading)).toBe(true)
    expect(sends(filter, ['etc', 'passwd'], reading)).toBe(false)
    expect(sendsFailed(filter, '/etc/shadow', reading)).toBe(false)
  })
  test('writes below a directory', () => {
    const filter = filterOf({
      all: [{ 'file.path': { startsWith: '/etc/cron.d/' } }, { 'file.access': { in: ['write', 'create'] } }],
    })
    expect(sends(filter, ['etc', 'cron.d', 'a'], writing)).toBe(true)
    expect(sends(filter, ['etc', 'cron.d', 'a'], reading)).toBe(false)
    expect(sends(filter, ['etc', 'a'], writing)).toBe(false)
  })
  test('in containers', () => {
    const filter = filterOf({
      all: [{ 'file.directory': { endsWith: '/.ssh' } }, { 'container.id': { exists: true } }],
    })
    expect(sends(filter, ['root', '.ssh', 'id'], inContainer)).toBe(true)
    expect(sends(filter, ['root', '.ssh', 'id'], reading)).toBe(false)
  })
  test('a path that was tried in vain', () => {
    const filter = filterOf({ all: [{ 'file.requested_path': { in: ['/etc/shadow'] } }, { 'error.code': 'EACCES' }] })
    expect(sendsFailed(filter, '/etc/shadow', reading)).toBe(true)
    expect(sendsFailed(filter, '/etc/passwd', reading)).toBe(false)
    expect(sends(filter, ['etc', 'shadow'], reading)).toBe(false)
  })
})

test('names with the same first eight bytes are told apart by their length', () => {
  expect(nameKey('authorized_keys')).not.toBe(nameKey('authorized_keys2'))
})
