import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtinPacks, loadRules } from '../../rules/load.ts'

const shipped = (await loadRules([builtinPacks()])).rules.length
let folder: string
let program: string

const rule = { id: 'r', name: 'R', on: ['exec'], when: { 'process.name': 'sh' }, severity: 'low', message: 'm' }
const complete = {
  ...rule,
  description: 'd',
  false_positives: ['f'],
  tags: { mitre: ['T1059'] },
  runbook: 'b',
  tests: [
    { name: 'a shell', events: [{ process: { name: 'sh' } }], alerts: 1 },
    { name: 'no shell', events: [{ process: { name: 'ls' } }], alerts: 0 },
  ],
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nightjar-command-'))
  program = join(folder, 'program.ts')
  const command = join(import.meta.dirname, '../../sensor/commands/rules.ts')
  await writeFile(
    program,
    `import { rulesCommand } from ${JSON.stringify(command)}
     try { await rulesCommand().parseAsync(process.argv.slice(2), { from: 'user' }) } catch (error) { process.exitCode = error.exitCode }`,
  )
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs the command as a process of its own. */
function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' })
  return { status, lines: stdout.split('\n').filter((line) => line !== ''), stderr }
}

async function packFile(name: string, ...rules: object[]): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, JSON.stringify({ pack: name.replace('.json', ''), version: '1', rules }))
  return file
}

test('the shipped packs: lint is silent, all tests pass, the list has them, exit 0', () => {
  expect(run('lint')).toEqual({ status: 0, lines: [], stderr: '' })
  expect(run('test')).toMatchObject({
    status: 0,
    lines: [expect.stringMatching(new RegExp(`^${shipped} rules: \\d+ tests passed, 0 failed$`))],
  })
  expect(run('list').lines).toHaveLength(shipped)
  const listed = run('list', '--output', 'json').lines.map((line) => JSON.parse(line).id)
  expect(run('list').lines).toHaveLength(listed.length)
  expect(listed).toContain('reverse-shell')
})

test('lint on a broken pack: one line a problem, all of them, exit 2', async () => {
  const file = await packFile('broken.json', { ...rule, severity: 'hihg', when: { 'process.nam': 'x' } })
  const { status, lines } = run('lint', file)
  expect(status).toBe(2)
  expect(lines).toEqual([
    `error: ${file}: $.rules[0].severity: found "hihg", expected one of critical, high, medium, low, info (did you mean high?)`,
    expect.stringMatching(/^error: .*\$\.rules\[0\]\.when\["process\.nam"\].*\(did you mean process\.name\?\)$/),
  ])
  const [json] = run('lint', file, '--output', 'json').lines
  expect(JSON.parse(json ?? '')).toMatchObject({
    severity: 'error',
    file,
    path: '$.rules[0].severity',
    suggestion: 'high',
  })
})

test('lint on a pack that is wrong through and through', async () => {
  const rules = [
    { ...rule, tests: 7, tags: { mitre: null }, on: 'exec', message: 1, groupBy: {}, unless: [[]] },
    null,
    [],
  ]
  const { status, lines } = run('lint', await packFile('wrong.json', ...(rules as object[])))
  expect(status).toBe(2)
  for (const line of lines) expect(line).toMatch(/^error: .*wrong\.json: \$\.rules\[[012]\]/)
})

test('lint on a pack that loads and lacks something: warnings, exit 1', async () => {
  const { status, lines } = run('lint', await packFile('poor.json', rule))
  expect(status).toBe(1)
  expect(lines).toHaveLength(6)
  for (const line of lines)
    expect(line).toMatch(/^warning: .*poor\.json: \$\.rules\[0\]: found no .* in rule r, expected /)
  expect(run('lint', await packFile('rich.json', complete))).toEqual({ status: 0, lines: [], stderr: '' })
})

test('lint reads a pack that adds to the shipped lists beside the shipped packs, and speaks of that pack alone', async () => {
  const file = join(folder, 'mine.json')
  const write = (list: string) =>
    writeFile(file, JSON.stringify({ pack: 'mine', version: '1', lists: { [list]: ['/opt/agent'] }, rules: [] }))
  await write('nightjar/metadata_agents')
  expect(run('lint', file)).toEqual({ status: 0, lines: [], stderr: '' })
  await write('nightjar/metadata_agent')
  expect(run('lint', file)).toMatchObject({
    status: 2,
    lines: [expect.stringContaining('did you mean nightjar/metadata_agents?')],
  })
  await write('elsewhere/agents')
  expect(run('lint', file)).toMatchObject({ status: 1, lines: [expect.stringContaining('which is not loaded')] })
})

test('test: a claim that fails is named with what was found, exit 1', async () => {
  const tests = [...complete.tests, { name: 'a wish', events: [{ process: { name: 'ls' } }], alerts: 1 }]
  const file = await packFile('wish.json', { ...complete, tests })
  expect(run('test', file)).toMatchObject({
    status: 1,
    lines: [
      `${file}: $.rules[0]: rule r, test "a wish": found 0 alerts, expected 1`,
      '1 rules: 2 tests passed, 1 failed',
    ],
  })
  const results = run('test', file, '--output', 'json').lines.map((line) => JSON.parse(line).ok)
  expect(results).toEqual([true, true, false])
})

test('test and list on rules that cannot be loaded: the problems on stderr, nothing on stdout, exit 2', async () => {
  const file = await packFile('bad.json', { ...rule, when: {} })
  for (const command of ['test', 'list']) {
    const { status, lines, stderr } = run(command, file)
    expect([status, lines]).toEqual([2, []])
    expect(stderr).toContain('bad.json: $.rules[0].when: found an empty object')
  }
  expect(run('lint', join(folder, 'missing.json')).status).toBe(2)
})

