/** Identities as a graph: identity -> role -> what the role allows; identity -> workload -> what that reaches. */
import type { IdentityReport } from '../../enrich/identity-report.ts'

export type Graph = { nodes: Map<string, Node>; edges: Edge[] }
type Kind = 'identity' | 'role' | 'path' | 'workload' | 'node' | 'endpoint'
type Node = { kind: Kind; label: string }
type Edge = { from: string; to: string; label?: string }

export function graphOf(reports: readonly IdentityReport[]): Graph {
  const nodes = new Map<string, Node>()
  const edges = new Map<string, Edge>()
  const node = (kind: Kind, label: string): string => {
    const id = `${kind} ${label}`
    nodes.set(id, { kind, label })
    return id
  }
  const edge = (from: string, to: string, label?: string) => {
    edges.set(JSON.stringify([from, to, label]), { from, to, ...(label && { label }) })
  }

  for (const { service_account, score, roles, rights, workloads } of reports) {
    const identity = node(
      'identity',
      `${service_account.namespace}/${service_account.name}${score === undefined ? '' : ` (${score})`}`,
    )
    for (const { binding, role } of roles) edge(identity, node('role', role), binding)
    for (const { title = '', grants = [] } of rights?.paths ?? []) {
      for (const grant of grants) {
        const [, role] = grant.split(' -> ')
        edge(role === undefined ? identity : node('role', role), node('path', title))
      }
    }
    for (const { name, blast_radius, reach } of workloads) {
      const label = `${service_account.namespace}: ${name}${blast_radius ? ` (${blast_radius.score})` : ''}`
      const workload = node('workload', label)
      edge(workload, identity, 'runs as')
      for (const { title = '' } of reach?.node ?? []) edge(workload, node('node', title))
      for (const { type, name, port } of [...(reach?.data_stores ?? []), ...(reach?.control_plane ?? [])]) {
        edge(workload, node('endpoint', `${type} ${name}:${port}`), 'connects')
      }
    }
  }
  return { nodes, edges: [...edges.values()] }
}

const dotShapes: Record<Kind, string> = {
  identity: 'shape=box, style="rounded,bold"',
  role: 'shape=box',
  path: 'shape=octagon, color=red',
  workload: 'shape=component',
  node: 'shape=octagon, color=orange',
  endpoint: 'shape=cylinder',
}

/** For Graphviz. */
export function dot({ nodes, edges }: Graph): string {
  const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, '\\$&').replaceAll(/\p{Cc}/gu, ' ')}"`
  return [
    'digraph identities {',
    '  rankdir=LR',
    ...[...nodes].map(([id, { kind, label }]) => `  ${quoted(id)} [label=${quoted(label)}, ${dotShapes[kind]}]`),
    ...edges.map(
      ({ from, to, label }) => `  ${quoted(from)} -> ${quoted(to)}${label ? ` [label=${quoted(label)}]` : ''}`,
    ),
    '}',
    '',
  ].join('\n')
}

const mermaidShapes: Record<Kind, [string, string]> = {
  identity: ['([', '])'],
  role: ['[', ']'],
  path: ['{{', '}}'],
  workload: ['[[', ']]'],
  node: ['{{', '}}'],
  endpoint: ['[(', ')]'],
}

/** For Mermaid, which GitHub and GitLab draw in Markdown. */
export function mermaid({ nodes, edges }: Graph): string {
  const ids = new Map([...nodes.keys()].map((id, at) => [id, `n${at}`]))
  // Within quotes only the quote itself, as an entity, and what could end the line matter.
  const quoted = (text: string) => `"${text.replaceAll('"', '#quot;').replaceAll(/\p{Cc}/gu, ' ')}"`
  return [
    'flowchart LR',
    ...[...nodes].map(([id, { kind, label }]) => {
      const [open, close] = mermaidShapes[kind]
      return `  ${ids.get(id)}${open}${quoted(label)}${close}`
    }),
    ...edges.map(({ from, to, label }) => `  ${ids.get(from)} -->${label ? `|${quoted(label)}|` : ''} ${ids.get(to)}`),
    '',
  ].join('\n')
}
