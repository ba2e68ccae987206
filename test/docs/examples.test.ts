/** What the documents show is taken at its word: rule packs lint and pass their tests, configurations are read, programs run. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { webhookHeaders } from '../../exporters/signature.ts'
import { lint } from '../../rules/lint.ts'
import { loadBeside } from '../../rules/load.ts'
import { prove } from '../../rules/prove.ts'
import { parseConfig } from '../../sensor/config.ts'
import { exampleAlert } from './documents.ts'

const root = join(import.meta.dirname, '../..')
const main = join(root, 'sensor/main.ts')
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'nightjar-docs-'))
afterAll(() => rmSync(folder, { recursive: true }))

const documents = readdirSync(join(root, 'docs'))
  .filter((file) => file.endsWith('.md'))
  .map((file) => `docs/${file}`)
  .concat('README.md')

/** The fenced blocks of a language, with where they begin; a block in a list is indented. */
function blocks(language: string): { file: string; line: number; text: string }[] {
  return documents.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return [...text.matchAll(new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^\\1\`\`\`$`, 'gm'))].map((found) => ({
      file,
      line: text.slice(0, found.index).split('\n').length,
      text: (found[2] ?? '').replaceAll(new RegExp(`^${found[1]}`, 'gm'), ''),
    }))
  })
}

const packs = blocks('json').filter(
  ({ text }) => /"pack"/.test(text) && /"version"/.test(text) && !/"schema":/.test(text),
)

test('there are packs and configurations among the documents’ examples', () => {
  expect(packs.length).toBeGreaterThan(4)
  expect(configurations.length).toBeGreaterThan(8)
})

test.each(packs.map((pack): [string, string] => [`${pack.file}:${pack.line}`, pack.text]))(
  'the rule pack at %s has no errors, and its tests pass',
  async (_, text) => {
    const file = join(folder, 'pack.json')
    writeFileSync(file, text)
    // Warnings may be: of a first draft.
    expect((await lint([file])).filter(({ severity }) => severity === 'error')).toEqual([])
    expect(prove(await loadBeside([file])).filter(({ ok }) => !ok)).toEqual([])
  },
)

/** Blocks of another program's YAML (Alertmanager's routes, the chart's values) have none of these keys at the top. */
const ourKeys = ['exporters', 'kubernetes', 'rules', 'metrics', 'spiffe', 'cri', 'builtinRules']
const configurations = blocks('yaml').filter(({ text }) => ourKeys.some((key) => Object.hasOwn(parse(text) ?? {}, key)))

test.each(configurations.map((one): [string, string] => [`${one.file}:${one.line}`, one.text]))(
  'the configuration at %s is one',
  (where, text) => {
    expect(parseConfig(text, where)).toBeTypeOf('object')
  },
)

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Resolves to the status; tries again while nobody listens yet. */
async function post(port: number, body: string, headers: Record<string, string>): Promise<number> {
  for (let tries = 0; ; tries++) {
    try {
      return (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, headers })).status
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

test('the receiver in docs/soc.md takes a signed alert once, and refuses forged, altered and old ones', async () => {
  const program = blocks('python').find(({ file }) => file === 'docs/soc.md')
  const [script, secret] = [join(folder, 'receiver.py'), join(folder, 'soc.key')]
  writeFileSync(script, program?.text ?? '')
  writeFileSync(secret, `whsec_${Buffer.from('a key of twenty-four byte').toString('base64')}`)
  const key = Buffer.from('a key of twenty-four byte')
  const port = await freePort()
  const receiver: ChildProcess = spawn('python3', [script, secret, String(port)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    let said = ''
    receiver.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const body = readFileSync(exampleAlert, 'utf8')
    const headers = webhookHeaders('msg', Date.now(), body, key)
    expect(await post(port, body, headers)).toBe(204)
    expect(await post(port, body, headers)).toBe(204)
    expect(await post(port, body.replace('critical', 'info'), headers)).toBe(401)
    expect(await post(port, body, webhookHeaders('msg', Date.now(), body, Buffer.from('another')))).toBe(401)
    expect(await post(port, body, webhookHeaders('msg', Date.now() - 600_000, body, key))).toBe(401)
    expect(await post(port, body, {})).toBe(401)
    expect(said).toMatch(/^critical reverse-shell .*\n$/)
  } finally {
    receiver.kill()
    await once(receiver, 'exit')
  }
})

test('nightjar export test signs in a way that this receiver takes', async () => {
  const program = blocks('python').find(({ file }) => file === 'docs/soc.md')
  const [script, secret, config] = [join(folder, 'receiver.py'), join(folder, 'soc.key'), join(folder, 'config.json')]
  writeFileSync(script, program?.text ?? '')
  writeFileSync(secret, `whsec_${Buffer.from('a key of twenty-four byte').toString('base64')}\n`)
  const port = await freePort()
  const webhook = { name: 'soc', url: `http://127.0.0.1:${port}/`, secretFile: secret }
  writeFileSync(config, JSON.stringify({ exporters: { webhooks: [webhook] } }))
  const receiver = spawn('python3', [script, secret, String(port)], { stdio: 'ignore' })
  try {
    await post(port, '', {})
    const { stdout } = await run(process.execPath, [main, 'export', 'test', '--config', config])
    expect(stdout).toContain('delivered')
  } finally {
    receiver.kill()
    await once(receiver, 'exit')
  }
})
