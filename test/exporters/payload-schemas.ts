/**
 * What receivers take, by what they publish: CloudEvents 1.0.2 (JSON format), Falco's JSON output as falcosidekick
 * decodes it, Alertmanager's OpenAPI v2 (postableAlert), Slack's Block Kit with its limits, Adaptive Cards 1.4, and
 * ECS 8.17's field list. Each is closed: a key that isn't listed is a mistake.
 */
const text = { type: 'string' }
const filled = { type: 'string', minLength: 1 }
const upTo = (maxLength: number) => ({ type: 'string', minLength: 1, maxLength })
const integer = { type: 'integer' }
const texts = { type: 'array', items: text }
const time = { type: 'string', format: 'date-time' }
const closed = (properties: object, required: string[] = []) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

export const cloudEvent = {
  type: 'object',
  properties: {
    id: filled,
    source: { type: 'string', format: 'uri-reference', minLength: 1 },
    specversion: { const: '1.0' },
    type: filled,
    datacontenttype: filled,
    dataschema: { type: 'string', format: 'uri', minLength: 1 },
    subject: filled,
    time,
    data: {},
  },
  // Names of attributes: lower-case letters and digits. Values of extensions: text, numbers, booleans.
  patternProperties: { '^[a-z0-9]+$': {} },
  additionalProperties: false,
  required: ['id', 'source', 'specversion', 'type'],
}

export const falcoOutput = closed(
  {
    uuid: text,
    output: filled,
    priority: {
      enum: ['Emergency', 'Alert', 'Critical', 'Error', 'Warning', 'Notice', 'Informational', 'Debug'],
    },
    rule: filled,
    time,
    source: filled,
    hostname: text,
    tags: texts,
    // Decoded into a map whose values are told to 60 outputs as text or numbers; an empty one is refused.
    output_fields: {
      type: 'object',
      minProperties: 1,
      patternProperties: { '^[a-z0-9_.\\[\\]]+$': { type: ['string', 'number'] } },
      additionalProperties: false,
    },
  },
  ['output', 'priority', 'rule', 'time', 'output_fields'],
)

const labelSet = {
  type: 'object',
  // Prometheus: label names.
  patternProperties: { '^[a-zA-Z_][a-zA-Z0-9_]*$': filled },
  additionalProperties: false,
}

export const postableAlerts = {
  type: 'array',
  items: closed(
    {
      labels: { ...labelSet, required: ['alertname'] },
      annotations: labelSet,
      startsAt: time,
      endsAt: time,
      generatorURL: { type: 'string', format: 'uri' },
    },
    ['labels'],
  ),
}

const plainText = (limit: number) =>
  closed({ type: { const: 'plain_text' }, text: upTo(limit), emoji: { type: 'boolean' } }, ['type', 'text'])
const mrkdwn = (limit: number) => closed({ type: { const: 'mrkdwn' }, text: upTo(limit) }, ['type', 'text'])

export const slackMessage = closed(
  {
    text: upTo(40_000),
    unfurl_links: { type: 'boolean' },
    unfurl_media: { type: 'boolean' },
    blocks: {
      type: 'array',
      minItems: 1,
      maxItems: 50,
      items: {
        anyOf: [
          closed({ type: { const: 'header' }, text: plainText(150) }, ['type', 'text']),
          closed({ type: { const: 'section' }, text: mrkdwn(3000) }, ['type', 'text']),
          closed(
            {
              type: { const: 'section' },
              fields: { type: 'array', minItems: 1, maxItems: 10, items: mrkdwn(2000) },
            },
            ['type', 'fields'],
          ),
        ],
      },
    },
  },
  ['text', 'blocks'],
)

const textRun = closed(
  {
    type: { const: 'TextRun' },
    text: filled,
    weight: { enum: ['Lighter', 'Default', 'Bolder'] },
    size: { enum: ['Small', 'Default', 'Medium', 'Large', 'ExtraLarge'] },
    color: { enum: ['Default', 'Dark', 'Light', 'Accent', 'Good', 'Warning', 'Attention'] },
    fontType: { enum: ['Default', 'Monospace'] },
  },
  ['type', 'text'],
)

