import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTemplate } from '../../enrich/go-template.ts'
import type { Pod } from '../../enrich/pod-table.ts'
import {
  createSpiffe,
  isSpiffeId,
  type Registration,
  registrationFrom,
  type SpiffeConfig,
} from '../../enrich/spiffe.ts'
import { recordedObject } from './api-server.ts'
import { knownPod } from './known-pod.ts'

const payments = knownPod('payments-api-67c6d9cb87-sp7ds')
const redis = knownPod('redis-0')
const recorded = registrationFrom(recordedObject('clusterspiffeids.json', 'payments'))
const own = { trustDomain: 'example.org' }
const usual = 'spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}'

function idOf(
  pod: Pod,
  registrations: (Registration | undefined)[],
  options: { config?: SpiffeConfig; labels?: Record<string, string> | 'unknown'; problems?: string[] } = {},
) {
  const { config = own, labels = { team: 'payments' }, problems = [] } = options
  const spiffe = createSpiffe(config, 'prod', (_, problem) => problems.push(problem))
  const present = registrations.filter((one) => one !== undefined)
  const ask = () => spiffe.idOf(pod, undefined, present, labels === 'unknown' ? undefined : labels)
  ask()
  return ask()
}
const registration = (name: string, changes: Partial<Registration> = {}): Registration => ({
  name,
  fallback: false,
  template: `spiffe://example.org/${name}`,
  ...changes,
})

test('the recorded ClusterSPIFFEID gives the pod that it selects its ID, and names itself as the source', () => {
  expect(idOf(payments, [recorded])).toEqual({
    spiffe_id: 'spiffe://example.org/ns/payments/sa/payments-api',
    spiffe_source: 'ClusterSPIFFEID/payments',
  })
})

test('a pod, or a namespace, that it does not select has none', () => {
  expect(idOf(redis, [recorded])).toBeUndefined()
  expect(idOf(payments, [recorded], { labels: { team: 'other' } })).toBeUndefined()
})

test('without the labels of the namespace nothing is said, neither by it nor by what would come after it', () => {
  expect(idOf(payments, [recorded, registration('z')], { labels: 'unknown' })).toBeUndefined()
  expect(idOf(redis, [recorded, registration('z')], { labels: 'unknown' })?.spiffe_source).toBe('ClusterSPIFFEID/z')
})

test('a template that wants the trust domain gives nothing without it, and that is said once', () => {
  const problems: string[] = []
  expect(idOf(payments, [recorded], { config: {}, problems })).toBeUndefined()
  expect(problems).toEqual(['it wants the trust domain, which spiffe.trustDomain does not tell'])
})

test('an ID of another trust domain than ours is none that SPIRE would give out', () => {
  expect(idOf(redis, [registration('a', { template: 'spiffe://other.org/a' })])).toBeUndefined()
  expect(idOf(redis, [registration('a', { template: 'spiffe://other.org/a' })], { config: {} })).toBeDefined()
})

test('a fallback holds only where nothing else selects the pod', () => {
  const fallback = registration('a', { fallback: true })
  expect(idOf(redis, [fallback])?.spiffe_id).toBe('spiffe://example.org/a')
  expect(idOf(redis, [fallback, registration('b')])?.spiffe_id).toBe('spiffe://example.org/b')
  const partial = registrationFrom({
    metadata: { name: 'c' },
    spec: { spiffeIDTemplate: 'spiffe://example.org/c', workloadSelectorTemplates: ['unix:uid:1000'] },
  })
  expect(idOf(redis, [fallback, partial])).toBeUndefined()
})

test('of several the first by name is told', () => {
  expect(idOf(redis, [registration('b'), registration('a')])?.spiffe_source).toBe('ClusterSPIFFEID/a')
})

test.each([
  ['{{ .PodMeta.Labels.app }}', 'redis'],
  ['{{ index .PodMeta.Labels "app" }}', 'redis'],
  ['{{- .ClusterName -}}', 'prod'],
  ['{{.NodeMeta.Name}}', 'node-a'],
  ['{{ .PodMeta.UID }}', redis.uid],
])('%s is understood', (action, value) => {
  expect(idOf(redis, [registration('a', { template: `spiffe://example.org/${action}` })])?.spiffe_id).toBe(
    `spiffe://example.org/${value}`,
  )
})

test.each([
  '{{ printf "%s" .PodMeta.Name }}',
  '{{ .PodMeta.Name | lower }}',
  '{{ if .PodMeta.Labels.app }}x{{ end }}',
  '{{ .PodMeta.Name',
  '{{/* comment */}}',
])('%s is not, and is said once; no ID is guessed', (action) => {
  const problems: string[] = []
  expect(idOf(redis, [registration('a', { template: `spiffe://example.org/${action}` })], { problems })).toBeUndefined()
  expect(problems).toHaveLength(1)
})

