/** `nightjar doctor`: what this machine allows, line by line, and what to do about what it doesn't. */
import { existsSync } from 'node:fs'
import { allOf } from '../../bpf/interest.ts'
import { tracepointsOf } from '../../bpf/tracepoints.ts'
import { openApiServer } from '../../enrich/api-server.ts'
import type { ClusterAccess } from '../../enrich/cluster-access.ts'
import { kubernetesFrom } from '../../enrich/kubernetes.ts'
import { eventTypes } from '../event.ts'
import { createKernelProgram } from '../kernel-program.ts'
import { startProbe } from '../probe.ts'
import { type Check, checks } from '../requirements.ts'

/** Prints one line a check; the exit code is 1 if `run` can't work. */
export async function doctor(output: 'json' | 'pretty'): Promise<void> {
  const found = await checks()
  if (found.every(({ ok }) => ok !== false)) found.push(await trial())
  found.push(await apiServer())
  for (const check of found) process.stdout.write(output === 'json' ? `${JSON.stringify(check)}\n` : line(check))
  if (found.some(({ ok }) => ok === false)) process.exitCode = 1
}

const marks = new Map([
  [true, 'ok  '],
  [false, 'MISS'],
  [undefined, '    '],
])

function line({ name, ok, found, remedy }: Check): string {
  const first = `${marks.get(ok)}  ${name.padEnd(17)}  ${found}\n`
  return ok === false && remedy ? `${first}${' '.repeat(25)}${remedy}\n` : first
}

/** Milliseconds: whoever asks is there to wait, on a slow machine too. */
const patience = 300_000

/** The whole program, attached for a moment: what no list of requirements can promise. */
async function trial(): Promise<Check> {
  const name = 'kernel probes'
  const quiet = { info() {}, warn() {}, debug() {} }
  const nothing = () => {}
  const everything = allOf(eventTypes)
  const kernelProgram = createKernelProgram({ tracepoints: tracepointsOf, onRefused: nothing })
  const since = performance.now()
  const probe = startProbe({
    program: () => kernelProgram.text(everything),
    refused: kernelProgram.refused,
    startLimit: patience,
    log: quiet,
    now: () => 0,
    onAct: nothing,
    onTold: nothing,
    onUp: nothing,
    onDown: nothing,
    onGap: nothing,
    onLoss: nothing,
    onHeartbeat: nothing,
    onRestart: nothing,
  })
  try {
    await probe.started
    const seconds = ((performance.now() - since) / 1000).toFixed(1)
    const missing = kernelProgram.missing(everything)
    const but = missing.length > 0 ? `; not watched on this kernel: ${missing.join(', ')}` : ''
    return { name, ok: true, found: `through ${kernelProgram.backend(everything)}, attached in ${seconds} s${but}` }
  } catch (error) {
    const found = error instanceof Error ? error.message.replaceAll('\n', '; ') : String(error)
    return {
      name,
      ok: false,
      found,
      remedy: 'see the message of bpftrace; NIGHTJAR_LOG_LEVEL=debug nightjar run shows all of it',
    }
  } finally {
    await probe.stop()
  }
}

/** Milliseconds. */
const answerWithin = 5_000

async function apiServer(): Promise<Check> {
  const name = 'Kubernetes'
  try {
    const kubernetes = kubernetesFrom({ enabled: 'auto' })
    if (!kubernetes) return { name, ok: undefined, found: standalone() }
    const found = await podsOf(kubernetes.kubeConfig, kubernetes.nodeName)
    return { name, ok: undefined, found: `${found} (node ${kubernetes.nodeName}, ${kubernetes.source})` }
  } catch (error) {
    return { name, ok: undefined, found: error instanceof Error ? error.message : String(error) }
  }
}

const standalone = () =>
  existsSync('/etc/kubernetes') || existsSync('/var/lib/kubelet')
    ? 'none configured, though this looks like a node: set KUBECONFIG, or run as the DaemonSet'
    : 'none configured: standalone'

async function podsOf(access: ClusterAccess, nodeName: string): Promise<string> {
  const server = access.getCurrentCluster()?.server
  const api = openApiServer(access)
  try {
    const answer = await api.get('/api/v1/pods', { fieldSelector: `spec.nodeName=${nodeName}` }, answerWithin)
    if ('refusal' in answer) return `${server}: does not list pods: ${answer.refusal.message}`
    const { items } = answer.body as { items?: unknown[] | null }
    return `${server}: ${items?.length ?? 0} pods of this node`
  } finally {
    api.close()
  }
}
