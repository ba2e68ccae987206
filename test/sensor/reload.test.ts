/** `nightjar run` told to read its files anew, with a program of the test in bpftrace's place. */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { records } from '../../bpf/records.ts'
import { checks } from '../../sensor/requirements.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Notes the program that it is given, and sends heartbeats. */
const standIn = (folder: string) => `#!${process.execPath}
const { appendFileSync, readFileSync } = require('node:fs')
if (process.argv.includes('--version')) {
  console.log('bpftrace v0.23.0')
  process.exit()
}
const wanted = readFileSync(0, 'utf8').includes('// ---- mkdir')
appendFileSync(${JSON.stringify(join(folder, 'programs'))}, wanted ? 'with\\n' : 'without\\n')
const beat = () => process.stdout.write(\`${records.heartbeat.tag} \${process.hrtime.bigint()}\\n\`)
beat()
setInterval(beat, 500)
`

const missing = (await checks()).filter(({ name, ok }) => ok === false && name !== 'bpftrace')

test.skipIf(missing.length > 0)(
  'a receiver that can not be set up leaves the kernel program, too, as the rules want it that stay',
  { timeout: 30_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nightjar-reload-'))
    cleanups.push(() => rmSync(folder, { recursive: true }))
    const bpftrace = join(folder, 'bpftrace')
    writeFileSync(bpftrace, standIn(folder))
    chmodSync(bpftrace, 0o755)
    const configure = (type: string, receivers: object[]) => {
      const rule = { id: 'own', name: 'Own', description: 'An act.', severity: 'low', message: 'seen', on: [type] }
      const pack = { pack: 'own', version: '1', rules: [{ ...rule, when: { 'process.name': 'own' } }] }
      writeFileSync(join(folder, 'own.json'), JSON.stringify(pack))
      const config = { watchFiles: false, builtinRules: false, exporters: { webhooks: receivers } }
      writeFileSync(join(folder, 'config.yaml'), JSON.stringify({ ...config, rules: [join(folder, 'own.json')] }))
    }
    configure('mkdir', [])

    const main = join(import.meta.dirname, '../../sensor/main.ts')
    const args = [main, 'run', '--config', join(folder, 'config.yaml'), '--metrics', '127.0.0.1:0']
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` }
    const sensor = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const ended = new Promise((resolve) => sensor.once('exit', resolve))
    cleanups.push(() => {
      sensor.kill('SIGTERM')
      return ended
    })
    const said = (text: string) =>
      new Promise<void>((resolve, reject) => {
        lines.on('line', (line) => line.includes(text) && resolve())
        lines.once('close', () => reject(new Error(`it ended before it said: ${text}`)))
      })
    const lines = createInterface(sensor.stderr)
    await said('"watching"')
    configure('exec', [{ name: 'soc', url: 'https://soc.example', secretFile: join(folder, 'none') }])
    const refused = said('not reloaded')
    sensor.kill('SIGHUP')
    await refused
    expect(readFileSync(join(folder, 'programs'), 'utf8').trim().split('\n').at(-1)).toBe('with')
  },
)
