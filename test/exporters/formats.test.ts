import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FormatName, formatNames, formats } from '../../exporters/formats.ts'
import { redactor } from '../../exporters/redaction.ts'
import { Alert } from '../../sensor/alert.ts'
import { anyAlert } from './any-alert.ts'
import { hostile } from './hostile.ts'
import {
  cloudEvent,
  ecsDocument,
  ecsTypes,
  falcoOutput,
  postableAlerts,
  slackMessage,
  teamsMessage,
} from './payload-schemas.ts'
import { bareAlert, sampleAlert } from './sample.ts'
import { ways } from './secrets.ts'

const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)
const ajv2020 = new Ajv2020({ strict: false, allErrors: true })
const ocsfFile = join(import.meta.dirname, 'schemas/ocsf-1.5.0-detection-finding.json')

const validators: Record<FormatName, ValidateFunction> = {
  native: ajv.compile(Alert),
  cloudevents: ajv.compile(cloudEvent),
  ocsf: ajv2020.compile(JSON.parse(readFileSync(ocsfFile, 'utf8'))),
  falcosidekick: ajv.compile(falcoOutput),
  alertmanager: ajv.compile(postableAlerts),
  slack: ajv.compile(slackMessage),
  teams: ajv.compile(teamsMessage),
  ecs: ajv.compile(ecsDocument),
}

/** What a receiver reads: UTF-8, then JSON. */
const sent = (name: FormatName, alert: Alert): unknown =>
  JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(formats[name].one(alert))))

function expectValid(name: FormatName, payload: unknown) {
  validators[name](payload)
  expect(validators[name].errors ?? []).toEqual([])
}

/** An alert whose identity reaches far. */
const reaching = (changes: Partial<Alert> = {}): Alert => {
  const alert = sampleAlert(changes)
  const identity = {
    ...alert.identity,
    spiffe_id: 'spiffe://prod.example/ns/payments/sa/checkout',
    cloud: [{ provider: 'aws', principal: 'arn:aws:iam::123456789012:role/checkout', source: 'eks-irsa' }],
    blast_radius: {
      score: 72,
      level: 'high',
      paths: [{ id: 'read-secrets', title: 'read every Secret of the cluster', why: 'they hold credentials' }],
    },
    reach: { data_stores: [{ type: 'postgresql', name: 'shop/db', port: 5432 }], control_plane: [], node: [] },
  }
  return { ...alert, identity }
}

describe.each(formatNames)('%s', (name) => {
  test('a whole alert, one that knows next to nothing, and any other make a payload that the schema takes', () => {
    for (const alert of [sampleAlert(), reaching(), bareAlert()]) expectValid(name, sent(name, alert))
    fc.assert(
      fc.property(anyAlert, (alert) => expectValid(name, sent(name, alert))),
      { numRuns: 150 },
    )
  })

  test('what a process chose changes texts, and nothing else in the payload', () => {
    const plain = shapeOf(sent(name, chosen('ordinary')))
    fc.assert(
      fc.property(hostile, (text) => {
        expect(shapeOf(sent(name, chosen(`x${text}`)))).toEqual(plain)
      }),
      { numRuns: 200 },
    )
  })

  test('no secret gets this far', () => {
    const redact = redactor({}, () => {})
    for (const way of ways) {
      for (const secret of fc.sample(way.secret, { numRuns: 2, seed: 7 })) {
        const args = way.args(secret)
        const line = args.join(' ')
        const alert = sampleAlert({
          message: `ran ${line}`,
          process: { pid: 1, command_args: args, command_line: line },
        })
        const inJson = JSON.stringify(secret).slice(1, -1)
        expect(formats[name].one(redact(alert)), way.name).not.toContain(inJson)
      }
    }
  })
})

/** An alert with the text wherever a process has a say. */
const chosen = (text: string): Alert =>
  sampleAlert({
    message: text,
    process: {
      pid: 1,
      name: text,
      command_args: [text, text],
      command_line: text,
      working_directory: text,
      executable: { path: `/${text.replaceAll('/', '')}`, name: text },
      ancestors: [{ pid: 2, name: text, command_line: text }],
    },
    file: { path: `/${text.replaceAll('/', '')}`, name: text, requested_path: text },
  })

