/** What the scripts of acts are made of. Nothing here outlives the namespaces that a script runs in. */

/** An empty file system in place of a directory, which the rest of the machine doesn't see. */
export const emptied = (directory: string) => `mount -t tmpfs none ${directory}`

/** A file with a word in it, and the directories above it; below a directory that has been emptied. */
export const file = (path: string) => `mkdir -p "$(dirname ${path})"; echo word > ${path}`

/** The token of a pod, as the kubelet mounts it. */
export const token = '/run/secrets/kubernetes.io/serviceaccount/..2026_01_01_00_00_00.1/token'
export const withToken = `${emptied('/run')}; ${file(token)}`

/** A program of another name: a copy of one of the machine's. */
export const copied = (program: string, path: string) => `mkdir -p "$(dirname ${path})"; cp /usr/bin/${program} ${path}`

/** Does nothing, under a name that a rule knows. */
export const called = (name: string, args = '') =>
  `${emptied('/mnt')}; ${copied('true', `/mnt/${name}`)}; /mnt/${name} ${args}`

/** /mnt/m is an overlay: what is made in it is in the upper layer, and not in an image. */
export const layered =
  'mount -t tmpfs none /mnt; mkdir /mnt/l /mnt/u /mnt/w /mnt/m; mount -t overlay none -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m'

/** The network namespace has these addresses itself: nothing leaves it. */
export const withAddress = (...addresses: string[]) =>
  ['ip link set lo up', ...addresses.map((address) => `ip addr add ${address} dev lo`)].join('; ')

/** A program with that path opens a TCP connection, which is refused: bash, under that name. */
export const connects = (path: string, ip: string, port: number) =>
  `${copied('bash', path)}; ${path} -c 'true 3<>/dev/tcp/${ip}/${port}' || true`

/** Code for the machine's own Python. */
export const python = (...lines: string[]) => `/usr/bin/python3 -c '${lines.join('\n')}'`

/** Defines ask(name, type, server): sends a DNS question (RFC 1035, 4.1), to nobody who would answer. */
export const ask = [
  'import socket,struct',
  'def ask(name,kind=1,server="127.0.0.1"):',
  ' s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)',
  ' labels=b"".join(bytes([len(l)])+l.encode() for l in name.split("."))',
  ' s.sendto(struct.pack(">6H",1,256,1,0,0,0)+labels+b"\\0"+struct.pack(">2H",kind,1),(server,53))',
]
