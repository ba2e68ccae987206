/** Acts for the rules of the pack impact. What is called by the name of a destructive program is a copy of `true`. */
import type { Act } from './act.ts'
import { called, copied, emptied, python } from './pieces.ts'

/** One after the other, from 1 on. */
const repeatedly = (times: number, act: string) => `for i in $(seq ${times}); do ${act}; done`
/** That many directories below /srv, each with a file. */
const data = (directories: number) => `${emptied('/srv')}; ${repeatedly(directories, 'mkdir /srv/$i; : > /srv/$i/f')}`

export const acts: Act[] = [
  { rule: 'miner-started', script: called('xmrig') },
  { rule: 'miner-prepared', script: ': >> /proc/sys/vm/nr_hugepages' },
  { rule: 'rival-miners-ended', script: called('pkill', '-f xmrig') },
  { rule: 'bandwidth-sold', script: called('earnapp') },
  { rule: 'data-shredded', script: called('shred', '-u /x') },
  { rule: 'disk-wiped', script: called('dd', 'if=/dev/zero of=/dev/sda') },
  { rule: 'system-deleted', script: called('rm', '-rf /data') },
  { rule: 'data-deleted-in-bulk', script: `${data(20)}; rm /srv/*/f` },
  {
    rule: 'files-renamed-as-ransomware-does',
    script: `${data(10)}; ${python('import os', 'for i in range(1,11): os.rename(f"/srv/{i}/f",f"/srv/{i}/f.locked")')}`,
  },
  {
    rule: 'data-renamed-in-bulk',
    script: `${data(20)}; ${python('import os', 'for i in range(1,21): os.rename(f"/srv/{i}/f",f"/srv/{i}/g")')}`,
  },
  { rule: 'ransom-note-written', script: `${emptied('/mnt')}; : > /mnt/HOW_TO_DECRYPT.txt` },
  {
    rule: 'files-encrypted-one-by-one',
    script: `${emptied('/mnt')}; ${copied('true', '/mnt/openssl')}; ${repeatedly(8, '/mnt/openssl enc -in /mnt/$i')}`,
  },
  {
    rule: 'services-stopped-in-bulk',
    script: `${emptied('/mnt')}; ${copied('true', '/mnt/systemctl')}; ${repeatedly(6, '/mnt/systemctl stop x$i')}`,
  },
  {
    rule: 'reboot-from-container',
    // Without the magic numbers (reboot(2)) the kernel does nothing but answer EINVAL.
    script: python(
      'import ctypes,platform',
      'ctypes.CDLL(None).syscall(169 if platform.machine()=="x86_64" else 142,0,0,0,0)',
    ),
  },
  {
    rule: 'sysrq-opened',
    // Not every kernel has it: a file in its place.
    script: `${emptied('/mnt')}; mkdir /mnt/proc; : > /mnt/proc/sysrq-trigger`,
  },
  {
    rule: 'cgroup-frozen',
    script: `f=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.freeze; : >> "$f"`,
  },
  { rule: 'cluster-objects-deleted', script: called('kubectl', 'delete ns x') },
  { rule: 'cloud-data-deleted', script: called('aws', 's3 rm s3://x --recursive') },
  { rule: 'backups-deleted', script: called('restic', 'forget --prune') },
  { rule: 'database-dropped', script: called('redis-cli', 'FLUSHALL') },
  { rule: 'flood-tool-started', script: called('hping3') },
  { rule: 'web-page-replaced', script: `${emptied('/srv')}; mkdir /srv/www; : > /srv/www/index.html` },
  { rule: 'clock-set', why: 'The clock is the whole machine’s.' },
]
