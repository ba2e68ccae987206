/**
 * All objects that tell how far identities reach, at one moment: listed from the API server, or read from manifests (what
 * `kubectl get -o json|yaml` writes, one or more to a file).
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { V1Namespace, V1Pod, V1ServiceAccount } from '@kubernetes/client-node'
import { parseAllDocuments } from 'yaml'
import type { ApiServer } from './api-server.ts'
import type { ReachObjects } from './reach.ts'

export type ClusterKinds = ReachObjects & { ServiceAccount: V1ServiceAccount; Pod: V1Pod; Namespace: V1Namespace }
export type ClusterKind = keyof ClusterKinds

/** `missing`: kinds that could not be read, with the reason; they are empty. */
export type ClusterObjects = { [K in ClusterKind]: ClusterKinds[K][] } & {
  missing: { kind: ClusterKind; reason: string }[]
}

const paths: Readonly<Record<ClusterKind, string>> = {
  ServiceAccount: '/api/v1/serviceaccounts',
  Pod: '/api/v1/pods',
  Namespace: '/api/v1/namespaces',
  Service: '/api/v1/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/endpointslices',
  NetworkPolicy: '/apis/networking.k8s.io/v1/networkpolicies',
  Role: '/apis/rbac.authorization.k8s.io/v1/roles',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  RoleBinding: '/apis/rbac.authorization.k8s.io/v1/rolebindings',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
}
const kinds = Object.keys(paths) as ClusterKind[]

// As kubectl pages.
const pageSize = 500
const timeoutMs = 30_000

const nothing = (): ClusterObjects => ({
  ...{ ServiceAccount: [], Pod: [], Namespace: [], Service: [], EndpointSlice: [], NetworkPolicy: [] },
  ...{ Role: [], ClusterRole: [], RoleBinding: [], ClusterRoleBinding: [], missing: [] },
})

/** Never throws: what the server refuses is in `missing`. */
export async function listCluster(api: Pick<ApiServer, 'get'>): Promise<ClusterObjects> {
  const found = nothing()
  await Promise.all(
    kinds.map(async (kind) => {
      const list = await listAll(api, paths[kind])
      if ('reason' in list) found.missing.push({ kind, reason: list.reason })
      else Object.assign(found, { [kind]: list.items })
    }),
  )
  return found
}

async function listAll(api: Pick<ApiServer, 'get'>, path: string): Promise<{ items: unknown[] } | { reason: string }> {
  const items: unknown[] = []
  let next = ''
  do {
    const answer = await api.get(path, { limit: String(pageSize), ...(next && { continue: next }) }, timeoutMs)
    if ('refusal' in answer) return { reason: answer.refusal.message }
    const page = answer.body as { items?: unknown[] | null; metadata?: { continue?: string } }
    items.push(...(page.items ?? []))
    next = page.metadata?.continue ?? ''
  } while (next !== '')
  return { items }
}

export class ManifestError extends Error {}

/**
 * All manifests in the folder and below (.json, .yaml, .yml), or in the one file. Objects of other kinds are passed
 * over. Throws ManifestError for what can't be read or is no YAML or JSON.
 */
export function readManifests(path: string): ClusterObjects {
  const found = nothing()
  const files = filesOf(path)
  if (files.length === 0) {
    throw new ManifestError(`${path}: found no manifests, expected files that end in .json, .yaml or .yml`)
  }
  for (const file of files) for (const document of documentsOf(file)) take(found, document, undefined)
  return found
}

type Manifest = { kind?: string; items?: Manifest[] }

/** The items of a typed list (`RoleList`) don't repeat their kind; those of a `List` do. */
function take(into: ClusterObjects, object: Manifest | null, kindOfList: string | undefined): void {
  const kind = object?.kind ?? kindOfList
  if (!object || kind === undefined) return
  if (Array.isArray(object.items) && kind.endsWith('List')) {
    for (const item of object.items) take(into, item, kind.slice(0, -'List'.length) || undefined)
  } else if (kinds.includes(kind as ClusterKind)) {
    const list: unknown[] = into[kind as ClusterKind]
    list.push(object)
  }
}

function filesOf(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(json|ya?ml)$/.test(name))
      .sort()
      .map((name) => join(path, name))
  } catch (error) {
    throw new ManifestError(`${path}: can't be read: ${reason(error)}`)
  }
}

function documentsOf(file: string): Manifest[] {
  const text = readFileSync(file, 'utf8')
  // JSON is YAML, but its own parser is a hundred times as fast.
  if (file.endsWith('.json')) {
    try {
      return [JSON.parse(text)]
    } catch (error) {
      throw new ManifestError(`${file}: found ${reason(error)}, expected JSON`)
    }
  }
  const documents = parseAllDocuments(text, { prettyErrors: false })
  return [...documents].map((document) => {
    const [problem] = document.errors
    if (problem) throw new ManifestError(`${file}: found ${problem.message}, expected YAML`)
    return document.toJS() as Manifest
  })
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error))
