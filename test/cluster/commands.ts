/** kubectl and helm, as a person runs them. */
import { execFile } from 'node:child_process'

/** Runs it to its end and returns its stdout. Rejects with the command line and all that it said. */
export type Command = (args: string[], input?: string) => Promise<string>

const within = 120_000

const command =
  (program: string): Command =>
  (args, input = '') =>
    new Promise((resolve, reject) => {
      const options = { timeout: within, killSignal: 'SIGKILL', maxBuffer: 64 << 20 } as const
      const child = execFile(program, args, options, (error, stdout, stderr) => {
        if (!error) return resolve(stdout)
        const end = error.killed ? `no end within ${within / 1000} s` : `exit code ${error.code}`
        reject(new Error(`${[program, ...args].join(' ')}: ${end}\n${stdout}${stderr}`))
      })
      child.stdin?.on('error', () => {}) // it ended before it read its input: its exit says why
      child.stdin?.end(input)
    })

export const kubectl = command('kubectl')
export const helm = command('helm')

/** An object, or a list of them, as the API server has it. */
export async function get<T>(args: string[]): Promise<T> {
  return JSON.parse(await kubectl(['get', ...args, '--output', 'json']))
}

export async function apply(objects: object[]): Promise<void> {
  await kubectl(['apply', '--filename', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
}

/** The body of an HTTP GET to a pod (`pods/name:port`) or service (`services/name:port`), by way of the API server. */
export const fetchFrom = (namespace: string, target: string, path: string): Promise<string> =>
  kubectl(['get', '--raw', `/api/v1/namespaces/${namespace}/${target}/proxy${path}`])
