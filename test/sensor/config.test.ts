import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig, parseConfig } from '../../sensor/config.ts'
import { UsageError } from '../../sensor/usage.ts'

const file = 'nightjar.yaml'
/** What the person who wrote it is told. */
const complaint = (text: string): string => {
  try {
    parseConfig(text, file)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return error instanceof Error ? error.message : ''
  }
  throw new Error(`accepted: ${text}`)
}

const everyKey = `
rules: [./my-rules]                 # files or folders, added to the shipped packs
builtinRules: true
metrics: { address: "127.0.0.1:9464" }
kubernetes: { enabled: auto, kubeconfig: null, nodeName: null, clusterName: null }
exporters:
  stdout: { format: auto }
  spool: { directory: /var/lib/nightjar/spool, maxBytes: 256MiB, maxAge: 7d }
  webhooks:
    - name: soc
      url: https://soc.example/hooks/nightjar
      format: native
      secretFile: /etc/nightjar/soc.key
      headers: {}
      headersFile: null
      tls: { caFile: null, certFile: null, keyFile: null }
      minSeverity: low
      retry: { initialDelay: 500ms, maxDelay: 1m }
      batch: null
`

describe('a configuration', () => {
  test('with every key of the contract is read, with null where the contract has null', () => {
    expect(parseConfig(everyKey, file)).toEqual({
      rules: ['./my-rules'],
      builtinRules: true,
      metrics: { address: '127.0.0.1:9464' },
      kubernetes: { enabled: 'auto', kubeconfig: null, nodeName: null, clusterName: null },
      exporters: {
        stdout: { format: 'auto' },
        spool: { directory: '/var/lib/nightjar/spool', maxBytes: '256MiB', maxAge: '7d' },
        webhooks: [
          {
            name: 'soc',
            url: 'https://soc.example/hooks/nightjar',
            format: 'native',
            secretFile: '/etc/nightjar/soc.key',
            headers: {},
            headersFile: null,
            tls: { caFile: null, certFile: null, keyFile: null },
            minSeverity: 'low',
            retry: { initialDelay: '500ms', maxDelay: '1m' },
            batch: null,
          },
        ],
      },
    })
  })

  test('in JSON is the same', () => {
    const config = parseConfig(everyKey, file)
    expect(parseConfig(JSON.stringify(config), 'nightjar.json')).toEqual(config)
    expect(parseConfig(JSON.stringify(config, null, '\t'), 'nightjar.json')).toEqual(config)
  })

  test.each(['', '\n', '# nothing but a comment\n', '---\n', '{}', 'null'])('%j is one without settings', (text) => {
    expect(parseConfig(text, file)).toEqual({})
  })

  test.each([
    ['rules: []'],
    ['rules: [a.json, /etc/nightjar/rules]'],
    ['builtinRules: false'],
    ['metrics: {}'],
    ['metrics: { address: "[::1]:9464" }'],
    ['metrics: { address: "0.0.0.0:0" }'],
    ['metrics: { address: "localhost:9464" }'],
    ['kubernetes: { enabled: true }'],
    ['kubernetes: { enabled: false }'],
    ['kubernetes: { kubeconfig: /root/.kube/config, nodeName: node-1, clusterName: prod }'],
    ['spiffe: { ignoreNamespaces: [] }'],
    ['spiffe: { ignoreNamespaces: [kube-system, "(?i)^team-[[:alpha:]]+$"] }'],
    ['spiffe: { className: spire-spire, watchClassless: true }'],
    ['exporters: { stdout: { format: pretty } }'],
    ['exporters: { stdout: { format: json } }'],
    ['exporters: { stdout: { format: none } }'],
    ['exporters: { webhooks: [] }'],
    ['exporters: { webhooks: [{ name: a, url: "http://127.0.0.1:8080/" }] }'],
    ['exporters: { webhooks: [{ name: a, url: "https://x", minSeverity: critical, timeout: 1.5s }] }'],
    ['exporters: { webhooks: [{ name: a, url: "https://x", headers: { X-Team: soc } }] }'],
    ['exporters: { webhooks: [{ name: a, url: "https://x", batch: { size: 5 } }] }'],
    ['exporters: { webhooks: [{ name: a, url: "https://x", rules: [team/*], namespaces: [a], concurrency: 4 }] }'],
    ['exporters: { webhooks: [{ name: a, url: "https://x", rateLimit: { alerts: 20, per: 1m } }] }'],
    ['exporters: { spool: { maxBytes: 1.5GiB } }'],
    ['exporters: { webhooks: [{ name: a, url: "https://x" }, { name: b, url: "https://x" }] }'],
  ])('%s', (text) => {
    expect(() => parseConfig(text, file)).not.toThrow()
  })

  test('can use what YAML has: anchors, folded text, a byte order mark', () => {
    const text = `\ufeffkubernetes:
  nodeName: &node node-1
  clusterName: *node
exporters:
  webhooks:
    - name: soc
      url: >-
        https://soc.example/
`
    expect(parseConfig(text, file)).toEqual({
      kubernetes: { nodeName: 'node-1', clusterName: 'node-1' },
      exporters: { webhooks: [{ name: 'soc', url: 'https://soc.example/' }] },
    })
  })
})

