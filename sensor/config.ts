/** The configuration file: YAML or JSON, checked against one schema that is published as sensor/config.schema.json. */
import { readFileSync } from 'node:fs'
import { RE2JS } from 're2js'
import { type Document, LineCounter, parseDocument } from 'yaml'
import { ignoredByDefault } from '../enrich/spiffe.ts'
import { FileConfig } from '../exporters/file.ts'
import { KubernetesEventsConfig } from '../exporters/kubernetes-events.ts'
import { OtlpConfig } from '../exporters/otlp.ts'
import { RedactionConfig } from '../exporters/redaction.ts'
import { stdoutFormats } from '../exporters/stdout.ts'
import { SyslogConfig } from '../exporters/syslog.ts'
import { WebhookConfig } from '../exporters/webhook.ts'
import { type Fault, problemIn, show } from '../rules/problem.ts'
import { shapeChecker } from '../rules/shape.ts'
import { addressForm, addressPattern } from './address.ts'
import { bytesPattern } from './bytes.ts'
import { durationPattern } from './duration.ts'
import { type Static, Type } from './schema.ts'
import { UsageError } from './usage.ts'

const closed = { additionalProperties: false }
const textOrNull = (description: string) =>
  Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], default: null, description }))

export const Config = Type.Object(
  {
    rules: Type.Optional(
      Type.Array(Type.String(), {
        default: [],
        description: 'Rule packs, files or folders, added to the shipped ones.',
      }),
    ),
    builtinRules: Type.Optional(Type.Boolean({ default: true, description: 'Whether the shipped packs are loaded.' })),
    watchFiles: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'Whether rules, receivers and their secrets are read anew when their files change, as at SIGHUP.',
      }),
    ),
    presenceFile: textOrNull(
      'A file that the sensor touches while it sees, so that its successor can tell as a gap for how long nobody did; null: that is not told.',
    ),
    metrics: Type.Optional(
      Type.Object(
        {
          address: Type.Optional(
            Type.String({
              title: addressForm,
              pattern: addressPattern,
              default: '127.0.0.1:9464',
              description: 'Where /metrics, /healthz and /readyz are served.',
            }),
          ),
        },
        closed,
      ),
    ),
    probe: Type.Optional(
      Type.Object(
        {
          startTimeout: Type.Optional(
            Type.String({
              title: 'a duration such as 60s or 5m',
              pattern: durationPattern,
              default: '60s',
              description:
                'How long bpftrace may take to attach before it is taken for stuck; longer on slow machines.',
            }),
          ),
        },
        closed,
      ),
    ),
    kubernetes: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(
            Type.Unsafe<'auto' | boolean>({
              title: 'auto, true or false',
              enum: ['auto', true, false],
              default: 'auto',
              description: 'auto: if this is a pod, or KUBECONFIG or kubeconfig is set.',
            }),
          ),
          kubeconfig: textOrNull('A kubeconfig file; null: KUBECONFIG, then the service account of the pod.'),
          nodeName: textOrNull('The node whose pods are watched; null: NIGHTJAR_NODE_NAME, then the host name.'),
          clusterName: textOrNull('Put into alerts as k8s.cluster.name.'),
          maxWait: Type.Optional(
            Type.String({
              title: 'a duration such as 500ms, 2s or 1m',
              pattern: durationPattern,
              default: '2s',
              description: 'How long an event waits for what the API server has not told yet about its pod.',
            }),
          ),
          tokenSecrets: Type.Optional(
            Type.Boolean({
              default: false,
              description:
                'Watch the metadata of legacy token Secrets, to tell their age. RBAC can not grant that without granting to read all Secrets.',
            }),
          ),
        },
        closed,
      ),
    ),
    cri: Type.Optional(
      Type.Object(
        {
          socket: Type.Optional(
            Type.Unsafe<string | null>({
              type: ['string', 'null'],
              default: 'auto',
              description:
                "The container runtime's unix socket, a second source for names and images; auto: the usual places; null: it is not asked.",
            }),
          ),
        },
        closed,
      ),
    ),
    spiffe: Type.Optional(
      Type.Object(
        {
          trustDomain: textOrNull('The trust domain of SPIRE, for templates that name it.'),
          ignoreNamespaces: Type.Optional(
            Type.Array(Type.String(), {
              default: ignoredByDefault,
              description:
                "As SPIRE's controller manager has it: regular expressions (RE2 syntax, not anchored) of the namespaces whose pods have no SPIFFE ID.",
            }),
          ),
          className: textOrNull(
            "As SPIRE's controller manager has it: ClusterSPIFFEIDs of this class alone count; null: of any.",
          ),
          watchClassless: Type.Optional(
            Type.Boolean({
              default: false,
              description: "As SPIRE's controller manager has it: beside className, those without a class count, too.",
            }),
          ),
          template: textOrNull(
            'Template of the SPIFFE IDs of pods that mount the Workload API and that no ClusterSPIFFEID selects, such as spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}.',
          ),
        },
        closed,
      ),
    ),
    exporters: Type.Optional(
      Type.Object(
        {
          stdout: Type.Optional(
            Type.Object(
              {
                format: Type.Optional(
                  Type.Enum(['auto', ...stdoutFormats], {
                    default: 'auto',
                    description: 'auto: pretty on a terminal, json otherwise.',
                  }),
                ),
              },
              closed,
            ),
          ),
          spool: Type.Optional(
            Type.Object(
              {
                directory: Type.Optional(
                  Type.String({
                    minLength: 1,
                    default: '/var/lib/nightjar/spool',
                    description: 'Where alerts wait for their receivers; of one sensor alone.',
                  }),
                ),
                maxBytes: Type.Optional(
                  Type.String({
                    title: 'a size such as 64MiB',
                    pattern: bytesPattern,
                    default: '256MiB',
                    description: 'Beyond it the oldest alerts of the lowest severity are dropped.',
                  }),
                ),
                maxAge: Type.Optional(
                  Type.String({
                    title: 'a duration such as 12h or 7d',
                    pattern: durationPattern,
                    default: '7d',
                    description: 'Alerts that nobody took for so long are dropped.',
                  }),
                ),
              },
              closed,
            ),
          ),
          webhooks: Type.Optional(
            Type.Array(Type.Unsafe<WebhookConfig>(WebhookConfig), { default: [], description: 'Receivers by HTTP.' }),
          ),
          otlp: Type.Optional(Type.Unsafe<OtlpConfig>(OtlpConfig)),
          file: Type.Optional(Type.Unsafe<FileConfig>(FileConfig)),
          syslog: Type.Optional(Type.Unsafe<SyslogConfig>(SyslogConfig)),
          kubernetesEvents: Type.Optional(Type.Unsafe<KubernetesEventsConfig>(KubernetesEventsConfig)),
          redaction: Type.Optional(RedactionConfig),
        },
        closed,
      ),
    ),
  },
  { ...closed, $id: 'https://nightjar.dev/config/v1.json', title: 'Nightjar configuration' },
)
export type Config = Static<typeof Config>

