/** Random opens, and random conditions of rules about them. */
import fc from 'fast-check'
import type { Event } from '../../sensor/event.ts'

/** Few names, that the rules and the files have in common; some share their first eight bytes, some their ends. */
export const names = [
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
  '*',
  'ä€',
]
const name = fc.constantFrom(...names)
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((components) => `/${components.join('/')}`)
const accesses = ['read', 'write', 'create', 'truncate', 'append']

/** What the kernel sees of an open, and the event that is made of it. */
export const open = fc.record({
  path,
  requested: fc.oneof(path, fc.constant('shadow'), fc.constant(`/${'a/'.repeat(40)}shadow`)),
  access: fc.oneof(fc.constantFrom<string[]>(['read'], ['write']), fc.subarray(accesses, { minLength: 1 })),
  inContainer: fc.boolean(),
  failed: fc.boolean(),
})
export type Open = typeof open extends fc.Arbitrary<infer O> ? O : never

export function eventOf({ path, requested, access, inContainer, failed }: Open): Event {
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
    k8s: { node: { name: 'n' }, ...(inContainer && { pod: { name: 'a' } }) },
    ...(inContainer && { container: { id: 'c' } }),
  }
}

/** A part of a text that is in it for certain, or nearly: a rule about one of these asks for the opens it is judged by. */
const cut = (text: string) =>
  fc.tuple(fc.nat({ max: text.length }), fc.nat({ max: text.length })).map(([from, to]) => {
    const [start, end] = [Math.min(from, to), Math.max(from, to)]
    return { before: text.slice(0, start), part: text.slice(start, end), after: text.slice(end) }
  })
const escaped = (text: string) => text.replaceAll(/[*?\\]/g, '\\$&')

/** Tests of a text that mostly hold of it: whole, its beginnings and ends wherever they are cut, patterns; near misses. */
const testOf = (text: string) =>
  fc.oneof(
    fc.constant({ equals: text }),
    path.map((other) => ({ in: [other, text] })),
    cut(text).map(({ before }) => ({ startsWith: before })),
    cut(text).map(({ after }) => ({ endsWith: after })),
    cut(text).map(({ before, after }) => ({ glob: `${escaped(before)}*${escaped(after)}` })),
    cut(text).map(({ before, part, after }) => ({
      glob: `${escaped(before)}${'?'.repeat(part.length)}${escaped(after)}`,
    })),
    cut(text).map(({ part }) => ({ glob: `*${escaped(part)}*` })),
    cut(text).map(({ part }) => ({ contains: part })),
    fc.boolean().map((exists) => ({ exists })),
    fc.constantFrom({ equals: `${text}2` }, { equals: text.slice(0, -1) }, { endsWith: `/x${text}` }),
  )

const testsOf = (one: Open) => {
  const last = one.path.slice(one.path.lastIndexOf('/') + 1)
  const directory = one.path.slice(0, one.path.lastIndexOf('/')) || '/'
  return fc.oneof(
    { weight: 3, arbitrary: testOf(one.path).map((test) => ({ 'file.path': test })) },
    { weight: 2, arbitrary: testOf(directory).map((test) => ({ 'file.directory': test })) },
    { weight: 2, arbitrary: testOf(last).map((test) => ({ 'file.name': test })) },
    { weight: 2, arbitrary: testOf(one.requested).map((test) => ({ 'file.requested_path': test })) },
    fc
      .oneof(
        fc.constantFrom(...one.access),
        fc.record({ subset: fc.constantFrom(one.access, accesses, ['write', 'create']) }),
        fc.record({ in: fc.subarray(accesses, { minLength: 1 }) }),
        fc.constantFrom({ length: 1 }, { startsWith: 'c' }),
      )
      .map((test) => ({ 'file.access': test })),
    fc.constantFrom(
      { 'container.id': { exists: true } },
      { 'container.id': { exists: false } },
      { 'k8s.pod.name': 'a' },
      { 'k8s.node.name': 'n' },
    ),
    fc.constantFrom(
      { 'error.code': 'EACCES' },
      { 'error.code': { exists: true } },
      { 'error.code': { exists: false } },
    ),
    fc.constantFrom({ 'process.name': 'cat' }),
  )
}

/** Conditions about some of these opens: most alternatives are about one of them, so that they often hold. */
export const conditionAbout = (opens: readonly Open[]) => {
  const about = (one: Open) =>
    fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        { weight: 4, arbitrary: testsOf(one) },
        { weight: 3, arbitrary: fc.array(testsOf(one), { minLength: 2, maxLength: 3 }).map((all) => ({ all })) },
        { weight: 1, arbitrary: fc.record({ all: fc.array(tie('node'), { minLength: 1, maxLength: 3 }) }) },
        { weight: 1, arbitrary: fc.record({ not: tie('node') }) },
      ),
    })).node
  const one = fc.constantFrom(...opens).chain(about)
  return fc.oneof(
    { weight: 3, arbitrary: one },
    { weight: 1, arbitrary: fc.array(one, { minLength: 2, maxLength: 3 }).map((any) => ({ any })) },
  )
}
