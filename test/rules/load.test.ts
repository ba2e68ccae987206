import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { explain } from '../../rules/explain.ts'
import { builtinPacks, loadRules } from '../../rules/load.ts'
import { readPacks } from '../../rules/pack.ts'
import { type Problem, RuleError } from '../../rules/problem.ts'
import { prove } from '../../rules/prove.ts'
import { type Event, eventTypes } from '../../sensor/event.ts'
import { everything, shipped } from './everything.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightjar-rules-'))
})
afterAll(() => rm(folder, { recursive: true }))

const rule = { id: 'r', name: 'R', on: ['exec'], when: { 'process.name': 'sh' }, severity: 'low', message: 'm' }
const pack = { pack: 'p', version: '1', rules: [rule] }

/** What is wrong with a pack of one rule that differs from a sound one in these members. */
function faults(change: object, around: object = {}): Pick<Problem, 'path' | 'found' | 'expected' | 'suggestion'>[] {
  const value = JSON.parse(JSON.stringify({ ...pack, ...around, rules: [{ ...rule, ...change }] }))
  return readPacks([{ file: 'my.json', value }]).problems.map(({ path, found, expected, suggestion }) => {
    return { path, found, expected, ...(suggestion !== undefined && { suggestion }) }
  })
}

async function problemsOf(paths: string[]): Promise<readonly Problem[]> {
  try {
    await loadRules(paths)
  } catch (error) {
    if (error instanceof RuleError) return error.problems
    throw error
  }
  return []
}

test('the rule that all these tests change is sound', () => {
  expect(faults({})).toEqual([])
})

test('an unknown field is named by its path, with the field that was meant', () => {
  expect(faults({ when: { all: [{ 'process.name': 'sh' }, { 'proces.nam': 'x' }] } })).toEqual([
    {
      path: '$.rules[0].when.all[1]["proces.nam"]',
      found: 'the unknown field "proces.nam"',
      expected: 'the name of a field (rules/schema.json lists them)',
      suggestion: 'process.name',
    },
  ])
  expect(faults({ when: { any_of: [] } })[0]?.suggestion).toBeUndefined()
  expect(faults({ when: { al: [{ 'process.name': 'sh' }] } })[0]?.suggestion).toBe('all')
})

test('one line says all of it', () => {
  const value = { ...pack, rules: [{ ...rule, when: { 'process.nam': 'sh' } }] }
  expect(readPacks([{ file: 'my.json', value }]).problems[0]?.message).toBe(
    'my.json: $.rules[0].when["process.nam"]: found the unknown field "process.nam", expected the name of a field (rules/schema.json lists them) (did you mean process.name?)',
  )
})

test('an operator that is unknown, or not for a field of that type', () => {
  expect(faults({ when: { 'process.name': { startswith: 'x' } } })).toEqual([
    {
      path: '$.rules[0].when["process.name"].startswith',
      found: 'the unknown operator "startswith"',
      expected: 'one of equals, in, startsWith, endsWith, contains, glob, regex, exists, length',
      suggestion: 'startsWith',
    },
  ])
  expect(faults({ when: { 'process.pid': { glob: '1*' } } })).toEqual([
    {
      path: '$.rules[0].when["process.pid"].glob',
      found: 'the operator glob on a field of type integer',
      expected: 'one of equals, in, gt, gte, lt, lte, exists',
    },
  ])
  expect(faults({ when: { 'process.name': { cidr: '10.0.0.0/8' } } })).toHaveLength(1)
})

