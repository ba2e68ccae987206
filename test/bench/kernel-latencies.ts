/** The whole way of an alert: from the kernel's timestamp of an exec, through the real sensor, to a receiver. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Alert } from '../../sensor/alert.ts'

/** Starts the programs that its arguments name, so many a second, one after the other. */
const driver = `
import os, sys, time
rate, programs, start = int(sys.argv[1]), sys.argv[2:], time.time()
for index, program in enumerate(programs):
    time.sleep(max(0, start + index / rate - time.time()))
    os.waitpid(os.posix_spawn(program, ["bench"], {}), 0)
`

/** Of `count` alerts, `rate` a second; milliseconds, in ascending order. Files are made in `folder`. */
export async function kernelLatencies(folder: string, rate: number, count: number): Promise<number[]> {
  const directory = join(folder, 'programs')
  mkdirSync(directory)
  // A name each: the same program again and again would be folded into one alert.
  const programs = Array.from({ length: count }, (_, index) => join(directory, String(index)))
  for (const [index, program] of programs.entries())
    if (index === 0) copyFileSync('/bin/true', program)
    else linkSync(join(directory, '0'), program)

  const latencies: number[] = []
  const soc = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const now = performance.timeOrigin + performance.now()
    response.writeHead(204).end()
    const { time }: Alert = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    // Date reads milliseconds; the alert has microseconds.
    latencies.push(now - Date.parse(time) - Number(/\.\d{3}(\d{3})Z$/.exec(time)?.[1] ?? 0) / 1000)
    if (latencies.length === count) soc.emit('all')
  })
  await new Promise<void>((resolve) => soc.listen(0, '127.0.0.1', resolve))
  const all = once(soc, 'all')
  const stop = await startSensor(folder, directory, `http://127.0.0.1:${(soc.address() as AddressInfo).port}/`)
  await once(spawn('python3', ['-c', driver, String(rate), ...programs], { stdio: 'inherit' }), 'exit')
  await Promise.race([all, pause(5000, undefined, { ref: false })])
  await stop()
  soc.close()
  soc.closeAllConnections()
  return latencies.sort((one, other) => one - other)
}

/** A sensor that alerts on each program of the directory; resolves when it watches, to what ends it. */
async function startSensor(folder: string, directory: string, url: string): Promise<() => Promise<unknown>> {
  const rule = {
    id: 'bench',
    name: 'Bench',
    on: ['exec'],
    when: { 'process.executable.path': { startsWith: `${directory}/` } },
    severity: 'high',
    message: '{process.executable.path}',
  }
  const [rules, config] = [join(folder, 'rules.json'), join(folder, 'config.json')]
  const exporters = { spool: { directory: join(folder, 'sensor') }, webhooks: [{ name: 'soc', url }] }
  writeFileSync(rules, JSON.stringify({ pack: 'bench', version: '1', rules: [rule] }))
  writeFileSync(config, JSON.stringify({ exporters }))
  const main = join(import.meta.dirname, '../../sensor/main.ts')
  const options = [
    '--output',
    'none',
    '--metrics',
    '127.0.0.1:0',
    '--no-builtin-rules',
    '--rules',
    rules,
    '--config',
    config,
  ]
  const sensor = spawn(main, ['run', ...options], { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(sensor, 'exit')
  let log = ''
  await new Promise<void>((resolve, reject) => {
    sensor.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
      if (log.includes('"msg":"watching"')) resolve()
    })
    exited.then(() => reject(new Error(`the sensor ended: ${log}`)))
  })
  return () => {
    sensor.kill('SIGTERM')
    return exited
  }
}
