/** The other end of a reverse shell: a real TCP server that gives a shell its orders. */
import { createServer } from 'node:net'

export interface Attacker {
  readonly port: number
  /** What the shell answered, all connections together. */
  heard(): string
  close(): Promise<void>
}

/** Sends `orders` to whoever connects, and hangs up when the shell is done or after 5 s. */
export function startAttacker(orders: string): Promise<Attacker> {
  let heard = ''
  const server = createServer((socket) => {
    socket.setTimeout(5000, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (data) => {
      heard += data.toString('latin1')
      if (/owned-by-\d/.test(heard)) socket.end() // an interactive shell repeats the order itself first
    })
    socket.write(orders)
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve({
        port: typeof address === 'object' && address ? address.port : 0,
        heard: () => heard,
        close: () => new Promise((closed) => server.close(() => closed())),
      })
    })
  })
}
