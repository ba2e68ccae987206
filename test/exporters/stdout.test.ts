import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { afterEach, expect, test } from 'vitest'
import { createMetrics } from '../../exporters/metrics.ts'
import { pretty } from '../../exporters/pretty.ts'
import { type StdoutFormat, stdoutExporter } from '../../exporters/stdout.ts'
import { Alert } from '../../sensor/alert.ts'
import { journal } from './journal.ts'
import { bareAlert, sampleAlert } from './sample.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

function exporter(format: StdoutFormat, stream: Writable = new PassThrough()) {
  const metrics = createMetrics()
  const logged = journal()
  const stdout = stdoutExporter({ format, stream, color: false }, { metrics, log: logged.log })
  return {
    stdout,
    stream,
    journal: logged,
    failures: async () => {
      const { values } = await metrics.exportFailures.get()
      return values.map(({ labels, value }) => `${labels.exporter} ${labels.reason} ${value}`)
    },
  }
}

test('json: one valid alert a line, whatever its values hold', async () => {
  const { stdout, stream } = exporter('json')
  const alerts = [sampleAlert({ message: 'two\nlines \u2028 \u009b2J "quoted"' }), bareAlert()]
  for (const alert of alerts) stdout.send(alert)
  stream.end()
  const output = await text(stream as PassThrough)
  const ajv = new Ajv({ strict: false })
  addFormats.default(ajv)
  const lines = output.split('\n')
  expect(lines.pop()).toBe('')
  expect(lines.map((line) => JSON.parse(line))).toEqual(alerts)
  for (const line of lines) expect(ajv.validate(Alert, JSON.parse(line)), ajv.errorsText()).toBe(true)
  expect(output).not.toMatch(/[\u2028\u009b]/)
})

test('pretty: the lines for a person', async () => {
  const { stdout, stream } = exporter('pretty')
  const alert = sampleAlert()
  stdout.send(alert)
  stream.end()
  expect(await text(stream as PassThrough)).toBe(pretty(alert, { color: false }))
})

test('none: nothing is written, and nothing is missing', async () => {
  const { stdout, stream } = exporter('none')
  stdout.send(sampleAlert())
  expect(await stdout.close(0)).toBe(0)
  expect(stream.writableLength).toBe(0)
})

test('a program whose stdout reader has gone lives on, counts every alert it could not write and logs it once', async () => {
  const program = `
    import { pino } from 'pino'
    import { createMetrics } from './exporters/metrics.ts'
    import { stdoutExporter } from './exporters/stdout.ts'
    import { sampleAlert } from './test/exporters/sample.ts'
    const metrics = createMetrics()
    const log = pino(pino.destination({ fd: 2, sync: true }))
    const stdout = stdoutExporter({ format: 'json', stream: process.stdout, color: false }, { metrics, log })
    process.stdin.once('data', async () => {
      for (let sent = 0; sent < 100; sent++) stdout.send(sampleAlert())
      await stdout.close(5000)
      const { values } = await metrics.exportFailures.get()
      process.stderr.write('FAILURES ' + JSON.stringify(values.map(({ labels, value }) => [labels.reason, value])) + '\\n')
      process.exitCode = 7
      process.stdin.destroy()
    })
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'pipe' })
  cleanups.push(() => child.kill('SIGKILL'))
  const errors = text(child.stderr)
  child.stdout.destroy()
  child.stdin.end('go\n')
  const [code] = await once(child, 'exit')
  const output = await errors
  expect(output).toContain('FAILURES [["write",100]]')
  expect(code).toBe(7)
  expect(output.match(/can not be written to stdout/g)?.length).toBe(1)
  expect(output).toContain('EPIPE')
})

test('a reader that is too slow costs alerts, counted, but no more memory', async () => {
  const stuck = new Writable({ write() {} })
  const { stdout, failures } = exporter('json', stuck)
  const alert = sampleAlert({ message: 'x'.repeat(1024 * 1024) })
  for (let sent = 0; sent < 40; sent++) stdout.send(alert)
  expect(stuck.writableLength).toBeLessThan(20 * 1024 * 1024)
  expect((await failures())[0]).toMatch(/^stdout queue_full 2[0-9]$/)
  expect(await stdout.close(10)).toBeGreaterThan(10)
})

test('close waits until what was sent is written', async () => {
  const written: string[] = []
  const slow = new Writable({
    decodeStrings: false,
    write(chunk, _, done) {
      setImmediate(() => {
        written.push(chunk)
        done()
      })
    },
  })
  const { stdout, failures } = exporter('json', slow)
  for (let sent = 0; sent < 20; sent++) stdout.send(bareAlert())
  expect(await stdout.close(5000)).toBe(0)
  expect(written.length).toBe(20)
  stdout.send(bareAlert())
  expect(await failures()).toEqual(['stdout write 1'])
  expect(written.length).toBe(20)
})

test('a stream that was ended is a failure, not an exception', async () => {
  const stream = new PassThrough()
  const { stdout, failures } = exporter('pretty', stream)
  stream.end()
  stdout.send(bareAlert())
  stream.destroy()
  stdout.send(bareAlert())
  expect(await failures()).toEqual(['stdout write 2'])
})