describe('an error names file, line, column, path, what was found and what was expected', () => {
  test.each([
    ['rules: my-rules', '1:8: $.rules: found "my-rules", expected an array'],
    ['rules:\n  - a\n  - 5', '3:5: $.rules[1]: found 5, expected text'],
    ['\n\nbuiltinRules: "no"', '3:15: $.builtinRules: found "no", expected true or false'],
    ['builtinRules: null', '1:15: $.builtinRules: found null, expected true or false'],
    ['metrics: 9464', '1:10: $.metrics: found 9464, expected an object'],
    [
      'metrics:\n  address: 9464',
      '2:12: $.metrics.address: found 9464, expected an address and a port such as 127.0.0.1:9464 or [::1]:9464',
    ],
    [
      'metrics:\n  address: ":9464"',
      '2:12: $.metrics.address: found ":9464", expected an address and a port such as 127.0.0.1:9464 or [::1]:9464',
    ],
    ['kubernetes:\n  enabled: yes', '2:12: $.kubernetes.enabled: found "yes", expected one of auto, true, false'],
    [
      'exporters:\n  stdout:\n    format: prety',
      '3:13: $.exporters.stdout.format: found "prety", expected one of auto, json, pretty, none (did you mean pretty?)',
    ],
    [
      'exporters:\n  webhooks:\n    - name: soc',
      '3:7: $.exporters.webhooks[0]: found no "url", expected "url": an http:// or https:// URL',
    ],
    [
      'exporters:\n  webhooks:\n    - name: soc\n      url: soc.example',
      '4:12: $.exporters.webhooks[0].url: found "soc.example", expected an http:// or https:// URL',
    ],
    [
      'exporters:\n  webhooks:\n    - name: soc\n      url: https://x\n      minSeverity: hihg',
      '5:20: $.exporters.webhooks[0].minSeverity: found "hihg", expected one of critical, high, medium, low, info (did you mean high?)',
    ],
    [
      'exporters:\n  webhooks:\n    - name: soc\n      url: https://x\n      headers: { X-Team: 5 }',
      '5:26: $.exporters.webhooks[0].headers["X-Team"]: found 5, expected text',
    ],
    [
      'spiffe:\n  ignoreNamespaces:\n    - kube-system\n    - team-(',
      '4:7: $.spiffe.ignoreNamespaces[1]: found "team-(" (missing closing ): `team-(`), expected a regular expression in RE2 syntax',
    ],
    [
      'spiffe: { ignoreNamespaces: ["(?!kube-)"] }',
      '1:30: $.spiffe.ignoreNamespaces[0]: found "(?!kube-)" (invalid or unsupported Perl syntax: `(?!`), expected a regular expression in RE2 syntax',
    ],
    [
      'spiffe:\n  ignoreNamespaces: kube-system',
      '2:21: $.spiffe.ignoreNamespaces: found "kube-system", expected an array',
    ],
    ['[]', '1:1: $: found an empty array, expected Nightjar configuration'],
    ['just text', '1:1: $: found "just text", expected Nightjar configuration'],
  ])('%j', (text, message) => {
    expect(complaint(text)).toBe(`${file}:${message}`)
  })

  test.each([
    ['rulez: []', '$.rulez', 'rules'],
    ['metrics: { adress: "x:1" }', '$.metrics.adress', 'address'],
    ['kubernetes: { nodename: x }', '$.kubernetes.nodename', 'nodeName'],
    ['exporters: { webhook: [] }', '$.exporters.webhook', 'webhooks'],
    ['exporters: { stdout: { fromat: json } }', '$.exporters.stdout.fromat', 'format'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", secretfile: k }] }', '.secretfile', 'secretFile'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", tls: { cafile: k } }] }', '.tls.cafile', 'caFile'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", retry: { maxdelay: 1m } }] }', '.retry.maxdelay', 'maxDelay'],
  ])('a key that is not known, at every level, with the one that was meant: %s', (text, path, meant) => {
    const message = complaint(text)
    expect(message).toMatch(/^nightjar\.yaml:1:\d+: \$\./)
    expect(message).toContain(`${path}: found the unknown key `)
    expect(message).toContain(`(did you mean ${meant}?)`)
  })

  test('all of them at once, a line each', () => {
    const lines = complaint('rules: x\nbuiltinRules: 1\nmetrics: []\nextra: 1').split('\n')
    expect(lines).toHaveLength(4)
    for (const line of lines) expect(line).toMatch(/^nightjar\.yaml:\d+:\d+: \$\.\w+: found .+, expected .+/)
  })

  test('the same in a JSON file', () => {
    const text = JSON.stringify({ metrics: { address: 5 } }, null, 2)
    expect(() => parseConfig(text, 'c.json')).toThrow('c.json:3:16: $.metrics.address: found 5, expected an address')
  })

  test.each([
    ['kubernetes: { nodeName: 5 }', 'text or null'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", tls: { caFile: 5 } }] }', 'text or null'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", batch: 5 }] }', '{ size, wait } or null'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", batch: { wait: 1s } }] }', '"size"'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", tls: { minVersion: TLSv1 } }] }', 'one of TLSv1.2, TLSv1.3'],
    ['exporters: { spool: { maxBytes: 5 megabytes } }', 'a size such as 64MiB'],
    ['exporters: { spool: { maxAge: long } }', 'a duration such as 12h or 7d'],
    ['exporters: { webhooks: [{ name: a, url: "http://x", retry: { maxDelay: 5 minutes } }] }', 'a duration'],
    ['exporters: { webhooks: [{ name: "a b", url: "http://x" }] }', 'a name'],
  ])('what was expected is said so that it can be written: %s', (text, expected) => {
    expect(complaint(text)).toContain(`expected ${expected}`)
  })

  test('a port that there is not', () => {
    expect(complaint('metrics: { address: "127.0.0.1:65536" }')).toContain('$.metrics.address: found ')
  })
})

