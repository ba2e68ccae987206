/** `nightjar identity`, as a person runs it: on manifests, and on a cluster that answers as it likes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { startApiServer } from '../enrich/api-server.ts'
import { areRecorded } from '../enrich/recorded.ts'

const main = join(import.meta.dirname, '../../sensor/main.ts')
const recorded = join(import.meta.dirname, '../../../shared/fixtures/k8s')

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nightjar-identity-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function identity(...args: string[]) {
  const env = { ...process.env, KUBECONFIG: '', KUBERNETES_SERVICE_HOST: '' }
  const child = spawn(process.execPath, [main, 'identity', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => {
    said.stdout += text
  })
  child.stderr.on('data', (text) => {
    said.stderr += text
  })
  const [code] = await once(child, 'close')
  return { code, ...said }
}

/** A shop whose cart may read Secrets and runs on the node's disk. */
const metadata = (name: string) => ({ name, namespace: 'shop' })
const shop = [
  { kind: 'ServiceAccount', metadata: metadata('cart') },
  { kind: 'ServiceAccount', metadata: metadata('idle') },
  { kind: 'Role', metadata: metadata('reader'), rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }] },
  {
    kind: 'RoleBinding',
    metadata: metadata('cart-reads'),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', ...metadata('cart') }],
  },
  {
    kind: 'Pod',
    metadata: { ...metadata('cart-0'), labels: {} },
    spec: {
      serviceAccountName: 'cart',
      nodeName: 'node-a',
      volumes: [
        { name: 'root', hostPath: { path: '/' } },
        { name: 'token', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
      ],
      containers: [{ name: 'c', volumeMounts: [{ name: 'root', mountPath: '/host' }] }],
    },
  },
  { kind: 'Service', metadata: metadata('db'), spec: { selector: { app: 'db' }, ports: [{ port: 5432 }] } },
  { kind: 'ConfigMap', metadata: metadata('unrelated') },
].map((object) => ({ apiVersion: 'v1', ...object }))

function manifests(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}
const inYaml = () => manifests('shop.yaml', shop.map((object) => stringify(object)).join('---\n'))

describe('of manifests', () => {
  test('it tells the score, the rights with what gives them, and what the workload reaches', async () => {
    const { code, stdout, stderr } = await identity('shop/cart', '--from', inYaml(), '--output', 'json')
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({
      subject: 'system:serviceaccount:shop:cart',
      exists: true,
      score: 88,
      level: 'critical',
      rights: {
        score: 20,
        paths: [{ id: 'read-secrets', grants: ['RoleBinding shop/cart-reads -> Role shop/reader'] }],
      },
      roles: [{ binding: 'RoleBinding shop/cart-reads', role: 'Role shop/reader', namespace: 'shop' }],
      workloads: [
        {
          name: 'Pod/cart-0',
          pods: 1,
          nodes: ['node-a'],
          token: true,
          reach: { data_stores: [{ type: 'postgresql', name: 'shop/db' }], node: [{ id: 'host-path' }] },
        },
      ],
    })
  })

  test('JSON, YAML, lists and folders of them say the same', async () => {
    const list = manifests('list.json', JSON.stringify({ kind: 'List', items: shop }))
    const typed = manifests(
      'typed.yml',
      ['ServiceAccount', 'Role', 'RoleBinding', 'Pod', 'Service']
        .map((kind) => {
          const items = shop
            .filter((object) => object.kind === kind)
            .map(({ kind: _, apiVersion: __, ...rest }) => rest)
          return stringify({ kind: `${kind}List`, items })
        })
        .join('---\n'),
    )
    const [one, two, three] = await Promise.all(
      [inYaml(), list, typed].map((file) => identity('shop/cart', '--from', file, '--output', 'json')),
    )
    expect(one?.stdout).toBeTruthy()
    expect(two?.stdout).toBe(one?.stdout)
    expect(three?.stdout).toBe(one?.stdout)
  })

  test('for a person it is short, and names level, reason and binding', async () => {
    const { stdout } = await identity('system:serviceaccount:shop:cart', '--from', inYaml())
    const text = stripVTControlCharacters(stdout)
    for (const part of [
      'CRITICAL 88 of 100',
      'Read Secrets',
      'In namespace shop: ',
      'by RoleBinding shop/cart-reads -> Role shop/reader',
      'Pod/cart-0  1 pod on node-a',
      'Write / of the node',
      'postgresql shop/db:5432',
    ]) {
      expect(text).toContain(part)
    }
  })

  test('--all ranks them, and counts those that reach nothing', async () => {
    const { stdout } = await identity('--all', '--from', inYaml())
    expect(stdout).toMatch(
      /^score +level +account +pods +worst.*\n +88 +critical +shop\/cart +1 +Write \/ of the node\n\n1 more accounts reach nothing\.\n$/,
    )
    const json = await identity('--all', '--from', inYaml(), '--output', 'json')
    expect(
      json.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).service_account.name),
    ).toEqual(['cart', 'idle'])
  })

  test('as a graph: identity, binding, role, what it allows, workload, data store', async () => {
    const mermaid = (await identity('shop/cart', '--from', inYaml(), '--output', 'mermaid')).stdout
    expect(mermaid.split('\n').slice(0, 4)).toEqual([
      'flowchart LR',
      '  n0(["shop/cart (88)"])',
      '  n1["Role shop/reader"]',
      '  n2{{"Read Secrets"}}',
    ])
    expect(mermaid).toContain('  n0 -->|"RoleBinding shop/cart-reads"| n1\n  n1 --> n2\n')
    const dot = (await identity('shop/cart', '--from', inYaml(), '--output', 'dot')).stdout
    expect(dot).toMatch(/^digraph identities \{\n {2}rankdir=LR\n/)
    expect(dot).toContain('"identity shop/cart (88)" -> "role Role shop/reader" [label="RoleBinding shop/cart-reads"]')
    expect(dot).toContain('-> "endpoint postgresql shop/db:5432" [label="connects"]')
  })

  test('names in manifests can neither command the terminal nor break the graph', async () => {
    const evil = '\u001b[2J"]; evil\n"'
    const objects = JSON.parse(JSON.stringify(shop).replaceAll('"reader"', JSON.stringify(evil)))
    const file = manifests('evil.json', JSON.stringify({ kind: 'List', items: objects }))
    const outputs = await Promise.all(
      ['pretty', 'dot', 'mermaid'].map((output) => identity('shop/cart', '--from', file, '--output', output)),
    )
    for (const { code, stdout } of outputs) {
      expect(code).toBe(0)
      expect(stdout).toContain('evil')
      expect(stdout).not.toContain('\u001b[2J')
      expect(stdout).not.toMatch(/^"/m)
    }
  })

  test.skipIf(!areRecorded)(
    'the recorded cluster: the runner of CI, the old application and the monitoring lead',
    async () => {
      const { stdout } = await identity('--all', '--from', recorded, '--output', 'json')
      const ranked = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      const workloads = ranked.filter(({ workloads }) => workloads.length > 0)
      expect(
        workloads.slice(0, 4).map(({ service_account: { namespace, name }, level }) => `${namespace}/${name} ${level}`),
      ).toEqual([
        'ci/runner critical',
        'legacy/old-app critical',
        'kube-system/default critical',
        'monitoring/prometheus critical',
      ])
    },
  )
})

