import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactor } from '../../exporters/redaction.ts'
import type { Alert } from '../../sensor/alert.ts'
import { ordinaryCommands } from './ordinary-commands.ts'
import { sampleAlert } from './sample.ts'
import { type Way, ways } from './secrets.ts'

const redact = redactor({}, () => {})

/** An alert that has these arguments wherever arguments are told. */
function executed(args: string[], more: Partial<Alert> = {}): Alert {
  const line = args.join(' ')
  const process = { pid: 7, name: 'app', command_args: args, command_line: line }
  return sampleAlert({
    process: { ...process, ancestors: [process, { ...process, pid: 6 }] },
    earlier: [{ event: { type: 'exec' }, time: '2026-03-01T12:34:50.000Z', process }],
    message: `app started ${line} as root`,
    ...more,
  })
}

/** An alert that tells of this text where there are no arguments beside it. */
const quoted = (text: string): Alert =>
  sampleAlert({
    message: `seen: ${text}`,
    process: {
      previous: { name: 'nc', command_line: text },
      stdin: { type: 'pipe', relay: { pid: 1, command_line: text } },
      working_directory: `/srv/${text}`,
      ancestors: [{ pid: 2, command_line: text }],
    },
    file: { path: `/tmp/${text}`, requested_path: text },
    target: { pid: 3, command_line: text },
    mount: { source: text },
  })

test.each(ways)('no alert tells it: $name', (way: Way) => {
  fc.assert(
    fc.property(way.secret, (secret) => {
      const args = way.args(secret)
      expect(JSON.stringify(redact(executed(args)))).not.toContain(JSON.stringify(secret).slice(1, -1))
      if (way.argumentsOnly) return
      expect(JSON.stringify(redact(quoted(args.join(' '))))).not.toContain(JSON.stringify(secret).slice(1, -1))
    }),
    { numRuns: 40 },
  )
})

test.each(ordinaryCommands)('an ordinary command line stays as it is: %s', (line) => {
  for (const alert of [executed(line.split(' ')), quoted(line)]) expect(redact(alert)).toBe(alert)
})

const secret = 'q7hunter2hunter2'

test('a password with blanks in it leaves the joined command line and the message whole', () => {
  const alert = executed(['app', '--password', 'correct horse battery staple', '--verbose'])
  const { message, process } = redact(alert)
  expect(process?.command_args).toEqual(['app', '--password', '[redacted:password]', '--verbose'])
  expect(process?.command_line).toBe('app --password [redacted:password] --verbose')
  expect(message).toBe('app started app --password [redacted:password] --verbose as root')
})

test('the alert that was judged stays as it was', () => {
  const alert = executed(['app', `--token=${secret}`])
  const before = structuredClone(alert)
  redact(alert)
  expect(alert).toEqual(before)
})

test('a secret that an argument tells is taken out wherever else it shows', () => {
  const alert = executed(['sshpass', '-p', secret, 'ssh', 'db'], { file: { path: `/tmp/${secret}.txt` } })
  expect(redact(alert).file?.path).toBe('/tmp/[redacted:password].txt')
})

test('but not out of a longer word, nor out of what the rule, the pod and the identity are called', () => {
  const alert = executed(['app', '--token=checkout'], { file: { path: '/srv/checkouts' } })
  const { file, k8s, identity, process } = redact(alert)
  expect(process?.command_args?.[1]).toBe('--token=[redacted:password]')
  expect(file?.path).toBe('/srv/checkouts')
  expect([k8s, identity]).toEqual([alert.k8s, alert.identity])
})

test('the beginning of a secret that a message cuts off goes too', () => {
  const password = `${secret} and ${'more '.repeat(60)}`
  const alert = executed(['app', '--password', password], { message: `app --password ${secret} and mo… ran` })
  expect(redact(alert).message).toBe('app --password [redacted:password]… ran')
})

test('a password called password leaves no broken marker', () => {
  const { message } = redact(executed(['mysql', '-ppassword', '--password=redacted']))
  expect(message).toBe('app started mysql -p[redacted:password] --password=[redacted:password] as root')
})

test('what is redacted stays as it is when it is redacted again', () => {
  const once = redact(executed(['app', '--token', secret, `postgres://a:${secret}@db/`]))
  expect(redact(once)).toBe(once)
})

test('what Nightjar says itself may speak of tokens and passwords', () => {
  const alert = sampleAlert({
    rule: { id: 'x', name: 'A token= or "password": "in plain text" was read', pack: 'p', tags: {} },
    runbook: 'https://runbooks.example/?token=what-to-do',
    message: 'cat read the service account token: /var/run/secrets/kubernetes.io/serviceaccount/token',
  })
  expect(redact(alert)).toBe(alert)
})

test('each secret is counted by its kind', () => {
  const counted: string[] = []
  const alert = sampleAlert({
    process: { command_args: ['curl', '-H', `Authorization: Bearer ${secret}`, `https://u:${secret}@x.example`] },
  })
  redactor({}, (kind) => counted.push(kind))(alert)
  expect(counted.sort()).toEqual(['authorization', 'url_password'])
})

test('patterns of your own: the first group or the whole, under their name', () => {
  const patterns = [
    { name: 'badge', pattern: 'BADGE-\\d{4}' },
    { name: 'member', pattern: 'member:(\\w+)' },
  ]
  const { message } = redactor({ patterns }, () => {})(sampleAlert({ message: 'BADGE-1234 of member:jane' }))
  expect(message).toBe('[redacted:badge] of member:[redacted:member]')
})

test('a pattern that would not run in linear time, or is none, is refused with its place', () => {
  const make = (pattern: string) => () => redactor({ patterns: [{ name: 'mine', pattern }] }, () => {})
  expect(make('(?=a)a')).toThrow('exporters.redaction.patterns[0].pattern: found "(?=a)a" (')
  expect(make('(a')).toThrow('expected a regular expression in the syntax of RE2 (no lookaround, no backreferences)')
})

test('switched off, everything is told', () => {
  const alert = executed(['app', `--token=${secret}`])
  expect(redactor({ enabled: false }, () => {})(alert)).toBe(alert)
})

test.each([
  'password',
  'eyJ',
  '://a:',
  'authorization: ',
  '"password":"',
  'bearer ',
  'mysql -p',
  "'",
  'a:a@',
  'x-key:',
  '\\"',
  'pw=";;;;;;;;a',
])('a megabyte of %j is read in no time worth a mention', (text) => {
  // A single expression that reads runs twice would take hours here.
  redact(sampleAlert({ message: text.repeat(1_000_000 / text.length) }))
})

const megabyte = 1_000_000

test.each([
  ['a quoted value that ends as commands do, almost', [`pw="${';'.repeat(megabyte)}a`]],
  ['as many different secrets', Array.from({ length: megabyte / 10 }, (_, at) => `pw=${at + megabyte}`)],
  ['secrets that are beginnings of one another', Array.from({ length: 1400 }, (_, at) => `pw=${'-'.repeat(at + 6)}`)],
])('a megabyte of arguments is read in no time worth a mention: %s', (_, args) => {
  // Looking for each secret in each text, or reading a run again from each of its characters, takes minutes to hours.
  redact(executed(args))
})