test('an operand of the wrong type or kind', () => {
  const cases: [object, string, string][] = [
    [{ 'process.pid': '7' }, '"7"', 'a whole number'],
    [{ 'process.pid': 1.5 }, '1.5', 'a whole number'],
    [{ 'process.name': 7 }, '7', 'a string'],
    [{ 'process.name': null }, 'null', 'a string'],
    [{ 'process.name': ['sh', 'bash'] }, 'an array of 2', 'one value, or { "in": [..] } for a choice'],
    [{ 'process.executable.deleted': 'yes' }, '"yes"', 'true or false'],
    [{ 'process.pid': { gt: '1' } }, '"1"', 'a number'],
    [{ 'process.name': { exists: 'no' } }, '"no"', 'true or false'],
    [
      { 'process.name': { length: { gt: 1, above: 2 } } },
      'an object with "gt", "above"',
      'a number, or limits such as { "gt": 3 }',
    ],
    [{ 'process.stdin.peer.ip': '10.0.0' }, '"10.0.0": text that is no address', 'an IP address'],
    [{ 'process.stdin.peer.ip': '010.0.0.1' }, '"010.0.0.1": text that is no address', 'an IP address'],
    [
      { 'process.stdin.peer.ip': '10.0.0.0/8' },
      '"10.0.0.0/8": a network, which is for the operator cidr',
      'an IP address',
    ],
    [
      { 'process.stdin.peer.ip': { cidr: '10.0.0.1' } },
      '"10.0.0.1": text that is no network',
      'a network such as 10.0.0.0/8 or fd00::/8',
    ],
    [
      { 'process.stdin.peer.ip': { cidr: '10.0.0.0/33' } },
      '"10.0.0.0/33": text that is no network',
      'a network such as 10.0.0.0/8 or fd00::/8',
    ],
    [{ 'process.name': { regex: '(a' } }, '"(a": missing closing ): `(a`', 'a regular expression in RE2 syntax'],
    [
      { 'process.name': { regex: '(?=a)' } },
      '"(?=a)": invalid or unsupported Perl syntax: `(?=`',
      'a regular expression in RE2 syntax',
    ],
    [{ 'event.type': 'exce' }, '"exce"', `one of ${eventTypes.join(', ')}`],
    [
      { 'process.name': {} },
      'an empty object',
      'a value or one of the operators equals, in, startsWith, endsWith, contains, glob, regex, exists, length',
    ],
  ]
  for (const [when, found, expected] of cases) {
    expect(faults({ when }), JSON.stringify(when)).toMatchObject([{ found, expected }])
  }
  expect(faults({ when: { 'process.name': { in: 'sh' } } })[0]?.expected).toBe(
    'an array of at least one, each a string, or the name of a list such as "@shells"',
  )
  expect(faults({ when: { 'process.name': { in: [] } } })).toHaveLength(1)
  expect(faults({ when: { 'process.name': { regex: `(${'a'.repeat(5000)})` } } })[0]?.found).toContain(
    '5002 characters',
  )
  const slow = `(${'\\pL'.repeat(500)}){4}`
  expect(faults({ when: { 'process.name': { regex: slow } } })[0]?.found).toContain('(at most 2000)')
})

test('a condition that says nothing', () => {
  for (const when of [
    {},
    [],
    'process.name',
    7,
    null,
    { all: [] },
    { any: [{}] },
    { all: { 'process.name': 'x' } },
    { not: {} },
  ]) {
    expect(faults({ when }), JSON.stringify(when)).toHaveLength(1)
  }
})

test('an unknown list is named, and a value in a list that does not fit the field', () => {
  const lists = { shells: ['sh', 7] }
  expect(faults({ when: { 'process.name': { in: '@shell' } } }, { lists })).toMatchObject([
    { path: '$.rules[0].when["process.name"].in', found: 'the unknown list @shell', suggestion: '@shells' },
  ])
  expect(faults({ when: { 'process.name': { in: '@shells' } } }, { lists })).toMatchObject([
    { found: '7 in @shells', expected: 'a string' },
  ])
  expect(faults({ when: { 'process.name': { in: '@shells' } } })[0]?.expected).toBe(
    'a list: the pack has none in "lists"',
  )
  expect(faults({}, { lists: { odd: [{ value: 1 }, [], { value: 1, note: 'x', more: 1 }, null] } })).toHaveLength(4)
  expect(faults({}, { lists: { Odd: ['x'] } })[0]?.path).toBe('$.lists.Odd')
})

test('a field that no event of the rule carries', () => {
  expect(faults({ when: { 'destination.ip': '10.0.0.1' } })).toEqual([
    {
      path: '$.rules[0].when["destination.ip"]',
      found: 'the field destination.ip, which events of type exec never carry',
      expected: 'a field of theirs; destination.ip is on connect, dns, accept',
    },
  ])
  expect(faults({ on: ['exec', 'connect'], when: { 'destination.ip': '10.0.0.1' } })).toEqual([])
  expect(faults({ message: '{gap.reason}' })).toHaveLength(1)
})