const shapeFaults = shapeChecker(Config)

/** With what no schema says: which texts are regular expressions. */
function faultsOf(value: unknown): Fault[] {
  const faults = shapeFaults(value)
  if (faults.length > 0) return faults
  const { spiffe } = value as Config
  return (spiffe?.ignoreNamespaces ?? []).flatMap((pattern, index) => {
    const reason = patternFault(pattern)
    if (reason === undefined) return []
    const found = `${show(pattern)} (${reason})`
    return [{ path: ['spiffe', 'ignoreNamespaces', index], found, expected: 'a regular expression in RE2 syntax' }]
  })
}

function patternFault(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error)
  }
}

/** Reads and checks a configuration. Throws UsageError with every problem: file, line, JSON path, found, expected. */
export function loadConfig(path: string): Config {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path}: can't be read: ${error instanceof Error ? error.message : error}`)
  }
  return parseConfig(text, path)
}

export function parseConfig(text: string, path: string): Config {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const [syntax] = document.errors
  if (syntax) {
    const { line, col } = lineCounter.linePos(syntax.pos[0])
    throw new UsageError(`${path}:${line}:${col}: found ${syntax.message}, expected YAML or JSON`)
  }
  const value = plainValue(document, path)
  const faults = faultsOf(value)
  if (faults.length === 0) return value as Config
  const lines = faults.map((fault) => {
    const node = document.getIn(fault.path.length > 0 ? fault.path : [], true)
    const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
    if (!Array.isArray(range)) return problemIn(path, fault).message
    const { line, col } = lineCounter.linePos(range[0])
    return problemIn(path, fault, { line, column: col }).message
  })
  throw new UsageError(lines.join('\n'))
}

/** Throws UsageError for an alias that names nothing, and for aliases that multiply (yaml counts them). */
function plainValue(document: Document, path: string): unknown {
  try {
    return document.toJS() ?? {}
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${path}: $: found ${found}, expected YAML with few aliases, each after its anchor`)
  }
}