/** The payload with every text replaced by its type. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shapeOf(item)]))
}

test('batches: native, CloudEvents, OCSF, Alertmanager and ECS put several alerts in a body', () => {
  const alerts = [sampleAlert(), bareAlert()]
  const many = (name: FormatName) => formats[name].many?.(alerts) ?? ''
  expect(JSON.parse(many('native')).alerts).toEqual(alerts)
  for (const name of ['cloudevents', 'ocsf'] as const) for (const one of JSON.parse(many(name))) expectValid(name, one)
  expectValid('alertmanager', JSON.parse(many('alertmanager')))
  const lines = many('ecs').split('\n')
  expect(lines.at(-1)).toBe('')
  expect(lines.length).toBe(2 * alerts.length + 1)
  expect(JSON.parse(lines[0] ?? '')).toEqual({ create: { _id: alerts[0]?.id } })
  expectValid('ecs', JSON.parse(lines[1] ?? ''))
  for (const name of ['slack', 'teams', 'falcosidekick'] as const) expect(formats[name].many).toBeUndefined()
})

describe('chats', () => {
  interface Block {
    type: string
    text?: { type: string; text: string }
    fields?: { text: string }[]
  }
  const slackOf = (alert: Alert) => sent('slack', alert) as { text: string; blocks: Block[] }
  const textsOf = ({ text, blocks }: { text: string; blocks: Block[] }) => [
    text,
    ...blocks.flatMap((block) => [
      ...(block.text?.type === 'mrkdwn' ? [block.text.text] : []),
      ...(block.fields ?? []).map((field) => field.text),
    ]),
  ]
  const everyText = (payload: unknown): string[] =>
    typeof payload === 'string'
      ? [payload]
      : typeof payload === 'object' && payload !== null
        ? Object.values(payload).flatMap(everyText)
        : []

  test.each(['slack', 'teams'] as const)('%s tells who, what, how far it reaches, and what to do', (name) => {
    const texts = everyText(sent(name, reaching())).join('\n')
    for (const part of [
      'CRITICAL: Reverse shell',
      'bash takes its commands from 203.0.113.9:4444',
      'payments/checkout-7d9f-x2x (Deployment checkout)',
      'system:serviceaccount:payments:checkout',
      'arn:aws:iam::123456789012:role/checkout',
      'high, 72 of 100: read every Secret of the cluster',
      'data stores postgresql shop/db',
      'kubectl -n payments describe pod checkout-7d9f-x2x',
      'https://runbooks.example/reverse-shell',
      'registry.example/shop/checkout:1.4.2',
    ])
      expect(texts).toContain(part)
  })

  test('Slack and Mattermost mention nobody and link nowhere but to the runbook, whatever an alert says', () => {
    const bait = fc.constantFrom(
      '<!channel>',
      '<@U123>',
      '@channel',
      '@all',
      '<https://evil.example|Runbook>',
      '`',
      '&lt;',
      '*x*',
    )
    const baited = fc.array(fc.oneof(bait, hostile), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(baited, (text) => {
        for (const mrkdwn of textsOf(slackOf(chosen(text)))) {
          const [, ...links] = mrkdwn.split('<')
          for (const link of links) expect(link).toMatch(/^https:\/\/runbooks\.example\/reverse-shell\|Runbook>/)
          expect(mrkdwn.replaceAll(/&(?:amp|lt|gt);/g, '')).not.toContain('&')
          // Outside the code spans nothing is left that the alert's process chose.
          expect(mrkdwn.replaceAll(/`[^`\n]*`/g, '')).not.toMatch(/[`@]/)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('Teams reads none of it as markdown: every text is a run', () => {
    const { attachments } = sent('teams', chosen('[x](https://evil.example) **b** <at>all</at>')) as {
      attachments: { content: { body: { type: string }[] } }[]
    }
    const types = attachments[0]?.content.body.map(({ type }) => type)
    expect(new Set(types)).toEqual(new Set(['RichTextBlock']))
  })

  test('a command line of a megabyte stays within what the chats take', () => {
    const long = (character: string) => chosen(character.repeat(1_000_000))
    for (const character of ['a', '<', '界', '"', '\u001b', '🦜']) {
      expectValid('slack', sent('slack', long(character)))
      expect(Buffer.byteLength(formats.teams.one(long(character)))).toBeLessThan(28 * 1024)
    }
  })

  test('a runbook that is no web address is no link', () => {
    const alert = sampleAlert({ runbook: 'javascript:alert(1)' })
    expect(formats.slack.one(alert)).not.toContain('javascript')
    expect(formats.teams.one(alert)).not.toContain('javascript')
  })

  test('a pod is only named in a command if its name can do no harm there', () => {
    const alert = sampleAlert({ k8s: { namespace: { name: 'x' }, pod: { name: '$(reboot)' } } })
    expect(formats.slack.one(alert)).not.toContain('kubectl')
  })
})

describe('Alertmanager', () => {
  const labelsOf = (alert: Alert) => (sent('alertmanager', alert) as { labels: Record<string, string> }[])[0]?.labels

  test('groups by what fired and where: another process, command and time have the same labels', () => {
    const other = sampleAlert({
      process: { pid: 9, command_line: 'another' },
      time: '2026-03-01T13:00:00Z',
      message: 'x',
    })
    expect(labelsOf(other)).toEqual(labelsOf(sampleAlert()))
    expect(labelsOf(reaching())).toEqual({
      alertname: 'reverse-shell',
      severity: 'critical',
      rule_pack: 'execution',
      cluster: 'prod-eu',
      node: 'node-1',
      namespace: 'payments',
      workload: 'Deployment/checkout',
      pod: 'checkout-7d9f-x2x',
      container: 'app',
      service_account: 'checkout',
      blast_radius: 'high',
    })
  })
})

describe('OCSF', () => {
  test('says process, parent, actor, device, container, resources and ATT&CK', () => {
    const finding = sent('ocsf', reaching()) as Record<string, unknown>
    expect(finding).toMatchObject({
      class_uid: 2004,
      severity_id: 5,
      actor: {
        process: { pid: 4711, name: 'bash', parent_process: { pid: 4700, parent_process: { pid: 4600 } } },
        user: { name: 'system:serviceaccount:payments:checkout' },
      },
      device: { hostname: 'node-1', container: { name: 'app', orchestrator: 'kubernetes' } },
      finding_info: {
        attacks: [
          { technique: { uid: 'T1059' }, sub_technique: { uid: 'T1059.004' } },
          { technique: { uid: 'T1071' } },
        ],
      },
      risk_level: 'High',
      risk_score: 95,
    })
    expect(finding.resources).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: 'Pod', name: 'checkout-7d9f-x2x', namespace: 'payments' }),
        expect.objectContaining({ name: 'arn:aws:iam::123456789012:role/checkout' }),
      ]),
    )
  })
})

describe('ECS', () => {
  test('each type of event goes with its category, as ECS has it', () => {
    fc.assert(
      fc.property(anyAlert, (alert) => {
        const { event } = sent('ecs', alert) as { event: { category: string[]; type: string[] } }
        for (const type of event.type) expect(ecsTypes[event.category[0] ?? '']).toContain(type)
      }),
    )
  })
})

test('falcosidekick: Falco names what Falco knows, and Nightjar what it does not', () => {
  const { output, priority, output_fields } = sent('falcosidekick', reaching()) as {
    output: string
    priority: string
    output_fields: Record<string, unknown>
  }
  expect(priority).toBe('Critical')
  expect(output).toBe('2026-03-01T12:34:56.789Z: Critical bash takes its commands from 203.0.113.9:4444')
  expect(output_fields).toMatchObject({
    'evt.type': 'exec',
    'proc.name': 'bash',
    'proc.pname': 'sh',
    'proc.aname[2]': 'php-fpm',
    'container.id': '3f2a9c81b7d0',
    'container.image.repository': 'registry.example/shop/checkout',
    'container.image.tag': '1.4.2',
    'k8s.ns.name': 'payments',
    'k8s.pod.name': 'checkout-7d9f-x2x',
    'nightjar.identity': 'system:serviceaccount:payments:checkout',
  })
})

test('CloudEvents: id and source are the same when an alert is sent again, and the alert is the data', () => {
  const alert = sampleAlert()
  const event = sent('cloudevents', alert) as Record<string, unknown>
  expect(event).toMatchObject({ specversion: '1.0', id: alert.id, source: '/nightjar/node-1', data: alert })
})