test('the message, the groups and the window', () => {
  expect(faults({ message: '{process.nme}' })).toMatchObject([
    { path: '$.rules[0].message', suggestion: 'process.name' },
  ])
  expect(faults({ message: 'a {process.name' })).toMatchObject([{ found: 'a single { in "a {process.name"' }])
  expect(faults({ message: '{}' })).toHaveLength(1)
  expect(faults({ groupBy: ['container.di'], window: '1m' })).toMatchObject([
    { path: '$.rules[0].groupBy[0]', suggestion: 'container.id' },
  ])
  expect(faults({ groupBy: ['container.id'], window: 'ten minutes' })).toMatchObject([
    { path: '$.rules[0].window', expected: 'a duration such as 30s, 10m or 1h' },
  ])
  expect(faults({ groupBy: ['container.id'], window: '0s' })).toHaveLength(1)
  expect(faults({ groupBy: ['container.id'] })).toMatchObject([{ found: '"groupBy" without "window"' }])
  expect(faults({ window: '1m' })).toMatchObject([{ found: '"window" without "groupBy"' }])
})

test('the shape: missing, unknown and wrong members, each at its path', () => {
  expect(faults({ severity: 'hihg' })).toEqual([
    {
      path: '$.rules[0].severity',
      found: '"hihg"',
      expected: 'one of critical, high, medium, low, info',
      suggestion: 'high',
    },
  ])
  expect(faults({ severity: undefined })).toMatchObject([{ path: '$.rules[0]', found: 'no "severity"' }])
  expect(faults({ serverity: 'low' })).toMatchObject([
    { path: '$.rules[0].serverity', found: 'the unknown key "serverity"', suggestion: 'severity' },
  ])
  expect(faults({ id: 'Reverse Shell' })).toMatchObject([
    { path: '$.rules[0].id', expected: 'lower-case words joined by hyphens, such as reverse-shell' },
  ])
  expect(faults({ tags: { mitre: ['1059'] } })).toMatchObject([
    { path: '$.rules[0].tags.mitre[0]', found: '"1059"', expected: 'a technique such as T1059.004' },
  ])
  expect(faults({ on: [] })).toMatchObject([{ expected: 'an array of at least 1' }])
  expect(faults({ on: ['exec', 'exec'] })).toMatchObject([{ path: '$.rules[0].on[1]' }])
  expect(faults({ name: '' })).toMatchObject([{ found: 'empty text' }])
  const tests = [{ name: 't', events: [{ proces: {}, process: { pid: 'x', stdin: { typ: 'tty' } } }], alerts: -1 }]
  expect(faults({ tests }).map(({ path, suggestion }) => [path, suggestion])).toEqual([
    ['$.rules[0].tests[0].events[0].proces', 'process'],
    ['$.rules[0].tests[0].events[0].process.pid', undefined],
    ['$.rules[0].tests[0].events[0].process.stdin.typ', 'type'],
    ['$.rules[0].tests[0].alerts', undefined],
  ])
})

test('every problem of every file is reported at once', async () => {
  await writeFile(
    join(folder, 'a.json'),
    JSON.stringify({
      ...pack,
      rules: [
        { ...rule, when: {} },
        { ...rule, id: 's', on: ['exce'] },
      ],
    }),
  )
  await writeFile(join(folder, 'b.json'), '{\n  "pack": "b",\n}')
  const problems = await problemsOf([join(folder, 'a.json'), join(folder, 'b.json'), join(folder, 'c.json')])
  expect(problems.map(({ file, path }) => [file.slice(folder.length + 1), path])).toEqual([
    ['b.json', '$.pack'],
    ['c.json', '$'],
    ['a.json', '$.rules[1].on[0]'],
    ['a.json', '$.rules[0].when'],
  ])
  expect(problems[0]?.message).toMatch(/b\.json:3:1: \$\.pack: found "}", expected a key in double quotes$/)
  expect(problems[1]?.found).toBe('no such file or folder')
})

test('ids are unique over all packs, and so are the names of packs', () => {
  const { problems } = readPacks([
    { file: 'one.json', value: pack },
    { file: 'two.json', value: pack },
  ])
  expect(problems.map(({ file, path, found }) => [file, path, found])).toEqual([
    ['two.json', '$.pack', 'the pack "p", which is already in one.json'],
    ['two.json', '$.rules[0].id', 'the id "r", which one.json at $.rules[0] has too'],
  ])
})