describe('text that is neither YAML nor JSON', () => {
  test.each([
    ['a bracket that is not closed', 'rules: [1', '1:10'],
    ['a tab', 'metrics:\n\taddress: x', '2:1'],
    ['a key twice', 'rules: []\nrules: []', '2:1'],
    ['two documents', 'rules: []\n---\nrules: []\n', '2:1'],
    ['JSON with a comma too many', '{ "rules": [], , }', '1:16'],
    ['a NUL', 'rules: [a]\0', '1:11'],
  ])('%s is refused with its place', (_, text, place) => {
    const message = complaint(text)
    expect(message).toMatch(/^nightjar\.yaml:\d+:\d+: found .+, expected YAML or JSON$/)
    expect(message).toContain(`${file}:${place}: `)
  })

  test.each([
    ['an alias that names nothing', 'rules: *mine'],
    [
      'aliases that multiply',
      `a: &a [${'x,'.repeat(20)}]\nb: &b [${'*a,'.repeat(20)}]\nc: &c [${'*b,'.repeat(20)}]\nd: [${'*c,'.repeat(20)}]`,
    ],
  ])('%s', (_, text) => {
    expect(complaint(text)).toContain(file)
  })

  test('whatever the text (but for aliases: see above), it is a configuration or a complaint with the file', () => {
    const pieces = fc.constantFrom(
      ...['rules', 'metrics', 'address', 'exporters', 'webhooks', ': ', '\n', '\n  ', '- ', '[', ']', '{', '}', ','],
      ...['"', "'", '|', '>', '#', '!', '%', '@', '`', '\t', '\0', '---', 'null', '~', '5', 'x', '\u2028', '\ufeff'],
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(pieces, { maxLength: 20 }).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(
        text.map((text) => text.replaceAll('*', '')),
        (text) => {
          try {
            parseConfig(text, file)
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError)
            expect(String(error)).toContain(`${file}:`)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('a configuration file', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nightjar-config-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('is read as YAML or JSON, whatever its name ends in', () => {
    const path = join(folder, 'config')
    writeFileSync(path, 'rules: [a]\n')
    expect(loadConfig(path)).toEqual({ rules: ['a'] })
    writeFileSync(path, '{"rules":["a"]}')
    expect(loadConfig(path)).toEqual({ rules: ['a'] })
  })

  test('with an error is named in full', () => {
    const path = join(folder, 'bad.yaml')
    writeFileSync(path, 'rules: 5')
    expect(() => loadConfig(path)).toThrow(`${path}:1:8: $.rules: found 5`)
  })

  test.each([
    ['that is not there', 'none.yaml'],
    ['that is a folder', '.'],
  ])('%s is a UsageError with its name', (_, name) => {
    const path = join(folder, name)
    expect(() => loadConfig(path)).toThrow(UsageError)
    expect(() => loadConfig(path)).toThrow(`${path}: can't be read: `)
  })
})
