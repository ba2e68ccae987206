/** Acts for the rules of the pack escape. What is opened for writing is not written to. */
import type { Act } from './act.ts'
import { called, copied, emptied, layered, python } from './pieces.ts'

/** Opened as the shell does for `>>`: for writing, and left as it is. */
const opened = (path: string) => `: >> ${path}`
/** Code with the C library, whose calls answer -1 when they are refused. */
const native = (...lines: string[]) => python('import ctypes,os', 'libc=ctypes.CDLL(None)', ...lines)
/** A process to act upon, in `$pid`, which is gone in the end. */
const beside = (act: string) => `sleep 5 & pid=$!; ${act}; kill $pid`
/** bpf(BPF_PROG_LOAD) of `r0 = 0; exit`, of that type; gone with the process. */
const loads = (type: number) =>
  native(
    'import struct,platform',
    'code=ctypes.create_string_buffer(struct.pack("<BBhiBBhi",0xb7,0,0,0,0x95,0,0,0))',
    'licence=ctypes.create_string_buffer(b"GPL")',
    `a=ctypes.create_string_buffer(struct.pack("<IIQQ",${type},2,ctypes.addressof(code),ctypes.addressof(licence))+bytes(96))`,
    'call=321 if platform.machine()=="x86_64" else 280',
    'assert libc.syscall(call,5,a,120)>=0',
  )