test('a folder gives its *.json by name, not those of folders below; a file given twice is read once', async () => {
  const packs = join(folder, 'packs')
  await mkdir(join(packs, '..data'), { recursive: true })
  for (const name of ['b', 'a']) {
    await writeFile(
      join(packs, `${name}.json`),
      JSON.stringify({ ...pack, pack: name, rules: [{ ...rule, id: name }] }),
    )
  }
  await writeFile(join(packs, '..data', 'hidden.json'), 'not JSON')
  await writeFile(join(packs, 'README.md'), 'not JSON')
  await symlink(join(packs, 'a.json'), join(packs, 'c.json'))
  const { rules } = await loadRules([packs, join(packs, 'a.json')])
  expect(rules.map(({ id }) => id)).toEqual(['a', 'b'])
  expect(await loadRules([])).toEqual({ rules: [], remarks: [] })
})

test('bytes that are no UTF-8, and a byte order mark', async () => {
  const file = join(folder, 'bytes.json')
  await writeFile(file, Buffer.from([0x7b, 0xff, 0x7d]))
  expect((await problemsOf([file]))[0]?.found).toBe('bytes that are no UTF-8')
  await writeFile(file, `\ufeff${JSON.stringify(pack)}`)
  expect(await problemsOf([file])).toEqual([])
})

test('a pack adds to the lists of another, and the shipped agents grow by those of a user', async () => {
  const file = join(folder, 'mine.json')
  const lists = { 'nightjar/metadata_agents': ['/opt/agent', { value: '/opt/other', note: 'ours' }] }
  await writeFile(file, JSON.stringify({ pack: 'mine', version: '1', lists, rules: [] }))
  const { rules, remarks } = await loadRules([builtinPacks(), file])
  expect(remarks).toEqual([])
  const exceptions = JSON.stringify(rules.find(({ id }) => id === 'metadata-service-access')?.unless)
  expect(exceptions).toContain('/opt/agent')
  expect(exceptions).toContain('/opt/other')
  expect((await loadRules([file])).remarks).toMatchObject([{ found: expect.stringContaining('which is not loaded') }])
  await writeFile(
    file,
    JSON.stringify({ pack: 'mine', version: '1', lists: { 'nightjar/metadata_agent': [] }, rules: [] }),
  )
  expect(await problemsOf([builtinPacks(), file])).toMatchObject([{ suggestion: 'nightjar/metadata_agents' }])
})

test('what an author wrote cannot steer the terminal that shows the problem', () => {
  const [problem] = readPacks([
    { file: 'f', value: { ...pack, rules: [{ ...rule, severity: '\u001b[2J\u202e\u009b\n' }] } },
  ]).problems
  expect(problem?.message).not.toMatch(/[\u0080-\u009f\u202e\n]/)
  expect(problem?.message).toContain('\\u001b[2J\\u202e\\u009b\\n')
})

test('random JSON never crashes the loader, nor does a sound pack with random JSON in it', async () => {
  const sound = JSON.stringify(await loadSource())
  const mutated = fc.tuple(fc.nat(), fc.jsonValue()).map(([at, value]) => {
    let left = at % 2500
    return JSON.parse(sound, (_, inner) => (left-- === 0 ? value : inner))
  })
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), mutated), (value) => {
      const { ruleSet, problems } = readPacks([{ file: 'f', value }])
      // A rule that is taken can be used, whatever stands beside it.
      for (const proof of prove(ruleSet)) expect(proof.error).toBeUndefined()
      for (const { message, path } of problems) {
        expect(message.startsWith(`f: ${path}: found `)).toBe(true)
        expect(message).not.toContain('undefined')
      }
    }),
    { numRuns: 300 },
  )
})

test('nor do two packs with random JSON in them that use everything the language has', () => {
  const texts = [shipped, everything].map((value) => JSON.stringify(value))
  const members = texts.map((text) => {
    let count = 0
    JSON.parse(text, (_, inner) => {
      count++
      return inner
    })
    return count
  })
  const event = fc.record({
    type: fc.constantFrom(...eventTypes),
    time: fc.nat(1000),
    process: fc.record({ name: fc.constantFrom('sh', 'curl'), pid: fc.nat(3) }),
  })
  // Words of the language in the wrong places do more harm than random ones.
  const word = fc.constantFrom(
    '@tools',
    '@shipped/shells',
    'tool',
    'shipped/shell',
    'process_tree',
    'process.name',
    '2027-02-30',
    '0s',
    [],
    {},
    -1,
  )
  const junk = fc.oneof(fc.jsonValue({ maxDepth: 2 }), word)
  let taken = 0
  fc.assert(
    fc.property(fc.nat(), junk, fc.boolean(), fc.array(event, { maxLength: 5 }), (at, value, first, events) => {
      const files = texts.map((text, index) => {
        let left = at % (members[index] ?? 1)
        const isMutated = (index === 0) === first
        return { file: `${index}`, value: JSON.parse(text, (_, inner) => (isMutated && left-- === 0 ? value : inner)) }
      })
      const { ruleSet, problems } = readPacks(files)
      const { judge } = createEngine(ruleSet, {
        onError: (_, error) => {
          throw error
        },
        onSuppressed: () => undefined,
      })
      for (const one of events) judge(one)
      for (const rule of ruleSet.rules) expect(explain(rule)).not.toContain('undefined')
      for (const proof of prove(ruleSet)) expect(proof.error).toBeUndefined()
      for (const { message, file, path } of problems) {
        expect(message.startsWith(`${file}: ${path}: found `)).toBe(true)
        expect(message).not.toContain('undefined')
      }
      if (ruleSet.rules.length === 3) taken++
    }),
    { numRuns: 1500 },
  )
  expect(taken).toBeGreaterThan(100)
})

