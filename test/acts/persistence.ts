/** Acts for the rules of the pack persistence. */
import type { Act } from './act.ts'
import { called, copied, emptied } from './pieces.ts'

/** A layer over a directory, which the rest of the machine doesn't see: what is written there is gone with it. */
const own = (directory: string) =>
  `mount -t tmpfs none /mnt; mkdir /mnt/u /mnt/w; mount -t overlay none -o lowerdir=${directory},upperdir=/mnt/u,workdir=/mnt/w ${directory}`
/** A file is made, or what there is stays as it is, in a directory of one's own. */
const written = (directory: string, path: string) => `${own(directory)}; mkdir -p "$(dirname ${path})"; : >> ${path}`
/** The same where nothing else is needed of the directory. */
const made = (directory: string, path: string) => `${emptied(directory)}; mkdir -p "$(dirname ${path})"; : > ${path}`

export const acts: Act[] = [
  {
    rule: 'host-startup-changed',
    script: 'd=$(mktemp -d /var/tmp/nightjar-act.XXXXXX); mkdir -p $d/etc/cron.d; : > $d/etc/cron.d/x; rm -r $d',
  },
  { rule: 'cron-job-written', script: written('/etc', '/etc/cron.d/x') },
  { rule: 'shell-startup-changed', script: made('/root', '/root/.bashrc') },
  { rule: 'authorized-keys-changed', script: made('/root', '/root/.ssh/authorized_keys') },
  { rule: 'preload-file-changed', script: written('/etc', '/etc/ld.so.preload') },
  { rule: 'dynamic-loader-changed', script: written('/usr/lib', '/usr/lib/x/ld-musl-x86_64.so.1') },
  { rule: 'library-changed', script: written('/usr/lib', '/usr/lib/libx.so') },
  { rule: 'service-changed', script: written('/etc', '/etc/systemd/system/x.service') },
  { rule: 'node-startup-changed', host: true, script: written('/etc', '/etc/cron.d/x') },
  { rule: 'login-configuration-changed', script: written('/etc', '/etc/pam.d/x') },
  { rule: 'sudoers-changed', script: written('/etc', '/etc/sudoers.d/x') },
  { rule: 'password-file-changed', script: written('/etc', '/etc/shadow') },
  { rule: 'account-changed', script: written('/etc', '/etc/passwd') },
  { rule: 'account-tool-in-container', script: called('useradd', 'x') },
  { rule: 'system-program-changed', script: written('/usr/local/bin', '/usr/local/bin/x') },
  { rule: 'node-program-changed', host: true, script: written('/usr/sbin', '/usr/sbin/x') },
  { rule: 'login-record-changed', script: made('/var/log', '/var/log/wtmp') },
  { rule: 'log-cleared', script: made('/var/log', '/var/log/auth.log') },
  { rule: 'shell-history-cleared', script: made('/root', '/root/.bash_history') },
  { rule: 'package-database-changed', script: written('/var/lib/dpkg', '/var/lib/dpkg/info/x.md5sums') },
  { rule: 'package-source-changed', script: written('/etc', '/etc/apt/sources.list.d/x.list') },
  { rule: 'hidden-entry-made', script: `${emptied('/tmp')}; mkdir /tmp/.x` },
  { rule: 'device-directory-changed', script: `${emptied('/dev')}; mkdir /dev/x` },
  { rule: 'file-made-in-dev', why: 'The rule is not enabled as shipped.' },
  { rule: 'entry-point-changed', script: made('/mnt', '/mnt/entrypoint.sh') },
  {
    rule: 'web-shell-written',
    script: `${emptied('/mnt')}; ${emptied('/srv')}; mkdir /srv/www; ${copied('sh', '/mnt/php')}; /mnt/php -c ': > /srv/www/x.php'`,
  },
  { rule: 'static-pod-written', script: written('/etc', '/etc/kubernetes/manifests/x.yaml') },
  { rule: 'security-service-stopped', script: called('systemctl', 'stop auditd') },
  { rule: 'selinux-switched', script: made('/mnt', '/mnt/sys/fs/selinux/enforce') },
  { rule: 'firewall-flushed', script: called('nft', 'flush ruleset') },
  { rule: 'immutable-flag-changed', script: called('chattr', '+i /x') },
  { rule: 'interpreter-hook-written', script: made('/mnt', '/mnt/sitecustomize.py') },
  {
    rule: 'backdoored-library-opened',
    script: `${made('/mnt', '/mnt/liblzma.so.5.6.1')}; cat /mnt/liblzma.so.5.6.1`,
  },
]