test('bad usage: exit 2', () => {
  expect(run('lint', '--outptu', 'json').status).toBe(2)
  expect(run('lint', '--output', 'xml').status).toBe(2)
  expect(run('lnit').status).toBe(2)
  expect(run('lint', '--help').status).toBe(0)
})

test('explain: a rule in words, with its fields and what the sensor has to see', async () => {
  const { status, lines } = run('explain', 'metadata-service-access')
  expect(status).toBe(0)
  const said = lines.join('\n')
  expect(said).toContain('metadata-service-access: Access to the cloud metadata service (high; nightjar 0.1.0)')
  expect(said).toMatch(/connect events whose destination\.ip is "169\.254\.169\.254"/)
  expect(said).toContain('asked only about events with one of these constants')
  expect(JSON.parse(run('explain', 'nightjar/reverse-shell', '--output', 'json').lines[0] ?? '')).toMatchObject({
    id: 'reverse-shell',
    on: ['exec', 'stdio'],
    interest: [
      {
        type: 'exec',
        clues: [
          { field: 'process.stdin.type', how: 'is', constants: ['socket'] },
          { field: 'process.reads_commands_from', how: 'is', constants: ['stdin'] },
        ],
      },
      { type: 'stdio' },
    ],
  })
  const { status: unknown, lines: nothing, stderr } = run('explain', 'reverse-shel')
  expect([unknown, nothing]).toEqual([2, []])
  expect(stderr).toContain('did you mean reverse-shell?')
})

test('explain speaks of steps, thresholds, exceptions and the packs that changed the rule', async () => {
  const step = (name: string, more: object = {}) => ({ on: ['exec'], when: { 'process.name': name }, ...more })
  const steps = [step('curl'), step('rm', { negated: true }), step('x')]
  const { on: _, when: __, ...rest } = complete
  const file = await packFile(
    'many.json',
    { ...rest, id: 'steps', sequence: { steps, by: 'process_tree', within: '90s' } },
    {
      ...complete,
      id: 'many',
      threshold: { count: 9, distinct: 'process.name', by: ['container.id'], within: '1m' },
      unless: [{ when: { 'process.pid': 1 }, reason: 'init', owner: 'ops', expires: '2999-01-01' }],
    },
  )
  const steady = run('explain', 'steps', file).lines.join('\n')
  expect(steady).toContain('These events follow one another within 90s, with one tree of processes:')
  expect(steady).toContain('2. no exec event with')
  const many = run('explain', 'many', file).lines.join('\n')
  expect(many).toContain('9 different values of process.name with equal container.id come together within 1m.')
  expect(many).toContain('(init; ask ops; until 2999-01-02T00:00:00.000Z)')
  const mine = join(folder, 'mine.json')
  const overrides = [{ rule: 'reverse-shell', severity: 'info' }]
  await writeFile(mine, JSON.stringify({ pack: 'mine', version: '1', rules: [], overrides }))
  const changed = run('explain', 'reverse-shell', mine).lines.join('\n')
  expect(changed).toContain(`Changed by ${mine}.`)
  expect(changed).toContain('(info;')
  expect(run('list', mine).lines).toHaveLength(1)
})

test('fields: every field with type, event types and meaning', () => {
  const { status, lines } = run('fields', '--output', 'json')
  expect(status).toBe(0)
  const rows = lines.map((line) => JSON.parse(line))
  expect(rows.find(({ name }) => name === 'destination.ip')).toEqual({
    name: 'destination.ip',
    type: 'ip',
    multiple: false,
    description: 'IP address; an IPv4 address mapped into IPv6 is written as IPv4.',
    event_types: ['connect', 'dns', 'accept'],
    operators: ['equals', 'in', 'cidr', 'exists'],
  })
  expect(rows.find(({ name }) => name === 'process.command_args').operators).toContain('subset')
  expect(run('fields').lines).toHaveLength(rows.length + 1)
})

test('list: the tags, and the rules with a tag, a technique standing for its sub-techniques', () => {
  const pack = join(builtinPacks(), 'nightjar.json')
  expect(run('list', '--tags', pack).lines[0]).toContain('[T1059.004, T1071')
  const ids = (...args: string[]) =>
    run('list', '--output', 'json', pack, ...args).lines.map((line) => JSON.parse(line).id)
  expect(ids('--tag', 'T1059')).toEqual(['reverse-shell', 'unexpected-child-process'])
  expect(ids('--tag', 'nhi2:2025')).toEqual(['metadata-service-access'])
  expect(ids('--tag', 'T105')).toEqual([])
})

test('replay --summary: for each rule its matches, and what became of them, in place of the alerts', () => {
  const [main, capture] = ['../../sensor/main.ts', '../captures/demo.nightjar'].map((path) =>
    join(import.meta.dirname, path),
  )
  const replay = (...args: string[]) => {
    const { status, stdout } = spawnSync(process.execPath, [main ?? '', 'replay', capture ?? '', ...args], {
      encoding: 'utf8',
    })
    expect(status).toBe(0)
    return stdout.split('\n').filter((line) => line !== '')
  }
  const alerts = replay('--output', 'json').map((line) => JSON.parse(line).rule.id)
  const rows = replay('--summary', '--output', 'json').map((line) => JSON.parse(line))
  expect(rows).toHaveLength(shipped)
  for (const row of rows) {
    expect(row.alerts).toBe(alerts.filter((id) => id === row.rule).length)
    expect(row.matches).toBe(row.alerts + row.folded + row.excepted)
  }
  expect(replay('--summary')[0]).toMatch(/^rule +matches +alerts +folded +excepted$/)
})
