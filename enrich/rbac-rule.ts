/**
 * What one RBAC rule allows, as the API server's own authorizer reads it (kubernetes plugin/pkg/auth/authorizer/rbac
 * RuleAllows, pkg/apis/rbac/v1/evaluation_helpers.go):
 *
 * - `*` stands for all verbs, all groups, all resources with all their subresources;
 * - a subresource is asked for as `pods/exec`; a rule on `pods` does not cover it. A star, a slash and `exec` covers
 *   that subresource of every resource; `pods` and a star behind the slash is no wildcard and covers nothing;
 * - with resourceNames only requests that name one of them are allowed. A create, a list or a watch of everything has
 *   no name, so such a rule never allows it; a list or watch with fieldSelector metadata.name=x has the name x;
 * - a path is covered by itself, by `*`, and by a prefix that ends in `*`.
 */

export type PolicyRule = {
  verbs: readonly string[]
  apiGroups?: readonly string[] | null
  resources?: readonly string[] | null
  resourceNames?: readonly string[] | null
  nonResourceURLs?: readonly string[] | null
}

/** `group` is '' for the core API; `resource` is `pods` or, with its subresource, `pods/exec`. */
export type ResourceRequest = { verb: string; group: string; resource: string; name?: string }
export type PathRequest = { verb: string; path: string }
export type AccessRequest = ResourceRequest | PathRequest

export function ruleAllows(rule: PolicyRule, request: AccessRequest): boolean {
  if (!covers(rule.verbs, request.verb)) return false
  if ('path' in request) return pathCovered(rule.nonResourceURLs ?? [], request.path)
  return resourceAllowed(rule, request.group, request.resource) && nameAllowed(rule, request.name ?? '')
}

/** Whether the rule is about the resource, whatever names it is restricted to. */
export function resourceAllowed(rule: PolicyRule, group: string, resource: string): boolean {
  return covers(rule.apiGroups ?? [], group) && resourceCovered(rule.resources ?? [], resource)
}

const covers = (listed: readonly string[], asked: string) => listed.includes('*') || listed.includes(asked)

function resourceCovered(listed: readonly string[], asked: string): boolean {
  if (covers(listed, asked)) return true
  const slash = asked.indexOf('/')
  return slash >= 0 && listed.includes(`*${asked.slice(slash)}`)
}

function nameAllowed({ resourceNames }: PolicyRule, name: string): boolean {
  return !resourceNames || resourceNames.length === 0 || resourceNames.includes(name)
}

function pathCovered(listed: readonly string[], path: string): boolean {
  return listed.some((one) => one === '*' || one === path || (one.endsWith('*') && path.startsWith(withoutStars(one))))
}

/** The authorizer strips every star at the end, not just one. */
const withoutStars = (path: string) => path.replace(/\*+$/, '')