test('a pack that uses everything the language has is read, and its tests hold', () => {
  const { ruleSet, problems } = readPacks([
    { file: 'shipped.json', value: shipped },
    { file: 'mine.json', value: everything },
  ])
  expect(problems).toEqual([])
  expect(ruleSet.remarks).toEqual([])
  expect(ruleSet.rules.map(({ id, severity }) => [id, severity])).toEqual([
    ['shell', 'critical'],
    ['fetch-and-run', 'high'],
    ['scan', 'medium'],
  ])
  expect(prove(ruleSet).map(({ test, ok }) => [test, ok])).toEqual([
    ['both', true],
    ['three ports', true],
  ])
})

test('texts of a megabyte in every field, and patterns that are made to be slow: an answer, and the rules go on', () => {
  const patterns = ['(a+)+$', '(a|a)*b', '([a-z]{1,40}){10}[0-9]', '(a*)*c', '(?:a?){400}a{400}', '(.*)*x(.*)*y']
  const rules = patterns.map((regex, index) => ({
    ...rule,
    id: `r${index}`,
    when: {
      any: [
        { 'process.command_line': { regex } },
        { 'process.command_args': { glob: `*${'a*'.repeat(20)}b` } },
        { 'process.ancestors.command_line': { contains: ['b', regex] } },
      ],
    },
    groupBy: ['process.command_line'],
    window: '1m',
  }))
  const { ruleSet, problems } = readPacks([{ file: 'f', value: { ...pack, rules } }])
  expect(problems).toEqual([])
  const errors: unknown[] = []
  const { judge } = createEngine(ruleSet, { onError: (_, error) => errors.push(error), onSuppressed: () => undefined })
  const text = 'a'.repeat(1_000_000)
  const event = (name: string): Event => ({
    type: 'exec',
    time: 0,
    process: { name, command_line: text, command_args: [text, text], ancestors: [{ command_line: text }] },
  })
  expect(judge(event('sh')).map(({ rule }) => rule.id)).toEqual(['r0', 'r4'])
  expect(errors).toEqual([])
  // An operand of a megabyte is refused or used, but never a stall.
  expect(faults({ when: { 'process.name': { regex: text } } })[0]?.found).toContain('1000000 characters')
  expect(faults({ when: { 'process.name': { glob: text } } })).toHaveLength(1)
  expect(faults({ when: { 'process.name': { startsWith: text } } })).toEqual([])
})

test('keys that every object inherits, and JSON deeper than the stack, are problems like any other', () => {
  const odd = JSON.parse(
    '{"__proto__": {}, "constructor": 1, "pack": "p", "version": "1", "lists": {"__proto__": ["x"]}, "rules": [{"__proto__": null}, null, 7]}',
  )
  expect(readPacks([{ file: 'f', value: odd }]).problems.length).toBeGreaterThan(3)
  expect(faults({ when: { 'process.name': { in: '@constructor' } } })).toHaveLength(1)
  const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
  expect(readPacks([{ file: 'f', value: deep }]).problems).toHaveLength(1)
  expect(faults({}, { lists: { deep: [] } })).toEqual([])
  for (const key of ['when', 'unless', 'message', 'tags', 'tests', 'groupBy', 'on', 'id']) {
    const value = { ...pack, rules: [{ ...rule, [key]: deep }] }
    expect(readPacks([{ file: 'f', value }]).problems.length, key).toBeGreaterThan(0)
  }
})

async function loadSource(): Promise<unknown> {
  const { default: source } = await import('../../rules/packs/nightjar.json', { with: { type: 'json' } })
  return source
}
