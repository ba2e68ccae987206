/**
 * In a pod: a web server with a hole. GET /sh?command=... runs a shell, as whoever exploits it would, and answers with
 * the time just before.
 */
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'

const shells: Record<string, string> = { '/sh': 'sh', '/bash': 'bash' }

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://storefront')
  const shell = shells[pathname]
  const command = searchParams.get('command')
  if (shell === undefined || command === null) return response.writeHead(404).end()
  const at = Date.now()
  spawn(shell, ['-c', command], { stdio: 'ignore' })
  response.end(JSON.stringify({ at }))
})
server.listen(8080)
process.on('SIGTERM', () => process.exit(0))
