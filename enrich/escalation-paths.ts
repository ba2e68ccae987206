/**
 * What RBAC rights are good for in the wrong hands: one entry a way. What is known of them comes from Kubernetes' RBAC
 * good practices (https://kubernetes.io/docs/concepts/security/rbac-good-practices/), the RBAC reference, and the
 * catalogues of rbac-police and KubiScan.
 *
 * `needs`: every one must be granted at the same place; of the verbs and resources of one need any will do. A resource
 * is written group/resource, the core group's without a group, its subresource behind a colon: `pods:exec`,
 * `apps/deployments`. `names`: where a rule is restricted to names, these stand for all of them. `or`: other sets of
 * needs, each of which opens the path by itself.
 *
 * `weight`: how much of the cluster is lost by it, 0 to 1, held everywhere; `inNamespace`: held in one namespace (none:
 * what it is about is in no namespace, so a RoleBinding gives nothing). Of one family only the worst counts: ten ways
 * to run a program are not ten times as bad as one.
 */

export const families = [
  'admin',
  'rights',
  'secrets',
  'run',
  'become',
  'control',
  'traffic',
  'disrupt',
  'read',
] as const
export type Family = (typeof families)[number]

export type Need = { verbs: readonly string[]; on: readonly string[]; names?: readonly string[] }

export type EscalationPath = {
  id: string
  title: string
  /** A clause that follows the place where it is granted: "In namespace shop: ..." */
  why: string
  family: Family
  weight: number
  inNamespace?: number
  /** Only what is granted in this namespace counts. */
  within?: string
  needs: readonly Need[]
  or?: readonly (readonly Need[])[]
}

const read = ['get', 'list', 'watch']
// create makes what isn't there, and these change what is: a name that is taken can't be created again, and a PUT or an
// apply of what isn't there wants create, too (apiserver/pkg/endpoints/handlers, withAuthorization).
const change = ['update', 'patch']
const write = ['create', ...change]
const remove = ['delete', 'deletecollection']
// exec and attach over WebSockets begin with a GET, so `get` is enough where the server doesn't ask for create, too.
const connect = ['create', 'get']

const rbac = 'rbac.authorization.k8s.io'
const admission = 'admissionregistration.k8s.io'
const certificates = 'certificates.k8s.io'
const changeableWorkloads = [
  ...['apps/deployments', 'apps/daemonsets', 'apps/statefulsets', 'apps/replicasets', 'replicationcontrollers'],
  'batch/cronjobs',
]
const workloads = [...changeableWorkloads, 'batch/jobs']
const anyRole = [`${rbac}/roles`, `${rbac}/clusterroles`]
const anyBinding = [`${rbac}/rolebindings`, `${rbac}/clusterrolebindings`]

