/** In a pod: the SOC's webhook. One JSON line on stdout for each delivery. */
import { createServer } from 'node:http'

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  if (request.method === 'POST') {
    const delivery = { arrived: Date.now(), headers: request.headers, body: Buffer.concat(chunks).toString('utf8') }
    process.stdout.write(`${JSON.stringify(delivery)}\n`)
  }
  response.writeHead(204).end()
})
server.listen(8080)
process.on('SIGTERM', () => process.exit(0))
