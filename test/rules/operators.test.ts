import { expect, test } from 'vitest'
import { compile } from '../../rules/compile.ts'
import { readCondition } from '../../rules/condition.ts'
import { operators } from '../../rules/operators.ts'
import type { Fault } from '../../rules/problem.ts'
import { type Event, eventTypes } from '../../sensor/event.ts'

/** Does the condition hold of an exec event with that process, or of one with that destination? */
function holds(condition: object, process: object, destination?: object): boolean {
  const faults: Fault[] = []
  const read = readCondition(condition, [], {
    on: [...eventTypes],
    list: () => undefined,
    listNames: () => [],
    macro: () => ({ found: 'no macro', expected: 'none' }),
    report: (fault) => faults.push(fault),
  })
  if (read === undefined) throw new Error(JSON.stringify(faults))
  return compile(read)({ type: 'exec', time: 1, process, ...(destination && { destination }) } as Event)
}

const name = (operator: string, operand: unknown, value: string) =>
  holds({ 'process.name': { [operator]: operand } }, { name: value })
const args = (operator: string, operand: unknown, ...values: string[]) =>
  holds({ 'process.command_args': { [operator]: operand } }, { command_args: values })
const pid = (operator: string, operand: unknown, value: number) =>
  holds({ 'process.pid': { [operator]: operand } }, { pid: value })
const ip = (operator: string, operand: unknown, value: string) =>
  holds({ 'destination.ip': { [operator]: operand } }, {}, { ip: value })

test('equals: the very value; upper and lower case differ', () => {
  expect(name('equals', 'sh', 'sh')).toBe(true)
  expect(name('equals', 'sh', 'SH')).toBe(false)
  expect(name('equals', '', '')).toBe(true)
  expect(pid('equals', 0, 0)).toBe(true)
  expect(holds({ 'process.name': 'sh' }, { name: 'sh' })).toBe(true)
  expect(holds({ 'process.executable.deleted': false }, { executable: { deleted: false } })).toBe(true)
  expect(holds({ 'process.executable.deleted': false }, {})).toBe(false)
})

test('in: one of the values', () => {
  expect(name('in', ['sh', 'bash'], 'bash')).toBe(true)
  expect(name('in', ['sh', 'bash'], 'bas')).toBe(false)
  expect(pid('in', [1, 2], 2)).toBe(true)
  expect(args('in', ['-i'], 'sh', '-i')).toBe(true)
})

test('subset: no value but these, and one at least', () => {
  expect(args('subset', ['-a', '-b'], '-a')).toBe(true)
  expect(args('subset', ['-a', '-b'], '-b', '-a', '-b')).toBe(true)
  expect(args('subset', ['-a', '-b'], '-a', '-c')).toBe(false)
  expect(args('subset', ['-a', '-b'])).toBe(false)
  expect(
    holds(
      { 'process.ancestors.stdin.peer.ip': { subset: ['10.0.0.1'] } },
      { ancestors: [{ stdin: { peer: { ip: '::ffff:10.0.0.1' } } }] },
    ),
  ).toBe(true)
})

test('startsWith, endsWith, contains: one text, or one of several', () => {
  expect(name('startsWith', 'py', 'python3')).toBe(true)
  expect(name('startsWith', 'python3.11', 'python3')).toBe(false)
  expect(name('startsWith', ['perl', 'py'], 'python3')).toBe(true)
  expect(name('endsWith', '.sh', 'run.sh')).toBe(true)
  expect(name('endsWith', ['.py', '.sh'], 'run.sh.bak')).toBe(false)
  expect(name('contains', 'tho', 'python3')).toBe(true)
  expect(name('contains', '', 'x')).toBe(true)
  expect(args('contains', '/dev/tcp/', 'bash', '-c', 'exec 5<>/dev/tcp/192.0.2.1/80')).toBe(true)
})