export const escalationPaths: readonly EscalationPath[] = [
  {
    ...{ id: 'cluster-admin', title: 'Do anything', family: 'admin', weight: 1, inNamespace: 0.1 },
    why: 'every verb on every resource is allowed; nothing that RBAC protects is out of reach.',
    needs: [{ verbs: ['*'], on: ['*/*'] }],
  },
  {
    ...{ id: 'bind-roles', title: 'Give itself any role', family: 'rights', weight: 0.95, inNamespace: 0.35 },
    why: 'the verb bind lets it bind roles stronger than itself, its own account included.',
    needs: [
      { verbs: ['bind'], on: anyRole, names: ['cluster-admin', 'admin'] },
      { verbs: write, on: anyBinding },
    ],
  },
  {
    ...{
      id: 'escalate-roles',
      title: 'Write any right into a role',
      family: 'rights',
      weight: 0.95,
      inNamespace: 0.35,
    },
    why: 'the verb escalate lets it put rights into a role that it does not have itself.',
    needs: [
      { verbs: ['escalate'], on: anyRole, names: ['cluster-admin', 'admin'] },
      { verbs: write, on: anyRole },
    ],
  },
  {
    ...{ id: 'pass-on-rights', title: 'Pass its rights on', family: 'rights', weight: 0.15, inNamespace: 0.05 },
    why: 'it can bind what it holds to accounts of its choice, and so stay after its own is taken away.',
    needs: [{ verbs: write, on: anyBinding }],
  },
  {
    ...{ id: 'read-secrets', title: 'Read Secrets', family: 'secrets', weight: 0.85, inNamespace: 0.2 },
    why: 'passwords, keys and long-lived account tokens that are kept as Secrets can be read (list shows the contents, too).',
    needs: [{ verbs: read, on: ['secrets'] }],
  },
  {
    ...{ id: 'change-secrets', title: 'Replace Secrets', family: 'secrets', weight: 0.35, inNamespace: 0.1 },
    why: 'credentials and certificates can be exchanged for ones that the intruder knows.',
    needs: [{ verbs: change, on: ['secrets'] }],
  },
  {
    ...{
      id: 'issue-token-secrets',
      title: 'Issue tokens through Secrets',
      family: 'become',
      weight: 0.9,
      inNamespace: 0.2,
    },
    why: 'a Secret of type service-account-token is filled with a token that never expires, for any account there.',
    needs: [
      { verbs: ['create'], on: ['secrets'] },
      { verbs: read, on: ['secrets'] },
    ],
  },
  {
    ...{ id: 'mint-tokens', title: 'Mint account tokens', family: 'become', weight: 0.9, inNamespace: 0.25 },
    why: 'serviceaccounts/token gives out tokens of other service accounts, stronger ones included.',
    needs: [{ verbs: ['create'], on: ['serviceaccounts:token'] }],
  },
  {
    ...{ id: 'impersonate-users', title: 'Act as any user or group', family: 'become', weight: 0.95 },
    why: 'impersonation turns it into any user, or into the group system:masters, which RBAC does not bind.',
    needs: [
      {
        verbs: ['impersonate'],
        on: ['users', 'groups'],
        names: ['system:masters', 'system:admin', 'kubernetes-admin'],
      },
    ],
  },
  {
    ...{ id: 'impersonate-accounts', title: 'Act as other accounts', family: 'become', weight: 0.9, inNamespace: 0.25 },
    why: 'impersonation turns it into other service accounts, stronger ones included.',
    needs: [{ verbs: ['impersonate'], on: ['serviceaccounts'] }],
  },
  {
    ...{ id: 'change-accounts', title: 'Change service accounts', family: 'become', weight: 0.4, inNamespace: 0.12 },
    why: "an account's annotations name its cloud role: pods of the account may get another one.",
    needs: [{ verbs: change, on: ['serviceaccounts'] }],
  },
  {
    ...{ id: 'exec-pods', title: 'Run commands in pods', family: 'run', weight: 0.9, inNamespace: 0.25 },
    why: 'a shell in any pod has its account, its Secrets and its network.',
    needs: [{ verbs: connect, on: ['pods:exec'] }],
  },
  {
    ...{ id: 'attach-pods', title: 'Attach to pods', family: 'run', weight: 0.5, inNamespace: 0.12 },
    why: 'what a container reads and writes on its terminal can be read, and written.',
    needs: [{ verbs: connect, on: ['pods:attach'] }],
  },
  {
    ...{
      id: 'ephemeral-containers',
      title: 'Put containers into pods',
      family: 'run',
      weight: 0.9,
      inNamespace: 0.25,
    },
    why: 'a debug container runs with the account of a pod that is there, next to its processes.',
    needs: [{ verbs: change, on: ['pods:ephemeralcontainers'] }],
  },
  {
    ...{ id: 'create-pods', title: 'Create pods', family: 'run', weight: 0.9, inNamespace: 0.3 },
    why: 'a pod can run as any account, mount any Secret there, and, where admission allows it, take over its node.',
    needs: [{ verbs: ['create'], on: ['pods'] }],
  },
  {
    ...{ id: 'create-workloads', title: 'Create or change workloads', family: 'run', weight: 0.9, inNamespace: 0.3 },
    why: 'the pods of a Deployment, Job or other controller can run as any account and mount any Secret there.',
    needs: [{ verbs: ['create'], on: workloads }],
    // Of a Job's pods nothing can be changed but labels, annotations, resources and where they go, and that only while
    // it is suspended (pkg/apis/batch/validation, validatePodTemplateUpdate).
    or: [[{ verbs: change, on: changeableWorkloads }]],
  },
  {
    ...{ id: 'change-pods', title: 'Change running pods', family: 'run', weight: 0.9, inNamespace: 0.2 },
    why: "the image of a running pod's container can be exchanged; it then runs with the pod's account.",
    needs: [{ verbs: change, on: ['pods'] }],
  },
  {
    ...{ id: 'create-persistent-volumes', title: 'Create persistent volumes', family: 'run', weight: 0.6 },
    why: "a volume of type hostPath is the node's own file system.",
    // Its source is immutable after creation (pkg/apis/core/validation, ValidatePersistentVolumeUpdate).
    needs: [{ verbs: ['create'], on: ['persistentvolumes'] }],
  },
  {
    ...{ id: 'nodes-proxy', title: "Use the kubelets' API", family: 'control', weight: 0.85 },
    why: "nodes/proxy leads to the kubelet, which runs commands in all pods of its node, past admission and the API's audit log.",
    needs: [{ verbs: connect, on: ['nodes:proxy'] }],
  },
  {
    ...{ id: 'approve-certificates', title: 'Approve certificates', family: 'control', weight: 0.95 },
    why: 'it can ask for a client certificate of any name, a member of an administrators group or a node, and approve it itself.',
    needs: [
      { verbs: ['create'], on: [`${certificates}/certificatesigningrequests`] },
      { verbs: change, on: [`${certificates}/certificatesigningrequests:approval`] },
      {
        verbs: ['approve'],
        on: [`${certificates}/signers`],
        names: [
          'kubernetes.io/kube-apiserver-client',
          'kubernetes.io/kube-apiserver-client-kubelet',
          'kubernetes.io/*',
        ],
      },
    ],
  },
  {
    ...{ id: 'mutating-webhooks', title: 'Rewrite what is admitted', family: 'control', weight: 0.9 },
    why: 'a webhook or policy of its own sees every object that is written, and can change it: any pod, any account.',
    needs: [{ verbs: write, on: [`${admission}/mutatingwebhookconfigurations`] }],
    // A policy without a binding has no effect (docs/reference/access-authn-authz/mutating-admission-policy).
    or: [
      [{ verbs: change, on: [`${admission}/mutatingadmissionpolicies`] }],
      [
        { verbs: ['create'], on: [`${admission}/mutatingadmissionpolicies`] },
        { verbs: write, on: [`${admission}/mutatingadmissionpolicybindings`] },
      ],
    ],
  },
  {
    ...{ id: 'validating-webhooks', title: 'See and refuse what is admitted', family: 'control', weight: 0.6 },
    why: 'a webhook of its own is sent every object that is written, Secrets included, and can refuse it.',
    needs: [{ verbs: write, on: [`${admission}/validatingwebhookconfigurations`] }],
    // As above (docs/reference/access-authn-authz/validating-admission-policy).
    or: [
      [{ verbs: change, on: [`${admission}/validatingadmissionpolicies`] }],
      [
        { verbs: ['create'], on: [`${admission}/validatingadmissionpolicies`] },
        { verbs: write, on: [`${admission}/validatingadmissionpolicybindings`] },
      ],
    ],
  },
  {
    ...{ id: 'remove-admission', title: 'Switch admission checks off', family: 'control', weight: 0.5 },
    why: 'with their configuration, admission webhooks and policies are gone, and with them what they keep out.',
    needs: [
      {
        verbs: remove,
        on: [
          ...[`${admission}/validatingwebhookconfigurations`, `${admission}/mutatingwebhookconfigurations`],
          ...[`${admission}/validatingadmissionpolicies`, `${admission}/validatingadmissionpolicybindings`],
        ],
      },
    ],
  },
  {
    ...{ id: 'api-services', title: 'Take over API groups', family: 'control', weight: 0.8 },
    why: 'an APIService sends the requests for a whole API group to a server of its own.',
    needs: [{ verbs: write, on: ['apiregistration.k8s.io/apiservices'] }],
  },
  {
    ...{ id: 'custom-resources', title: 'Redefine custom resources', family: 'control', weight: 0.4 },
    why: "a conversion webhook reads and rewrites a custom resource's objects, and its operator acts on them.",
    needs: [{ verbs: change, on: ['apiextensions.k8s.io/customresourcedefinitions'] }],
  },
  {
    ...{ id: 'kube-system-configuration', title: "Change the cluster's own configuration", family: 'control' },
    ...{ weight: 0.7, inNamespace: 0.7, within: 'kube-system' },
    why: 'what is configured there decides who is an administrator (aws-auth on EKS), what DNS answers (coredns), and more.',
    needs: [{ verbs: change, on: ['configmaps'], names: ['aws-auth', 'coredns'] }],
    or: [
      [
        { verbs: remove, on: ['configmaps'], names: ['aws-auth', 'coredns'] },
        { verbs: ['create'], on: ['configmaps'] },
      ],
    ],
  },
  {
    ...{ id: 'steal-pods', title: 'Draw pods to a node of its choice', family: 'control', weight: 0.5 },
    why: 'pods that are removed from their nodes, while other nodes are closed to them, come with their tokens to this one.',
    needs: [
      { verbs: ['create'], on: ['pods:eviction'] },
      { verbs: change, on: ['nodes', 'nodes:status'] },
    ],
    or: [
      [
        { verbs: remove, on: ['pods'] },
        { verbs: change, on: ['nodes', 'nodes:status'] },
      ],
    ],
  },
  {
    ...{ id: 'change-nodes', title: 'Change nodes', family: 'control', weight: 0.35 },
    why: 'labels, taints and status of a node decide which pods, and which of their Secrets, come to it.',
    needs: [{ verbs: change, on: ['nodes', 'nodes:status'] }],
  },
  {
    ...{ id: 'create-nodes', title: 'Register nodes', family: 'control', weight: 0.35 },
    why: 'to a node of its own, pods are sent with their tokens and Secrets.',
    needs: [{ verbs: ['create'], on: ['nodes'] }],
  },
  {
    ...{ id: 'change-namespaces', title: 'Relabel namespaces', family: 'control', weight: 0.5, inNamespace: 0.15 },
    why: 'their labels set the Pod Security level and whom NetworkPolicies let in.',
    needs: [{ verbs: change, on: ['namespaces'] }],
  },
  {
    ...{ id: 'forward-ports', title: "Reach into pods' networks", family: 'traffic', weight: 0.3, inNamespace: 0.1 },
    why: 'port-forward and proxy lead to any port of a pod, past NetworkPolicies and what listens on localhost for a reason.',
    needs: [{ verbs: connect, on: ['pods:portforward', 'pods:proxy', 'services:proxy'] }],
  },
  {
    ...{
      id: 'divert-services',
      title: 'Divert traffic of Services',
      family: 'traffic',
      weight: 0.35,
      inNamespace: 0.1,
    },
    why: 'endpoints written by hand send the clients of a Service, with their credentials, elsewhere.',
    needs: [{ verbs: write, on: ['endpoints', 'discovery.k8s.io/endpointslices'] }],
  },
  {
    ...{ id: 'pod-status', title: "Rewrite pods' status", family: 'traffic', weight: 0.25, inNamespace: 0.1 },
    why: 'a pod that claims another address or to be ready is sent the traffic of Services that select it.',
    needs: [{ verbs: change, on: ['pods:status'] }],
  },
  {
    ...{
      id: 'service-status',
      title: 'Claim addresses for Services',
      family: 'traffic',
      weight: 0.3,
      inNamespace: 0.1,
    },
    why: 'the load balancer address in a status draws traffic for that address from all nodes (CVE-2020-8554).',
    needs: [{ verbs: change, on: ['services:status'] }],
  },
  {
    ...{ id: 'network-policies', title: 'Open the network', family: 'traffic', weight: 0.2, inNamespace: 0.07 },
    why: 'NetworkPolicies can be changed or taken away, and what they keep apart is connected.',
    needs: [{ verbs: [...change, ...remove], on: ['networking.k8s.io/networkpolicies'] }],
  },
  {
    ...{ id: 'destroy-data', title: 'Destroy data and workloads', family: 'disrupt', weight: 0.5, inNamespace: 0.12 },
    why: 'workloads, volumes or whole namespaces can be deleted.',
    needs: [{ verbs: remove, on: ['namespaces', 'persistentvolumeclaims', 'persistentvolumes', ...workloads] }],
  },
  {
    ...{ id: 'delete-nodes', title: 'Delete nodes', family: 'disrupt', weight: 0.4 },
    why: 'the pods of a deleted node are ended.',
    needs: [{ verbs: remove, on: ['nodes'] }],
  },
  {
    ...{ id: 'flow-control', title: 'Starve the API server', family: 'disrupt', weight: 0.2 },
    why: 'the priority and fairness settings decide whose requests are served.',
    needs: [
      {
        verbs: [...write, ...remove],
        on: ['flowcontrol.apiserver.k8s.io/flowschemas', 'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations'],
      },
    ],
  },
  {
    ...{ id: 'read-logs', title: "Read pods' logs", family: 'read', weight: 0.12, inNamespace: 0.04 },
    why: 'logs often hold tokens and personal data.',
    needs: [{ verbs: ['get'], on: ['pods:log', 'nodes:log'] }],
  },
  {
    ...{ id: 'read-configuration', title: 'Read ConfigMaps', family: 'read', weight: 0.08, inNamespace: 0.03 },
    why: 'configuration shows what there is to attack, and now and then a password.',
    needs: [{ verbs: read, on: ['configmaps'] }],
  },
  {
    ...{ id: 'read-pods', title: 'Read pods', family: 'read', weight: 0.06, inNamespace: 0.02 },
    why: 'pod specs show images, addresses, accounts, and what is given in plain environment variables.',
    needs: [{ verbs: read, on: ['pods'] }],
  },
]
