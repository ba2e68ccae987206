import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { afterAll, expect, test } from 'vitest'
import { Alert } from '../../sensor/alert.ts'
import { receiver, statuses } from './receiver.ts'

const folder = mkdtempSync(join(tmpdir(), 'nightjar-export-test-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs `nightjar export test` with these receivers. */
async function exportTest(exporters: object) {
  const config = join(folder, 'config.json')
  writeFileSync(config, JSON.stringify({ exporters }))
  const main = resolve(import.meta.dirname, '../../sensor/main.ts')
  const child = spawn(process.execPath, [main, 'export', 'test', '--config', config], {
    env: { ...process.env, SOC_TOKEN: 'SECRET-token' },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return { code, stdout, stderr }
}

test('each receiver gets one alert, and each answer is printed, without secrets; one that fails makes it fail', async () => {
  const fine = await receiver()
  const refusing = await receiver({ answer: statuses([401]) })
  const failing = await receiver({ answer: statuses([503]) })
  const gone = await receiver()
  await gone.close()
  const headers = { authorization: `Bearer ${'$'}{env:SOC_TOKEN}` }
  const secretUrl = join(folder, 'url')
  writeFileSync(secretUrl, `${refusing.url}/SECRET-path\n`)
  const { code, stdout, stderr } = await exportTest({
    webhooks: [
      { name: 'fine', url: fine.url, headers, minSeverity: 'critical', rules: ['none'] },
      { name: 'refusing', url: `${'$'}{file:${secretUrl}}` },
      { name: 'failing', url: failing.url },
      { name: 'gone', url: gone.url },
    ],
  })
  const lines = stdout.trimEnd().split('\n').sort()
  expect(lines).toEqual([
    expect.stringMatching(/^failing {3}http:\/\/127\.0\.0\.1:\d+ {2}FAILED \(server_error\): status 503, \d+ ms$/),
    expect.stringMatching(/^fine {6}http:\/\/127\.0\.0\.1:\d+ {2}delivered: status 204, \d+ ms$/),
    expect.stringMatching(/^gone {6}http:\/\/127\.0\.0\.1:\d+ {2}FAILED \(connection\): .*ECONNREFUSED.*, \d+ ms$/),
    expect.stringMatching(/^refusing {2}http:\/\/127\.0\.0\.1:\d+ {2}REFUSED: status 401, \d+ ms$/),
  ])
  expect([code, stderr]).toEqual([1, ''])
  expect(stdout).not.toContain('SECRET')
  expect(fine.deliveries.map(({ headers }) => headers.authorization)).toEqual(['Bearer SECRET-token'])
  expect(refusing.deliveries.map(({ path }) => path)).toEqual(['/hooks/nightjar/SECRET-path'])
  const ajv = new Ajv({ strict: false, allErrors: true })
  addFormats.default(ajv)
  const isAlert = ajv.compile(Alert)
  isAlert(JSON.parse(fine.deliveries[0]?.body ?? ''))
  expect(isAlert.errors ?? []).toEqual([])
  await Promise.all([fine.close(), refusing.close(), failing.close()])
})

test('when all take it the exit code is 0; without a receiver it is 2, and it says what is missing', async () => {
  const soc = await receiver()
  expect((await exportTest({ webhooks: [{ name: 'soc', url: soc.url }] })).code).toBe(0)
  await soc.close()
  const { code, stderr } = await exportTest({})
  expect([code, stderr]).toEqual([2, expect.stringContaining('exporters.webhooks')])
})

test('a secret that is not there is named, and nothing is sent', async () => {
  const url = `${'$'}{env:NIGHTJAR_NO_SUCH_VARIABLE}`
  const { code, stderr } = await exportTest({ webhooks: [{ name: 'soc', url }] })
  expect([code, stderr]).toEqual([
    2,
    'nightjar: exporters.webhooks, "soc": url: found no environment variable NIGHTJAR_NO_SUCH_VARIABLE, expected one that is set\n',
  ])
})
