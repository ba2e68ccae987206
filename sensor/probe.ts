/**
 * The bpftrace process: started, watched, started again.
 *
 * Its silence is a fact to report: when it dies or stalls, the sensor was blind from its last line to the first
 * heartbeat of its successor, and says so as a gap.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants, cpus } from 'node:os'
import { createInterface } from 'node:readline'
import { mapKeys } from '../bpf/numbers.ts'
import type { KernelRecord } from '../bpf/records.ts'
import { type Act, createAssembler } from './assemble.ts'
import { createDecoder, lostIn } from './decoder.ts'
import type { EventType } from './event.ts'
import { endOf } from './proc.ts'
import { createShedding, shedInWords } from './shedding.ts'

export interface Gap {
  reason: 'probe_exited' | 'probe_stalled' | 'events_lost' | 'events_shed' | 'records_rejected' | 'sensor_absent'
  seconds?: number
  lostEvents?: number
  detail?: string
}

export interface ProbeOptions {
  /** The bpftrace program. */
  program(): string
  /**
   * bpftrace has refused this program with these words. True if program() has left out what it refused, so that it is
   * worth another try.
   */
  refused?(program: string, complaint: readonly string[]): boolean
  command?: string
  /** Milliseconds from the start of bpftrace to its first word, after which it is taken for stuck. */
  startLimit?: number
  log: {
    info(about: object, text: string): void
    warn(about: object, text: string): void
    debug(about: object, text: string): void
  }
  /** The kernel's time, in nanoseconds. */
  now(): number
  onAct(act: Act): void
  /** Whatever happened before this time of the kernel, in nanoseconds, has been told, where all CPUs share one buffer. */
  onTold(time: number): void
  /** The kernel side is attached, for the first time or again. */
  onUp(pid: number): void
  onDown(): void
  /** Something was not seen, or can't be read. */
  onGap(gap: Gap): void
  /** `type` is known of events that were shed: read, and dropped because this process is behind. */
  onLoss(stage: 'kernel_buffer' | 'decoder' | 'shed', count: number, type?: EventType): void
  onHeartbeat(): void
  onRestart(): void
}

export interface Probe {
  /** Resolves at the first heartbeat. Rejects if bpftrace can't be made to run the program. */
  readonly started: Promise<void>
  readonly pid: () => number | undefined
  /** Kills bpftrace and waits for its end; not for that of one before, which was found dying. */
  stop(): Promise<void>
}

/** bpftrace takes some seconds to attach; a machine under load takes more, an emulated one minutes. */
const defaultStartLimit = 60_000
const heartbeatLimit = 5_000
/** Silent for so long, a heartbeat and a half, it may be dead: that shows long before its end is over. */
const suspiciousSilence = 1_500
const firstDelay = 100
const longestDelay = 30_000
const longestDelayAfterUp = 2_000
/** Up for so long, and the next failure is a new one: the delay starts over. */
const healthyAfter = 60_000
/** Blind for so long, and it's said before it is over. */
const sayAfter = 5_000
const stderrKept = 20

/**
 * Pages per CPU, a power of two, of the buffer between kernel and bpftrace: 8 MiB hold some 40,000 lines, but not more
 * than 64 MiB for all CPUs together, as a pod's memory limit counts them.
 */
const bufferPages = (cpus: number) => Math.max(64, Math.min(2048, 2 ** Math.floor(Math.log2(16_384 / cpus))))

/** Each bpftrace reads its own name of a setting, the older one the first. */
const environment = () => ({
  ...process.env,
  BPFTRACE_PERF_RB_PAGES: String(bufferPages(cpus().length)),
  BPFTRACE_MAP_KEYS_MAX: String(mapKeys),
  BPFTRACE_MAX_MAP_KEYS: String(mapKeys),
})

/**
 * On kernels >= 5.11 BPF memory is no longer locked memory, and this is harmless. Not kept back by --no-warnings: 0.17 says
 * nothing of lost events then.
 */
const harmless = /couldn't set RLIMIT_MEMLOCK|Addrspace mismatch/

