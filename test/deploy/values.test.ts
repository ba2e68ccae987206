/** values.yaml: every value in it changes what the chart gives, and is described. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { chart, charted, helm } from './helm.ts'

/** Every value of values.yaml by its path, and another one that shows in what the chart gives; with what it takes to show. */
const others: Record<string, unknown[]> = {
  'image.repository': ['registry.example/nightjar'],
  'image.tag': ['1.2.3'],
  'image.pullPolicy': ['Always'],
  'image.pullSecrets': [[{ name: 'registry' }]],
  config: [{ builtinRules: false }],
  rules: [{ 'a.json': '{}' }],
  runtimeSocket: ['/run/containerd/containerd.sock'],
  readTokenSecrets: [true],
  webhookSecrets: ['receivers'],
  'spool.hostPath': ['/data/nightjar', ''],
  'resources.requests.cpu': ['1'],
  'resources.requests.memory': ['512Mi'],
  'resources.limits.memory': ['2Gi'],
  tolerations: [[], [{ key: 'gpu', operator: 'Exists' }]],
  'nodeSelector.kubernetes.io/os': ['windows'],
  priorityClassName: ['system-node-critical'],
  'updateStrategy.type': ['OnDelete'],
  'updateStrategy.rollingUpdate.maxUnavailable': [1],
  extraCapabilities: [['SYS_RESOURCE']],
  'seccompProfile.type': ['Unconfined'],
  'serviceMonitor.enabled': [true],
  'serviceMonitor.interval': ['5s'],
  'serviceMonitor.labels': [{ release: 'prometheus' }],
  'podMonitor.enabled': [true],
  'podMonitor.interval': ['5s'],
  'podMonitor.labels': [{ release: 'prometheus' }],
  'prometheusRule.enabled': [true],
  'prometheusRule.labels': [{ release: 'prometheus' }],
  'networkPolicy.enabled': [true],
  'networkPolicy.metricsFrom': [[{ podSelector: {} }]],
  'networkPolicy.apiServer.cidrs': [['192.0.2.1/32']],
  'networkPolicy.apiServer.ports': [[443]],
  'networkPolicy.egress': [[]],
}

type Values = { [key: string]: unknown }
const isGroup = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
const leaves = (values: Values, path: string[] = []): string[][] =>
  Object.entries(values).flatMap(([key, value]) => (isGroup(value) ? leaves(value, [...path, key]) : [[...path, key]]))
const shipped: Values = parse(readFileSync(join(chart, 'values.yaml'), 'utf8'))

for (const path of leaves(shipped)) {
  const name = path.join('.')
  charted(`the value ${name} does something`, () => {
    const [group = ''] = path
    const values = shipped[group]
    const base = isGroup(values) && 'enabled' in values && path[1] !== 'enabled' ? { [group]: { enabled: true } } : {}
    const rendered = (...set: string[]) => {
      const { stdout, stderr, status } = helm(['template', 'release', chart, ...set], base)
      expect(stderr).toBe('')
      expect(status).toBe(0)
      return stdout
    }
    const key = path.map((part) => part.replaceAll('.', '\\.')).join('.')
    const before = rendered()
    expect(Object.keys(others)).toContain(name)
    for (const other of others[name] ?? [])
      expect(rendered('--set-json', `${key}=${JSON.stringify(other)}`), JSON.stringify(other)).not.toBe(before)
  })
}

test('every value is described in the schema that editors and helm read', () => {
  const schema: { properties: Record<string, Described> } = JSON.parse(
    readFileSync(join(chart, 'values.schema.json'), 'utf8'),
  )
  const undescribed = (properties: Record<string, Described>, at: string): string[] =>
    Object.entries(properties).flatMap(([key, value]) => [
      ...(value.description ? [] : [`${at}${key}`]),
      ...undescribed(value.properties ?? {}, `${at}${key}.`),
    ])
  expect(undescribed(schema.properties, '')).toEqual([])
})
type Described = { description?: string; properties?: Record<string, Described> }