test('glob: the whole text; * crosses slashes; ? is one character; a backslash takes the next as it is', () => {
  expect(name('glob', 'php-fpm*', 'php-fpm8.2')).toBe(true)
  expect(name('glob', 'php-fpm*', 'my-php-fpm')).toBe(false)
  expect(name('glob', '/usr/*/python3', '/usr/local/bin/python3')).toBe(true)
  expect(name('glob', 'gcc-?', 'gcc-9')).toBe(true)
  expect(name('glob', 'gcc-?', 'gcc-12')).toBe(false)
  expect(name('glob', '?', '🐚')).toBe(true)
  expect(name('glob', 'a*b', 'a\nb')).toBe(true)
  expect(name('glob', 'what\\?', 'what?')).toBe(true)
  expect(name('glob', 'what\\?', 'whats')).toBe(false)
  expect(name('glob', '\\*', '*')).toBe(true)
  expect(name('glob', '[ab](c)|d.+$', '[ab](c)|d.+$')).toBe(true)
  expect(name('glob', '.', 'x')).toBe(false)
  expect(name('glob', '', '')).toBe(true)
  expect(name('glob', '', 'x')).toBe(false)
  expect(name('glob', ['a', 'b*'], 'bc')).toBe(true)
  expect(name('glob', 'trailing\\', 'trailing\\')).toBe(true)
})

test('regex: a part of the text, unless anchored', () => {
  expect(name('regex', 'yth', 'python3')).toBe(true)
  expect(name('regex', '^python[0-9.]*$', 'python3.11')).toBe(true)
  expect(name('regex', '^python[0-9.]*$', 'python3-config')).toBe(false)
  expect(name('regex', '(?i)PYTHON', 'python3')).toBe(true)
  expect(name('regex', ['^a$', '^b|c$'], 'xc')).toBe(true)
  expect(name('regex', ['^a$', '^b|c$'], 'ax')).toBe(false)
})

test('regex: patterns side by side mean what they mean alone', () => {
  expect(name('regex', ['(?i)abc', 'def'], 'DEF')).toBe(false)
  expect(name('regex', ['\\Qa)|(b', '^x$'], 'x')).toBe(true)
  expect(name('regex', ['\\Qa', '\\Qb\\E'], 'a)|(?:\\Qb')).toBe(true)
  expect(name('regex', ['\\Qa', '\\Qb\\E'], 'b')).toBe(true)
  const large = Array.from({ length: 40 }, (_, index) => `(a{20}){40}${index}`)
  expect(name('regex', large, `${'a'.repeat(800)}39`)).toBe(true)
})

test('regex: a hostile pattern on a hostile text of a megabyte is answered', () => {
  expect(name('regex', '(a+)+$|(a*)*b|(x+x+)+y', `${'a'.repeat(1_000_000)}c`)).toBe(false)
  expect(name('glob', '*a*a*a*a*a*a*b', 'a'.repeat(1_000_000))).toBe(false)
})

test('cidr: IPv4 and IPv6; an IPv4 address mapped into IPv6 counts as IPv4', () => {
  expect(ip('cidr', '10.0.0.0/8', '10.255.0.1')).toBe(true)
  expect(ip('cidr', '10.0.0.0/8', '11.0.0.1')).toBe(false)
  expect(ip('cidr', '10.0.0.0/8', '::ffff:10.1.2.3')).toBe(true)
  expect(ip('cidr', '::ffff:10.0.0.0/104', '10.1.2.3')).toBe(true)
  expect(ip('cidr', 'fd00::/8', 'fd00:ec2::254')).toBe(true)
  expect(ip('cidr', 'fd00::/8', 'fe80::1')).toBe(false)
  expect(ip('cidr', '::/0', '10.0.0.1')).toBe(false)
  expect(ip('cidr', '0.0.0.0/0', '2001:db8::1')).toBe(false)
  expect(ip('cidr', '192.0.2.7/32', '192.0.2.7')).toBe(true)
  expect(ip('cidr', ['10.0.0.0/8', 'fd00::/8'], 'fd12::1')).toBe(true)
  expect(ip('cidr', '10.0.0.0/8', 'not an address')).toBe(false)
})