export const teamsMessage = closed(
  {
    type: { const: 'message' },
    attachments: {
      type: 'array',
      minItems: 1,
      maxItems: 1,
      items: closed(
        {
          contentType: { const: 'application/vnd.microsoft.card.adaptive' },
          contentUrl: { type: 'null' },
          content: closed(
            {
              $schema: text,
              type: { const: 'AdaptiveCard' },
              version: { const: '1.4' },
              fallbackText: filled,
              msteams: closed({ width: { const: 'Full' } }),
              body: {
                type: 'array',
                minItems: 1,
                items: closed(
                  { type: { const: 'RichTextBlock' }, inlines: { type: 'array', minItems: 1, items: textRun } },
                  ['type', 'inlines'],
                ),
              },
              actions: {
                type: 'array',
                items: closed(
                  {
                    type: { const: 'Action.OpenUrl' },
                    title: filled,
                    url: { type: 'string', format: 'uri', pattern: '^https?://' },
                  },
                  ['type', 'url'],
                ),
              },
            },
            ['type', 'version', 'body'],
          ),
        },
        ['contentType', 'content'],
      ),
    },
  },
  ['type', 'attachments'],
)

const tree = (properties: object) => closed(properties)
const ip = { type: 'string', anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] }
const endpoint = tree({ ip, port: integer, address: text })
const user = tree({ id: text, name: text })
const ecsProcess = {
  pid: integer,
  name: text,
  executable: text,
  args: texts,
  args_count: integer,
  command_line: text,
  working_directory: text,
  start: time,
  exit_code: integer,
  user,
  group: tree({ id: text }),
}
const categories = [
  ...['api', 'authentication', 'configuration', 'database', 'driver', 'email', 'file', 'host', 'iam'],
  ...['intrusion_detection', 'library', 'malware', 'network', 'package', 'process', 'registry', 'session', 'threat'],
  ...['vulnerability', 'web'],
]
/** Which event.type goes with which event.category. */
export const ecsTypes: Record<string, string[]> = {
  driver: ['change', 'end', 'info', 'start'],
  file: ['access', 'change', 'creation', 'deletion', 'info'],
  host: ['access', 'change', 'end', 'info', 'start'],
  iam: ['admin', 'change', 'creation', 'deletion', 'group', 'info', 'user'],
  network: ['access', 'allowed', 'connection', 'denied', 'end', 'info', 'protocol', 'start'],
  process: ['access', 'change', 'end', 'info', 'start'],
}

export const ecsDocument = closed(
  {
    '@timestamp': time,
    ecs: closed({ version: { const: '8.17.0' } }, ['version']),
    message: text,
    tags: texts,
    event: closed(
      {
        id: filled,
        kind: { const: 'alert' },
        category: { type: 'array', minItems: 1, items: { enum: categories } },
        type: { type: 'array', minItems: 1, items: { enum: [...new Set(Object.values(ecsTypes).flat())] } },
        action: filled,
        outcome: { enum: ['failure', 'success', 'unknown'] },
        module: filled,
        dataset: filled,
        provider: filled,
        severity: integer,
        risk_score: { type: 'number' },
        start: time,
        end: time,
        url: text,
      },
      ['kind', 'category', 'type'],
    ),
    rule: tree({ id: text, name: text, ruleset: text, version: text, reference: text }),
    threat: tree({
      framework: text,
      tactic: tree({ id: texts }),
      technique: tree({ id: texts, subtechnique: tree({ id: texts }) }),
    }),
    process: tree({ ...ecsProcess, parent: tree(ecsProcess) }),
    user,
    file: tree({
      path: text,
      name: text,
      directory: text,
      target_path: text,
      inode: text,
      mode: text,
      uid: text,
      gid: text,
    }),
    destination: endpoint,
    source: endpoint,
    network: tree({ transport: text, type: text }),
    dns: tree({ question: tree({ name: text, type: text }) }),
    error: tree({ code: text }),
    container: tree({
      id: text,
      name: text,
      runtime: text,
      image: tree({ name: text, tag: texts, hash: tree({ all: texts }) }),
    }),
    orchestrator: tree({
      type: text,
      cluster: tree({ name: text }),
      namespace: text,
      resource: tree({ type: text, id: text, name: text, label: texts, parent: tree({ type: text }) }),
    }),
    host: tree({ name: text, hostname: text, os: tree({ type: { enum: ['linux'] }, kernel: text }) }),
    observer: tree({ type: text, product: text, vendor: text, version: text, name: text }),
    related: tree({ ip: { type: 'array', items: ip }, user: texts }),
    // ECS leaves names of products to them.
    nightjar: { type: 'object' },
  },
  ['@timestamp', 'ecs', 'event'],
)
