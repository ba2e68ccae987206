/** What is made of the chart and the dashboard's table, for those who use neither helm nor the Prometheus operator. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dashboard } from './grafana/dashboard.ts'

const chart = join(import.meta.dirname, 'helm/nightjar')
/** The oldest Kubernetes whose fields all of the manifests may use: recursiveReadOnly is of 1.31. */
const kubernetes = '1.31.0'

const head = `# Nightjar without helm: what deploy/helm/nightjar gives with its default values. Made by \`npm run manifests\`; change it with
# kustomize, the image first of all: "nightjar" is the name that a registry of yours has it under.
# For Kubernetes 1.31 or newer; for an older one: helm template nightjar deploy/helm/nightjar --kube-version VERSION
#
# The namespace's Pod Security level is privileged: \`baseline\` and \`restricted\` refuse hostPID and hostPath whatever else a pod gives up.
# The container itself is not privileged.
apiVersion: v1
kind: Namespace
metadata:
  name: nightjar
  labels:
    app.kubernetes.io/name: nightjar
    pod-security.kubernetes.io/enforce: privileged
    pod-security.kubernetes.io/audit: privileged
    pod-security.kubernetes.io/warn: privileged
`

/** Labels that say that helm manages the object, which it doesn't here. */
const ofHelm = /^ *(app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/chart: .*)\n/gm

function manifests(): string {
  const options = ['--namespace', 'nightjar', '--no-hooks', '--skip-tests', '--kube-version', kubernetes]
  const rendered = execFileSync('helm', ['template', 'nightjar', chart, ...options], { encoding: 'utf8' })
  return (
    head +
    rendered
      .replace(ofHelm, '')
      .replace(/^# Source: .*\n/gm, '')
      .replace(/\n+---\n/g, '\n---\n')
      .trimEnd() +
    '\n'
  )
}

const prometheusRules = () =>
  `# For rule_files of Prometheus. Made by \`npm run manifests\` of the chart's files/prometheus-rules.yaml.\n${readFileSync(join(chart, 'files/prometheus-rules.yaml'), 'utf8')}`

/** File below deploy/ to what makes its contents. */
export const made: Record<string, () => string> = {
  'manifests/nightjar.yaml': manifests,
  'prometheus/rules.yaml': prometheusRules,
  'grafana/nightjar.json': () => `${JSON.stringify(dashboard(), undefined, 2)}\n`,
}
