import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { nightjar, output, root } from './sensor.ts'

const directory = mkdtempSync(join(tmpdir(), 'nightjar-cli-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = (name: string, text: string | Buffer) => {
  writeFileSync(join(directory, name), text)
  return join(directory, name)
}
const run = (...args: string[]) => output(nightjar(args))
const demo = join(root, 'test/captures/demo.nightjar')

describe('bad input: exit code 2, and one message with file, place, found, expected', () => {
  const cases: { name: string; args: () => string[]; says: RegExp }[] = [
    { name: 'an unknown flag', args: () => ['run', '--frobnicate'], says: /unknown option '--frobnicate'/ },
    { name: 'an unknown command', args: () => ['wtach'], says: /unknown command 'wtach'/ },
    { name: 'a duration', args: () => ['run', '--duration', '5'], says: /--duration.*'5' is invalid.*500ms/ },
    { name: 'an address', args: () => ['run', '--metrics', '9464'], says: /--metrics.*'9464' is invalid/ },
    { name: 'an event type', args: () => ['events', '--type', 'exce'], says: /--type.*'exce' is invalid.*exec/ },
    { name: 'no such config', args: () => ['run', '--config', `${directory}/none`], says: /none: can't be read/ },
    {
      name: 'a config that is no YAML',
      args: () => ['run', '--config', file('broken.yaml', 'rules: [\n')],
      says: /broken\.yaml:\d+:\d+: found .*, expected YAML or JSON/,
    },
    {
      name: 'a config with an unknown key',
      args: () => ['run', '--config', file('typo.yaml', 'exporters:\n  webhoks: []\n')],
      says: /typo\.yaml:2:\d+: \$\.exporters\.webhoks: found the unknown key "webhoks", expected .* \(did you mean webhooks\?\)/,
    },
    {
      name: 'a config with a value of the wrong type',
      args: () => ['run', '--config', file('type.json', '{"rules": 3}')],
      says: /type\.json:1:\d+: \$\.rules: found 3, expected an array/,
    },
    {
      name: 'a rule with an unknown field',
      args: () => [
        'replay',
        demo,
        '--rules',
        file(
          'rule.json',
          JSON.stringify({
            pack: 'p',
            version: '1',
            rules: [
              {
                id: 'a',
                name: 'a',
                description: 'a',
                on: ['exec'],
                when: { 'process.nmae': 'x' },
                severity: 'low',
                message: 'm',
              },
            ],
          }),
        ),
      ],
      says: /rule\.json: \$\.rules\[0\]\.when\["process\.nmae"\]: found .*, expected .* \(did you mean process\.name\?\)/,
    },
    {
      name: 'a rule file that is no JSON',
      args: () => ['rules', 'test', file('cut.json', '{"pack":')],
      says: /cut\.json:1:\d+/,
    },
    {
      name: 'a kubeconfig that is not there',
      args: () => ['run', '--config', file('kube.yaml', `kubernetes: { kubeconfig: ${directory}/no-kubeconfig }\n`)],
      says: /no-kubeconfig \(from kubernetes\.kubeconfig\): can't be used as a kubeconfig/,
    },
    { name: 'no such capture', args: () => ['replay', `${directory}/none`], says: /no such file/ },
    {
      name: 'a file that is no capture',
      args: () => ['replay', '/bin/true'],
      says: /\/bin\/true: at byte 0: found another kind of file, expected the header/,
    },
    { name: 'an empty capture', args: () => ['replay', file('empty', '')], says: /at byte 0: found an empty file/ },
  ]
  for (const { name, args, says } of cases)
    test(name, async () => {
      const { code, stdout, stderr } = await run(...args())
      expect(stderr).toMatch(says)
      expect(code).toBe(2)
      expect(stdout).toBe('')
    })
})

test('a truncated capture: what is whole is judged, the rest reported, exit code 1', async () => {
  const whole = await run('replay', demo, '--output', 'json')
  expect(whole.code).toBe(0)
  const bytes = readFileSync(demo)
  const { code, stdout, stderr } = await run(
    'replay',
    file('cut', bytes.subarray(0, bytes.length - 3)),
    '--output',
    'json',
  )
  expect(code).toBe(1)
  expect(stderr).toMatch(/cut: at byte \d+: found \d+ bytes of an unfinished entry/)
  expect(stdout.split('\n')).toHaveLength(whole.stdout.split('\n').length)
})

test('the demo shows each of the three behaviours', async () => {
  const { stdout } = await run('replay', demo, '--output', 'json')
  const rules = new Set(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).rule.id),
  )
  for (const rule of ['reverse-shell', 'metadata-service-access', 'unexpected-child-process'])
    expect(rules).toContain(rule)
})

test('probe print gives the program for the loaded rules: no connect probe without a rule on connect', async () => {
  const pack = {
    pack: 'p',
    version: '1',
    rules: [
      {
        id: 'a',
        name: 'a',
        description: 'a',
        on: ['exec'],
        when: { 'process.name': 'x' },
        severity: 'low',
        message: 'm',
      },
    ],
  }
  const all = await run('probe', 'print')
  expect(all.stdout).toContain('inet_sock_set_state')
  const few = await run('probe', 'print', '--no-builtin-rules', '--rules', file('few.json', JSON.stringify(pack)))
  expect(few.stdout).toContain('sched_process_exec')
  expect(few.stdout).not.toContain('inet_sock_set_state')
})

test('the rule commands: lint, test and list of what is shipped', async () => {
  expect((await run('rules', 'lint')).code).toBe(0)
  expect((await run('rules', 'test')).stdout).toMatch(/\d+ tests passed, 0 failed/)
  expect((await run('rules', 'list')).stdout).toContain('reverse-shell')
})
