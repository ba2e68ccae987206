/** The container runtime of this node, once it is found: looked for until it answers. */
import { type Cri, findRuntime, openCri, usualSockets } from './cri.ts'
import { createRuntimeContainers, type RuntimeContainers } from './cri-containers.ts'
import type { Log } from './list-watch.ts'

export type Runtime = RuntimeContainers & {
  /** A runtime was found. */
  available(): boolean
  /** The first look is over. */
  ready: Promise<void>
}

// A node's runtime may be upgraded, or start after the sensor.
const againMs = 60_000

/** `socket`: a path, or `auto` for the usual ones. `usual`: which these are. */
export function watchRuntime(options: {
  socket: string
  usual?: string[]
  log: Log
  onChange(): void
  clock?: () => number
}): Runtime {
  const { socket, usual = usualSockets, log, onChange, clock } = options
  const ready = Promise.withResolvers<void>()
  let containers: RuntimeContainers | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  async function look(first: boolean): Promise<void> {
    const found = await findRuntime(socket, usual)
    if (closed) return
    if ('runtime' in found) {
      const [name = ''] = found.runtime.split(' ')
      const cri: Cri = openCri(found.socket)
      containers = createRuntimeContainers({ cri, runtime: name, log, onChange, ...(clock && { clock }) })
      log.info({ socket: found.socket, runtime: found.runtime }, 'the container runtime is a second source of names')
      return
    }
    if (first && found.tried.length > 0) {
      const remedy =
        'the sensor needs to be root and to see the socket; cri.socket names another, null switches this off'
      log.warn(
        { tried: found.tried, remedy },
        'no container runtime answers: containers are named by the API server alone',
      )
    }
    timer = setTimeout(() => void look(false), againMs)
    timer.unref()
  }
  void look(true).finally(ready.resolve)

  return {
    ready: ready.promise,
    available: () => containers !== undefined,
    containerOf: (id) => containers?.containerOf(id),
    answered: (id) => containers?.answered(id) ?? true,
    close() {
      closed = true
      clearTimeout(timer)
      containers?.close()
    },
  }
}