export const acts: Act[] = [
  { rule: 'host-namespace-entered', script: 'nsenter --ipc=/proc/self/ns/ipc true' },
  { rule: 'namespace-entered', script: `unshare --net sh -c 'nsenter --net=/proc/self/ns/net true'` },
  { rule: 'user-namespace-created', script: 'unshare --user true' },
  { rule: 'namespace-created', script: 'unshare --uts true' },
  {
    rule: 'host-disk-mounted',
    script: 'mount -t "$(findmnt -n -o FSTYPE /)" "$(findmnt -n -o SOURCE /)" /mnt; umount /mnt',
  },
  { rule: 'kernel-filesystem-mounted', script: 'mount -t proc proc /mnt' },
  { rule: 'mount-in-container', script: 'mount --bind /etc /mnt' },
  {
    rule: 'cgroup-release-agent',
    script: 'f=$(find /sys/fs/cgroup -maxdepth 2 -name release_agent | head -n 1); : >> "$f"',
  },
  {
    rule: 'cgroup-devices-opened',
    script: 'f=$(find /sys/fs/cgroup -maxdepth 2 -name devices.allow | head -n 1); : >> "$f"',
  },
  { rule: 'kernel-helper-changed', script: opened('/proc/sys/kernel/core_pattern') },
  {
    rule: 'binary-format-registered',
    script: `${emptied('/mnt')}; mkdir /mnt/binfmt_misc; ${opened('/mnt/binfmt_misc/register')}`,
  },
  { rule: 'kernel-guard-lowered', script: opened('/proc/sys/kernel/kptr_restrict') },
  { rule: 'kernel-internals-read', script: 'head -n 1 /proc/kallsyms > /dev/null' },
  {
    rule: 'kernel-interface-opened',
    script: `${emptied('/sys/kernel/debug')}; ${opened('/sys/kernel/debug/x')}`,
  },
  // Under its name, but with the numbers of /dev/null.
  { rule: 'kernel-memory-opened', script: `${emptied('/dev')}; mknod /dev/mem c 1 3; true < /dev/mem` },
  // Under a disk's name, but with the numbers of a loop device.
  { rule: 'host-disk-opened', script: `${emptied('/dev')}; mknod /dev/sda b 7 0; true < /dev/sda` },
  {
    rule: 'runtime-socket-connected',
    script: `${emptied('/mnt')}; ${python(
      'import socket',
      's=socket.socket(socket.AF_UNIX)',
      's.bind("/mnt/docker.sock")',
      's.listen()',
      'socket.socket(socket.AF_UNIX).connect("/mnt/docker.sock")',
    )}`,
  },
  {
    rule: 'host-program-in-container',
    script: `${layered}; ${copied('sh', '/mnt/m/sh')}; /mnt/m/sh -c '/usr/bin/id > /dev/null; true'`,
  },
  {
    rule: 'container-file-run-on-host',
    host: true,
    script: `${emptied('/var/lib')}; ${copied('true', '/var/lib/docker/x')}; /var/lib/docker/x`,
  },
  {
    rule: 'runtime-binary-opened',
    script: 'd=$(mktemp -d /var/tmp/nightjar-act.XXXXXX); : > $d/runc; rm -r $d',
  },
  { rule: 'kernel-module-in-container', why: 'A kernel module is loaded for the whole machine.' },
  { rule: 'kernel-module-from-elsewhere', why: 'A kernel module is loaded for the whole machine.' },
  { rule: 'bpf-program-in-container', script: loads(1) },
  { rule: 'bpf-program-on-host', host: true, script: loads(6) },
  { rule: 'code-injected', script: beside('true 3<> /proc/$pid/mem') },
  {
    rule: 'traced-across-containers',
    // Out of the container's cgroup, into the topmost.
    script: `root=$(findmnt -n -t cgroup2 -o TARGET | head -n 1); sh -c 'echo 0 > "$0/cgroup.procs"; exec sleep 5' $root & pid=$!; sleep 0.5; ${native('assert libc.ptrace(0x4206,int(os.environ["pid"]),0,0)==0').replace(/^/, 'export pid; ')}; kill $pid`,
  },
  {
    rule: 'process-traced',
    script: beside(`export pid; ${native('assert libc.ptrace(0x4206,int(os.environ["pid"]),0,0)==0')}`),
  },
  { rule: 'debugger-evaded', script: native('libc.ptrace(0,0,0,0)') },
  { rule: 'packet-socket', script: python('import socket', 'socket.socket(socket.AF_PACKET,socket.SOCK_RAW)') },
  { rule: 'raw-socket', script: python('import socket', 'socket.socket(socket.AF_INET,socket.SOCK_RAW,1)') },
  { rule: 'rare-socket-family', script: python('import socket', 'socket.socket(socket.AF_VSOCK,socket.SOCK_STREAM)') },
  {
    rule: 'userfaultfd',
    script: native('import platform', 'assert libc.syscall(323 if platform.machine()=="x86_64" else 282,1)>=0'),
  },
  {
    rule: 'file-opened-by-handle',
    script: native(
      'handle=ctypes.create_string_buffer((128).to_bytes(4,"little")+bytes(132))',
      'mount=ctypes.c_int()',
      'assert libc.name_to_handle_at(-100,b"/etc/hostname",handle,ctypes.byref(mount),0)==0',
      'assert libc.open_by_handle_at(os.open("/",0),handle,0)>=0',
    ),
  },
  { rule: 'node-changing-call', script: native('libc.acct(None)') },
  { rule: 'device-made', script: `${emptied('/mnt')}; mknod /mnt/d b 8 1` },
  { rule: 'root-changed', script: 'chroot / true' },
  {
    rule: 'descriptor-taken',
    script: beside(`export pid; ${native('assert libc.syscall(438,os.pidfd_open(int(os.environ["pid"])),0,0)>=0')}`),
  },
  { rule: 'kernel-log-read', script: 'dmesg --syslog > /dev/null' },
  { rule: 'setuid-bit-set', script: `${emptied('/mnt')}; ${copied('true', '/mnt/x')}; chmod 4755 /mnt/x` },
  {
    rule: 'setuid-program-made-here',
    script: `${layered}; ${copied('true', '/mnt/m/x')}; chmod 4755 /mnt/m/x; /mnt/m/x`,
  },
  {
    rule: 'setuid-interpreter',
    script: `${emptied('/mnt')}; ${copied('bash', '/mnt/bash')}; chmod 4755 /mnt/bash; /mnt/bash -c true`,
  },
  { rule: 'interpreter-became-root', script: python('import os', 'os.seteuid(65534)', 'os.seteuid(0)') },
  { rule: 'capabilities-gained', script: python('import os', 'os.seteuid(65534)', 'os.seteuid(0)') },
  { rule: 'capability-given-to-file', script: called('setcap', 'cap_setuid+ep /x') },
  { rule: 'privilege-tool-in-container', script: called('sudo', '-l') },
  {
    rule: 'pkexec-without-arguments',
    script: `${emptied('/mnt')}; ${copied('true', '/mnt/pkexec')}; ${native(
      'libc.execv(b"/mnt/pkexec",(ctypes.c_char_p*2)(b"",None))',
    )}`,
  },
  { rule: 'sudo-exploited', script: called('sudo', '-u#-1 id') },
  { rule: 'filesystem-debugger', script: called('debugfs') },
  {
    rule: 'privileged-container-started',
    script: `${emptied('/mnt')}; ${copied('sh', '/mnt/runc')}; /mnt/runc -c 'id > /dev/null; true'`,
  },
  { rule: 'escape-refused', script: 'setpriv --reuid=65534 --clear-groups unshare --mount true 2> /dev/null || true' },
]
