/** Acts for the rules of the pack execution. */
import type { Act } from './act.ts'
import { called, copied, emptied, layered, python } from './pieces.ts'

export const acts: Act[] = [
  {
    rule: 'terminal-shell-in-container',
    script: `${python('import pty', 'pty.spawn(["sh","-c","sleep 0.2"])')} < /dev/null`,
  },
  { rule: 'netcat-shell', script: 'nc.traditional -e /bin/true 127.0.0.1 9 2> /dev/null || true' },
  { rule: 'terminal-upgrade', script: 'script -qc true /dev/null < /dev/null' },
  {
    rule: 'downloaded-code-executed',
    script: 'wget -q -O - http://127.0.0.1:9/ | { sleep 0.3; sh; }',
  },
  {
    rule: 'code-fetched-by-interpreter',
    script: `${python('import urllib.request as r;exec(r.urlopen("http://127.0.0.1:9/").read())')} 2> /dev/null || true`,
  },
  { rule: 'encoded-payload', script: `sh -c 'echo f0VMRgIBAQAAAAAA | base64 -d > /dev/null'` },
  { rule: 'decoded-payload-executed', script: 'echo dHJ1ZQo= | base64 -d | { sleep 0.3; sh; }' },
  {
    rule: 'fileless-execution',
    script: python(
      'import os',
      'fd=os.memfd_create("x")',
      'os.write(fd,open("/usr/bin/true","rb").read())',
      'os.execv("/proc/self/fd/%d"%fd,["x"])',
    ),
  },
  {
    rule: 'deleted-program-executed',
    script: `${emptied('/mnt')}; ${copied('true', '/mnt/x')}; exec 3< /mnt/x; rm /mnt/x; /proc/self/fd/3`,
  },
  {
    rule: 'execution-from-shared-memory',
    script: `${emptied('/dev/shm')}; ${copied('true', '/dev/shm/x')}; /dev/shm/x`,
  },
  { rule: 'execution-from-temporary-directory', script: `${emptied('/tmp')}; ${copied('true', '/tmp/x')}; /tmp/x` },
  { rule: 'dropped-program-executed', script: `${layered}; ${copied('true', '/mnt/m/x')}; /mnt/m/x` },
  {
    rule: 'volume-program-executed',
    script: `${layered}; ${copied('sh', '/mnt/m/sh')}; mkdir /mnt/volume; cp /usr/bin/true /mnt/volume/x; /mnt/m/sh -c '/mnt/volume/x; true'`,
  },
  { rule: 'package-manager-in-container', script: 'apt-get --version > /dev/null' },
  { rule: 'compiler-in-container', script: 'gcc --version > /dev/null' },
  { rule: 'dynamic-linker-executed', script: 'for linker in /lib*/ld-linux-*.so.*; do "$linker" /bin/true; done' },
  { rule: 'masqueraded-kernel-thread', script: `bash -c 'exec -a "[kworker/0:1]" sleep 0'` },
  { rule: 'hidden-program-executed', script: called('.x') },
  {
    rule: 'reconnaissance',
    script: 'for tool in whoami id uname hostname df lscpu uptime; do $tool > /dev/null; done',
  },
  {
    rule: 'service-account-terminal',
    host: true,
    script:
      python('import pty', 'pty.spawn(["setpriv","--reuid=65534","--clear-groups","sh","-c","sleep 0.2"])') +
      ' < /dev/null',
  },
]