test('a label that the pod does not have gives no ID, nor does a value that no ID may hold', () => {
  const labelled = (name: string) =>
    registration('a', { template: `spiffe://example.org/{{ index .PodMeta.Labels "${name}" }}` })
  expect(idOf(redis, [labelled('missing')])).toBeUndefined()
  expect(idOf(redis, [labelled('constructor')])).toBeUndefined()
  expect(idOf({ ...redis, labels: { app: 'a b' } }, [labelled('app')])).toBeUndefined()
  expect(idOf({ ...redis, labels: { app: '..' } }, [labelled('app')])).toBeUndefined()
})

test('the configured template holds for pods that mount the Workload API, and that no resource selects', () => {
  const config = { ...own, template: usual }
  expect(idOf(payments, [], { config })).toEqual({
    spiffe_id: 'spiffe://example.org/ns/payments/sa/payments-api',
    spiffe_source: 'configuration',
  })
  expect(idOf(redis, [], { config })).toBeUndefined()
  expect(idOf(payments, [registration('a')], { config })?.spiffe_source).toBe('ClusterSPIFFEID/a')
})

test.each(['kube-system', 'kube-public', 'spire-system', 'my-kube-system-2'])(
  "a pod of %s has none: by its defaults, SPIRE's controller manager registers nobody there",
  (namespace) => {
    const config = { ...own, template: usual }
    expect(idOf({ ...payments, namespace }, [registration('a')], { config })).toBeUndefined()
    expect(idOf({ ...payments, namespace }, [], { config })).toBeUndefined()
  },
)

test('the namespaces that are ignored are those of the configuration, where it has some', () => {
  const within = (namespace: string, ignoreNamespaces: string[]) =>
    idOf({ ...redis, namespace }, [registration('a')], { config: { ...own, ignoreNamespaces } })
  expect(within('kube-system', [])).toBeDefined()
  expect(within('kube-system', ['^team-'])).toBeDefined()
  expect(within('team-a', ['x', '^team-'])).toBeUndefined()
  expect(within('a-team-a', ['^team-'])).toBeDefined()
  expect(within('TEAM', ['(?i)^team$'])).toBeUndefined()
})

test.each([
  { setting: {}, registered: ['classless', 'ours', 'theirs'] },
  { setting: { className: null, watchClassless: true }, registered: ['classless', 'ours', 'theirs'] },
  { setting: { className: 'ours' }, registered: ['ours'] },
  { setting: { className: 'ours', watchClassless: true }, registered: ['classless', 'ours'] },
  { setting: { className: 'another', watchClassless: false }, registered: [] },
])('of the classes, $setting registers $registered', ({ setting, registered }) => {
  const config = { ...own, ...setting }
  const template = 'spiffe://example.org/a'
  const ofClass = (className?: string) =>
    registrationFrom({
      metadata: { name: className || 'classless' },
      spec: { spiffeIDTemplate: template, ...(className !== undefined && { className }) },
    })
  const ids = [ofClass(), ofClass('ours'), ofClass('theirs')].map((one) => idOf(redis, [one], { config }))
  expect(ids.flatMap((id) => id?.spiffe_source ?? [])).toEqual(registered.map((name) => `ClusterSPIFFEID/${name}`))
  expect(idOf(redis, [ofClass('')], { config })).toEqual(idOf(redis, [ofClass()], { config }))
})

test('one of another class neither comes first, nor rules out a fallback, nor the configured template', () => {
  const theirs = registration('a', { className: 'theirs' })
  const unknown = registration('a', { className: 'theirs', namespaceSelector: { matchLabels: { a: 'b' } } })
  const fallback = registration('b', { fallback: true })
  const config = { ...own, className: 'ours', watchClassless: true }
  expect(idOf(redis, [theirs, registration('b')], { config })?.spiffe_source).toBe('ClusterSPIFFEID/b')
  expect(idOf(redis, [unknown, fallback], { config, labels: 'unknown' })?.spiffe_source).toBe('ClusterSPIFFEID/b')
  expect(idOf(payments, [theirs], { config: { ...config, template: usual } })?.spiffe_source).toBe('configuration')
})

test.each([
  'spiffe://',
  'spiffe://Example.org/a',
  'spiffe://example.org/',
  'spiffe://example.org//a',
  'https://e/a',
  'spiffe://e/a b',
])('%s is no SPIFFE ID', (text) => expect(isSpiffeId(text)).toBe(false))

test('any template at all: it is rendered whole, or not', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('{{', '}}', ' ', '.', 'A', '"', 'index', '- ', 'x/'), { maxLength: 12 }),
      (parts) => {
        const template = parseTemplate(parts.join(''))
        if ('render' in template) expect(template.render({ A: 'value' }) ?? '').not.toMatch(/\{\{|\}\}/)
        else expect(template.problem).not.toBe('')
      },
    ),
  )
})
