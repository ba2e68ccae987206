/** The promise of the spool, kept under the worst: a receiver that fails in every way, a sensor that is killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'

const total = 100_000
const kills = 10
const timeout = 700
const maxBytes = 64 * 1024 * 1024

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Mulberry32: the same seed, the same misfortunes. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Soc {
  readonly url: string
  /** Alerts by number, in the order in which they first came in a request that counts as taken. */
  readonly taken: number[]
  readonly repeated: number
  readonly misfortunes: Map<string, number>
  /** Resolves when so many different alerts were taken. */
  has(count: number): Promise<void>
  close(): Promise<void>
}

type Misfortune = (server: Server, request: IncomingMessage, response: ServerResponse) => void

/** What can go wrong, each as likely as the number says. None of it counts as taken but the last. */
const misfortunes: [name: string, likelihood: number, happen: Misfortune, isTaken?: true][] = [
  ['refused for a while', 0.02, (server) => relisten(server, 50)],
  ['hangs', 0.01, () => {}],
  ['500', 0.1, (_, __, response) => response.writeHead(500).end('no')],
  ['429', 0.05, (_, __, response) => response.writeHead(429, { 'retry-after': '0' }).end()],
  [
    'cut in the middle of the answer',
    0.05,
    (_, request, response) => {
      response.writeHead(503, { 'content-length': '100' }).write('abc')
      setImmediate(() => request.socket.destroy())
    },
  ],
  ['taken, and said so too late', 0.015, (_, __, response) => setTimeout(() => response.end(), timeout + 100), true],
]

function chosen(list: typeof misfortunes, random: number) {
  const upTo = list.map((_, index) => list.slice(0, index + 1).reduce((sum, [, likelihood]) => sum + likelihood, 0))
  return list[upTo.findIndex((bound) => random < bound)]
}

function relisten(server: Server, after: number) {
  const { port } = server.address() as AddressInfo
  server.close()
  server.closeAllConnections()
  setTimeout(() => server.listen(port, '127.0.0.1'), after)
}

/** Never so often in a row that an alert, and not the receiver, comes under suspicion and another is sent before it. */
const mostInARow = 6

async function startSoc(random: () => number, list: typeof misfortunes): Promise<Soc> {
  const seen = new Uint8Array(total)
  const taken: number[] = []
  const count = new Map<string, number>()
  let repeated = 0
  let inARow = 0
  let notice = () => {}

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const chunks: Buffer[] = []
    const isCut = random() < 0.05 && inARow < mostInARow
    for await (const chunk of request) {
      chunks.push(chunk)
      if (!isCut || list.length === 0) continue
      // In the middle of the request's body.
      count.set('cut in the middle of the request', (count.get('cut in the middle of the request') ?? 0) + 1)
      inARow++
      return request.socket.destroy()
    }
    // What has not happened to half of them is not left to chance.
    const overdue = taken.length > total / 2 ? list.find(([name]) => !count.has(name)) : undefined
    const found = inARow < mostInARow ? (overdue ?? chosen(list, random())) : undefined
    const [name = '', , happen, isTaken = found === undefined] = found ?? []
    if (found !== undefined) count.set(name, (count.get(name) ?? 0) + 1)
    inARow = found === undefined ? 0 : inARow + 1
    if (isTaken) take(JSON.parse(Buffer.concat(chunks).toString('utf8')).alerts)
    if (happen === undefined) response.writeHead(200).end()
    else happen(server, request, response)
    notice()
  }

  function take(alerts: Alert[]) {
    for (const { id } of alerts) {
      const number = Number(id.slice(4))
      if (seen[number]) repeated++
      else taken.push(number)
      seen[number] = 1
    }
  }

  const server = createServer((request, response) => {
    response.on('error', () => {})
    serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    taken,
    get repeated() {
      return repeated
    },
    misfortunes: count,
    has: (wanted) =>
      new Promise((resolve) => {
        notice = () => {
          if (taken.length >= wanted) resolve()
        }
        notice()
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const sizeOf = (directory: string) =>
  readdirSync(directory).reduce(
    (sum, file) => sum + (statSync(join(directory, file), { throwIfNoEntry: false })?.size ?? 0),
    0,
  )

/** The most memory that the process ever had, in MiB. */
const peakOf = (pid: number) =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

test(`${total} alerts through a receiver that fails at random, from a sensor that is killed ${kills} times: all arrive, in order`, async () => {
  const seed = Number(process.env.NIGHTJAR_SEED ?? Math.floor(Math.random() * 2 ** 31))
  console.info(`chaos: NIGHTJAR_SEED=${seed}`)
  const folder = mkdtempSync(join(tmpdir(), 'nightjar-chaos-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  const soc = await startSoc(randomFrom(seed), misfortunes)
  const pager = await startSoc(randomFrom(seed), [])
  cleanups.push(soc.close, pager.close)

  const spool = join(folder, 'spool')
  const retry = { initialDelay: '10ms', maxDelay: '100ms' }
  const receivers = [
    {
      name: 'soc',
      url: soc.url,
      minSeverity: 'info',
      timeout: `${timeout}ms`,
      retry,
      batch: { size: 250, wait: '50ms' },
    },
    { name: 'pager', url: pager.url, minSeverity: 'critical', retry, batch: { size: 50, wait: '50ms' } },
  ]
  const exporters = { spool: { directory: spool, maxBytes: `${maxBytes / 1024 / 1024}MiB` }, webhooks: receivers }
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ exporters }))
  writeFileSync(join(folder, 'count'), '')

  let complaints = ''
  const start = (): ChildProcess => {
    const args = [join(folder, 'config.json'), join(folder, 'count'), String(total)]
    // A heap too small for what waits: it must be on disk.
    const daemon = spawn(
      process.execPath,
      ['--max-old-space-size=64', join(import.meta.dirname, 'chaos-daemon.ts'), ...args],
      {
        stdio: ['ignore', 'inherit', 'pipe'],
      },
    )
    daemon.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
        .split('\n')
        .filter((line) => line.includes('"level":50') || !line.startsWith('{'))
        .join('\n')
    })
    return daemon
  }
  let daemon = start()
  cleanups.push(() => daemon.kill('SIGKILL'))
  let largest = 0
  let peak = 0
  const measure = () => {
    largest = Math.max(largest, sizeOf(spool))
    peak = Math.max(peak, peakOf(daemon.pid ?? 0))
  }
  for (let kill = 1; kill <= kills; kill++) {
    await soc.has(Math.floor((total * kill) / (kills + 1)))
    measure()
    daemon.kill('SIGKILL')
    await once(daemon, 'exit')
    daemon = start()
  }
  await Promise.all([soc.has(total), pager.has(total / 5)])
  measure()
  daemon.kill('SIGTERM')
  const [code] = await once(daemon, 'exit')

  const all = Array.from({ length: total }, (_, number) => number)
  expect(soc.taken).toEqual(all)
  expect(pager.taken).toEqual(all.filter((number) => number % 5 === 0))
  expect([complaints, code]).toEqual(['', 0])
  expect(largest).toBeLessThan(maxBytes)
  expect(sizeOf(spool)).toBeLessThan(6 * 1024 * 1024)
  expect(peak).toBeLessThan(320)
  expect([...soc.misfortunes.keys()].length).toBe(misfortunes.length + 1)
  const told = [...soc.misfortunes].map(([name, count]) => `${count} ${name}`).join(', ')
  console.info(
    `chaos: ${told}; ${soc.repeated} sent twice; ${Math.round(peak)} MiB of memory, ${Math.round(largest / 2 ** 20)} of disk`,
  )
}, 240_000)