test('addresses compare by value', () => {
  expect(ip('equals', 'fd00:EC2::254', 'fd00:ec2:0::254')).toBe(true)
  expect(ip('equals', '169.254.169.254', '::ffff:a9fe:a9fe')).toBe(true)
  expect(ip('in', ['::1', '127.0.0.1'], '0:0:0:0:0:0:0:1')).toBe(true)
  expect(ip('equals', 'fe80::1', 'fe80::1%eth0')).toBe(true)
  expect(ip('equals', '10.0.0.1', '10.0.0.2')).toBe(false)
  expect(ip('equals', '127.0.0.1', 'localhost')).toBe(false)
})

test('gt, gte, lt, lte: numbers', () => {
  expect([pid('gt', 5, 5), pid('gt', 5, 6)]).toEqual([false, true])
  expect([pid('gte', 5, 4), pid('gte', 5, 5)]).toEqual([false, true])
  expect([pid('lt', 5, 5), pid('lt', 5, 4)]).toEqual([false, true])
  expect([pid('lte', 5, 6), pid('lte', 5, 5)]).toEqual([false, true])
  expect(holds({ 'process.pid': { gte: 5, lt: 7 } }, { pid: 6 })).toBe(true)
  expect(holds({ 'process.pid': { gte: 5, lt: 7 } }, { pid: 7 })).toBe(false)
})

test('exists: the event has the field', () => {
  expect(holds({ 'process.name': { exists: true } }, { name: '' })).toBe(true)
  expect(holds({ 'process.name': { exists: true } }, {})).toBe(false)
  expect(holds({ 'process.name': { exists: false } }, {})).toBe(true)
  expect(holds({ 'process.command_args': { exists: false } }, { command_args: [] })).toBe(true)
  expect(holds({ 'process.ancestors.name': { exists: true } }, { ancestors: [{}, { name: 'x' }] })).toBe(true)
})

test('length: of the text, or how many values there are', () => {
  expect(name('length', 4, 'bash')).toBe(true)
  expect(name('length', { gt: 3, lte: 4 }, 'bash')).toBe(true)
  expect(name('length', { gt: 4 }, 'bash')).toBe(false)
  expect(args('length', 2, 'sh', '-i')).toBe(true)
  expect(args('length', { gte: 3 }, 'sh', '-i')).toBe(false)
  expect(holds({ 'process.ancestors.pid': { length: { lt: 3 } } }, { ancestors: [{ pid: 1 }, { pid: 2 }] })).toBe(true)
  expect(holds({ 'process.name': { length: { gte: 0 } } }, {})).toBe(false)
})

test('of several values any one is enough, also under not', () => {
  expect(args('equals', '-i', 'sh', '-i')).toBe(true)
  expect(holds({ not: { 'process.command_args': '-i' } }, { command_args: ['sh', '-i'] })).toBe(false)
  expect(holds({ 'process.ancestors.name': 'nginx' }, { ancestors: [{ name: 'sh' }, { name: 'nginx' }] })).toBe(true)
})

test('an absent field satisfies no operator but exists: false', () => {
  const operands: Record<string, unknown> = {
    equals: 'x',
    in: ['x'],
    startsWith: '',
    endsWith: '',
    contains: '',
    glob: '*',
    regex: '',
    length: { gte: 0 },
  }
  for (const [operator, operand] of Object.entries(operands)) {
    expect(holds({ 'process.name': { [operator]: operand } }, {}), operator).toBe(false)
    expect(holds({ not: { 'process.name': { [operator]: operand } } }, {}), operator).toBe(true)
  }
  for (const operator of ['gt', 'gte', 'lt', 'lte']) expect(holds({ 'process.pid': { [operator]: 0 } }, {})).toBe(false)
})

test('every operator says what it is', () => {
  for (const operator of operators.values()) expect(operator.description, operator.name).toMatch(/\w+.*\./)
})