export function startProbe(options: ProbeOptions): Probe {
  const { log } = options
  const started = Promise.withResolvers<void>()
  let child: ChildProcess | undefined
  let stopping = false
  let delay = firstDelay
  let timer: NodeJS.Timeout | undefined
  /** When the kernel side was last heard of, and why it fell silent; unset before the first start. */
  let blind: { since: number; reason: Gap['reason']; detail: string } | undefined
  let everUp = false

  const start = () => {
    let up = false
    let upAt = 0
    let heard = performance.now()
    let lost = 0
    let rejected = 0
    let stalled = false
    const stderr: string[] = []

    /** Kernel time of the newest record, in nanoseconds. */
    let newest = 0

    const shedding = createShedding({
      began: (late) =>
        log.warn(
          { late_ms: Math.round(late) },
          'events come faster than they are judged: the least of them are dropped',
        ),
      dropped: (type) => options.onLoss('shed', 1, type),
      ended(shed) {
        const { seconds, total } = shed
        log.warn({ seconds, dropped: Object.fromEntries(shed.byType) }, 'caught up: all events are judged again')
        const detail = `for ${seconds} s events came faster than they were judged; dropped: ${shedInWords(shed)}`
        options.onGap({ reason: 'events_shed', lostEvents: total, detail })
      },
    })
    const assembler = createAssembler({
      act: options.onAct,
      drops: shedding.drops,
      incomplete: (record: KernelRecord['record']) => {
        rejected++
        options.onLoss('decoder', 1)
        log.debug({ record }, 'a record came without all of its parts')
      },
      heartbeat() {
        options.onHeartbeat()
        if (!up) cameUp()
        if (lost > 0) options.onGap({ reason: 'events_lost', lostEvents: lost, detail: 'the kernel buffer was full' })
        if (rejected > 0) options.onGap({ reason: 'records_rejected', lostEvents: rejected })
        lost = 0
        rejected = 0
      },
    })
    const lostInKernel = (count: number) => {
      lost += count
      options.onLoss('kernel_buffer', count)
    }
    const decoder = createDecoder({
      record(record) {
        newest = record.time
        assembler.push(record)
      },
      told: options.onTold,
      lost: lostInKernel,
      reject(line) {
        rejected++
        options.onLoss('decoder', 1)
        // Not all of it: behind a text stands what lies there in the kernel's memory.
        log.warn({ line: line.slice(0, 60) }, 'a line from bpftrace is no record')
      },
    })

    const cameUp = () => {
      up = true
      everUp = true
      upAt = performance.now()
      log.info({ pid: bpftrace.pid }, 'kernel probes attached')
      options.onUp(bpftrace.pid ?? 0)
      if (blind) options.onGap({ reason: blind.reason, seconds: secondsSince(blind.since), detail: blind.detail })
      blind = undefined
      started.resolve()
    }

    const bpftrace = spawn(options.command ?? 'bpftrace', ['-B', 'full', '-'], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // a SIGHUP for the sensor's process group asks it to reload, and would end bpftrace
    })
    child = bpftrace
    bpftrace.stdin.on('error', () => {}) // it ended before it read the program: its exit says why
    const text = options.program()
    bpftrace.stdin.end(text)
    bpftrace.stdout.on('data', (data: Buffer) => {
      heard = performance.now()
      decoder.push(data)
      shedding.read(data.length, (options.now() - newest) / 1e6, performance.now())
    })
    createInterface(bpftrace.stderr).on('line', (line) => {
      if (line === '' || harmless.test(line)) return
      // Among its records until 0.23, here in 0.27.
      const count = lostIn(line)
      if (count !== undefined) return lostInKernel(count)
      stderr.push(line)
      if (stderr.length > stderrKept) stderr.shift()
      log.debug({ line }, 'bpftrace')
    })

    const watch = setInterval(() => {
      const silence = performance.now() - heard
      if (silence < suspiciousSilence) return
      // What it wrote may be waiting to be read, if it is this process that was held up: look once more first.
      setImmediate(() => {
        if (performance.now() - heard < silence) return
        const status = up ? endOf(bpftrace.pid ?? 0) : undefined
        // Killed by somebody, and not yet detached from all its tracepoints: the next one needn't wait for that.
        if (status !== undefined) return ended(status >> 8, signalIn(status))
        if (silence < (up ? heartbeatLimit : (options.startLimit ?? defaultStartLimit))) return
        stalled = true
        bpftrace.kill('SIGKILL')
      })
    }, 1000)

    let error: Error | undefined
    bpftrace.once('error', (failure) => {
      error = failure
      if (bpftrace.pid === undefined) ended(null, null)
    })
    bpftrace.once('close', (code, signal) => ended(code, signal))

    let over = false
    const ended = (code: number | null, signal: string | null) => {
      if (over) return
      over = true
      clearInterval(watch)
      decoder.end()
      shedding.end(performance.now())
      child = undefined
      if (stopping) return started.reject(new Error('stopped before the kernel probes were attached'))
      if (up) options.onDown()
      const how = error?.message ?? (signal ? `killed by ${signal}` : `exit code ${code}`)
      if (!everUp) {
        if (!error && !stalled && options.refused?.(text, stderr)) return start()
        return started.reject(new Error([`bpftrace could not be started: ${how}`, ...stderr].join('\n')))
      }
      const reason = stalled ? 'probe_stalled' : 'probe_exited'
      const detail = stalled ? `bpftrace sent nothing for ${heartbeatLimit / 1000} s` : `bpftrace: ${how}`
      blind ??= { since: heard, reason, detail }
      options.onRestart()
      if (up && performance.now() - upAt > healthyAfter) delay = firstDelay
      const wait = Math.min(delay, up ? longestDelayAfterUp : longestDelay)
      delay = wait * 2
      log.warn({ how, reason, wait, stderr }, 'the kernel probes are gone; starting them again')
      timer = setTimeout(start, wait)
      sayWhileBlind(blind)
    }
  }

  const sayWhileBlind = (now: NonNullable<typeof blind>) => {
    setTimeout(() => {
      if (blind !== now || stopping) return
      options.onGap({ reason: now.reason, seconds: secondsSince(now.since), detail: `${now.detail}; still blind` })
    }, sayAfter).unref()
  }

  start()
  return {
    started: started.promise,
    pid: () => child?.pid,
    async stop() {
      stopping = true
      clearTimeout(timer)
      const running = child
      if (!running) return
      const closed = new Promise<void>((resolve) => running.once('close', () => resolve()))
      running.kill('SIGKILL')
      await closed
    },
  }
}

/** The name of the signal in a wait status, if it was one that ended the process. */
const signalIn = (status: number): string | null =>
  Object.entries(constants.signals).find(([, number]) => number === (status & 0x7f))?.[0] ?? null

const secondsSince = (time: number) => Math.round(performance.now() - time) / 1000
