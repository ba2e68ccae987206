/** Acts for the rules of the pack credentials. */
import type { Act } from './act.ts'
import { called, copied, emptied, file, layered, python, token, withAddress, withToken } from './pieces.ts'

/** A file in a home directory of its own, read by cat. */
const readsAtHome = (path: string) => `${emptied('/root')}; ${file(path)}; cat ${path}`
/** The same below a folder that stands for the disk of the node. */
const readsOnNode = (path: string) => `${emptied('/mnt')}; ${file(`/mnt/node${path}`)}; cat /mnt/node${path}`

export const acts: Act[] = [
  { rule: 'service-account-token-read', script: `${withToken}; cat ${token}` },
  {
    rule: 'service-account-token-of-another-pod',
    script: readsOnNode(
      '/var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-x/..2026_01_01_00_00_00.1/token',
    ),
  },
  {
    rule: 'service-account-token-then-connection',
    script: `${withToken}; ${withAddress()}; cat ${token}; bash -c 'true 3<>/dev/tcp/127.0.0.1/443' || true`,
  },
  {
    rule: 'api-server-contact-by-tool',
    script: `${withAddress('10.96.0.1/32')}; bash -c 'true 3<>/dev/tcp/10.96.0.1/443' || true`,
  },
  { rule: 'control-plane-key-read', script: readsOnNode('/etc/kubernetes/admin.conf') },
  { rule: 'kubeconfig-read', script: readsAtHome('/root/.kube/config') },
  { rule: 'cloud-credentials-read', script: readsAtHome('/root/.aws/credentials') },
  { rule: 'tool-credentials-read', script: readsAtHome('/root/.docker/config.json') },
  { rule: 'ssh-private-key-read', script: readsAtHome('/root/.ssh/id_ed25519') },
  { rule: 'password-database-read', script: 'cat /etc/shadow > /dev/null' },
  {
    rule: 'mounted-secret-read',
    script: `${emptied('/mnt')}; ${file('/mnt/db/..2026_01_01_00_00_00.1/password')}; ${python('open("/mnt/db/..2026_01_01_00_00_00.1/password").read()')}`,
  },
  {
    rule: 'credential-sweep',
    script: [
      emptied('/root'),
      ...['.aws/credentials', '.kube/config', '.ssh/id_rsa', '.pgpass', '.netrc'].map((name) => file(`/root/${name}`)),
      'cat /root/.aws/credentials /root/.kube/config /root/.ssh/id_rsa /root/.pgpass /root/.netrc',
    ].join('; '),
  },
  {
    rule: 'process-environment-read',
    script: 'sleep 2 & sleep 0.2; cat "/proc/$!/environ" > /dev/null; wait',
  },
  { rule: 'environment-dump', script: 'env > /dev/null' },
  {
    rule: 'process-memory-read',
    script: 'sleep 2 & sleep 0.2; dd if="/proc/$!/mem" of=/dev/null count=0 2> /dev/null; wait',
  },
  { rule: 'shell-history-read', script: readsAtHome('/root/.bash_history') },
  { rule: 'credential-search', script: 'find /nonexistent -name id_rsa 2> /dev/null || true' },
  { rule: 'path-traversal-read', script: 'cd /usr/share; cat ../../etc/passwd > /dev/null' },
  { rule: 'link-to-credentials', script: `${emptied('/mnt')}; ln -s /etc/shadow /mnt/x` },
  { rule: 'control-plane-client', script: called('kubectl', 'version') },
  {
    rule: 'control-plane-client-by-hand',
    script: `${layered}; ${copied('true', '/mnt/m/kubectl')}; /mnt/m/kubectl version`,
  },
  {
    rule: 'files-copied-out',
    script: `${emptied('/mnt')}; ${copied('bash', '/mnt/runc')}; /mnt/runc -c 'tar cf - /etc/hostname; true' > /dev/null`,
  },
]