describe('what is wrong is said, with the exit code for it', () => {
  test.each<[string, () => string[], number, RegExp]>([
    ['no subject', () => [], 2, /expected NAMESPACE\/NAME, or --all/],
    ['both', () => ['shop/cart', '--all'], 2, /found both/],
    ['no namespace', () => ['cart', '--from', inYaml()], 2, /found "cart", expected NAMESPACE\/NAME/],
    [
      'another account',
      () => ['shop/card', '--from', inYaml()],
      1,
      /found no service account shop\/card: did you mean shop\/cart\?/,
    ],
    ['no cluster', () => ['shop/cart'], 2, /no cluster is configured: give --kubeconfig FILE/],
    ['no such file', () => ['shop/cart', '--from', '/nowhere'], 2, /\/nowhere: can't be read/],
    [
      'no JSON',
      () => ['shop/cart', '--from', manifests('broken.json', '{')],
      2,
      /broken\.json: found .*, expected JSON/,
    ],
    [
      'no YAML',
      () => ['shop/cart', '--from', manifests('broken.yaml', 'a: [')],
      2,
      /broken\.yaml: found .*, expected YAML/,
    ],
  ])('%s', async (_, args, code, message) => {
    const found = await identity(...args())
    expect(found.code).toBe(code)
    expect(found.stderr).toMatch(message)
    expect(found.stdout).toBe('')
  })
})

describe.skipIf(!areRecorded)('of a cluster', () => {
  async function withCluster<T>(
    work: (kubeconfig: string, server: Awaited<ReturnType<typeof startApiServer>>) => Promise<T>,
  ): Promise<T> {
    const server = await startApiServer()
    try {
      return await work(manifests('kubeconfig', server.kubeConfig.exportConfig()), server)
    } finally {
      await server.stop()
    }
  }

  test('it says the same as of its manifests', async () => {
    const found = await withCluster((kubeconfig) =>
      identity('payments/payments-api', '--kubeconfig', kubeconfig, '--output', 'json'),
    )
    expect(found.code).toBe(0)
    const { stdout } = await identity('payments/payments-api', '--from', recorded, '--output', 'json')
    expect(JSON.parse(found.stdout)).toEqual(JSON.parse(stdout))
  })

  test('without the right to read bindings it says so, tells what it can, makes nothing up, and exits 1', async () => {
    const { code, stdout, stderr } = await withCluster((kubeconfig, server) => {
      server.refuse('list', 1, 403, {}, '/apis/rbac.authorization.k8s.io/v1/rolebindings')
      return identity('ci/runner', '--kubeconfig', kubeconfig, '--output', 'json')
    })
    expect(code).toBe(1)
    expect(stderr).toContain('no RoleBinding could be read')
    const report = JSON.parse(stdout)
    expect([report.score, report.rights]).toEqual([undefined, undefined])
    expect(report.workloads[0]).toMatchObject({
      name: 'Deployment/runner',
      reach: { node: [{ id: 'privileged' }, {}, {}, {}] },
    })
  })

  test('that is away is said', async () => {
    const kubeconfig = await withCluster(async (kubeconfig) => kubeconfig)
    const { code, stderr } = await identity('ci/runner', '--kubeconfig', kubeconfig)
    expect(code).toBe(1)
    expect(stderr).toMatch(/the cluster can't be read: .*ECONNREFUSED/)
  })
})
