/**
 * The image's root file system, as `npm run image` writes it, run as the chart runs it: read-only, in its own mount and
 * network namespaces, with the documented capabilities and no others, by its own bpftrace. It needs no shell for that.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import { startAttacker } from './attacker.ts'
import { reverseShells } from './reverse-shells.ts'
import { act, type Journal, journal, kernelTest, output } from './sensor.ts'

const image = process.env.NIGHTJAR_IMAGE_ROOT ?? ''
const imageTest = image !== '' || process.env.CI === 'true' ? kernelTest : kernelTest.skip
if (image === '')
  process.stderr.write('not run, for want of NIGHTJAR_IMAGE_ROOT (npm run image -- DIR): test/e2e/image\n')

const documented = ['bpf', 'perfmon']

/**
 * What a container runtime does, but for the cgroup: devices, /sys and a read-only root. Every shell is a program that does
 * nothing. (That there is one counts: bpftrace 0.23 asks /bin/sh where clang has its headers, does without an answer, and
 * crashes if there is nothing to ask.)
 */
const enter = `root=$1 bounding=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for shell in dash bash; do mount --bind "$root/usr/bin/false" "$root/usr/bin/$shell"; done
mount --rbind /proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /sys/kernel/tracing "$root/sys/kernel/tracing"
mount -o remount,bind,ro "$root/sys/kernel/tracing"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t tmpfs tmpfs "$root/tmp"
ip link set lo up
exec chroot "$root" setpriv --no-new-privs --inh-caps=-all --bounding-set="$bounding" "$@"`

/** A command of the image; the process is the command itself, as each step executes the next. */
function inImage(capabilities: string[], ...command: string[]): ChildProcess {
  const bounding = ['-all', ...capabilities.map((name) => `+${name}`)].join()
  const arguments_ = ['--mount', '--net', 'sh', '-ec', enter, 'sh', image, bounding, ...command]
  return spawn('unshare', arguments_, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH } })
}

const pack = '/opt/nightjar/rules/packs/nightjar.json'
const run = ['nightjar', 'run', '--output', 'json', '--no-builtin-rules', '--rules', pack]

describe('the sensor of the image', () => {
  let child: ChildProcess
  let ended: Promise<number | null>
  const alerts = journal<Alert>()
  const log: Journal<{ msg: string }> & { add(line: { msg: string }): void } = journal()

  beforeAll(async () => {
    if (image === '') return
    child = inImage(documented, ...run)
    ended = new Promise((resolve) => child.once('close', resolve))
    if (!child.stdout || !child.stderr) throw new Error('no pipes')
    createInterface(child.stdout).on('line', (line) => alerts.add(JSON.parse(line)))
    createInterface(child.stderr).on('line', (line) => log.add(line.startsWith('{') ? JSON.parse(line) : { msg: line }))
    await log.first(({ msg }) => msg === 'watching', 45_000)
  })
  afterAll(async () => {
    child?.kill('SIGTERM')
    await ended
  })

  imageTest('alerts a reverse shell', async () => {
    const attacker = await startAttacker('exit\n')
    const [shell] = reverseShells
    await act('timeout', ['10', shell?.command ?? '', ...(shell?.args(attacker.port, '/tmp') ?? [])])
    await attacker.close()
    const isOurs = ({ rule, process }: Alert) =>
      rule.id === 'reverse-shell' && process?.stdin?.peer?.port === attacker.port
    const alert = await alerts.first(isOurs)
    expect(alert).toMatchObject({
      severity: 'critical',
      process: { name: 'bash', stdin: { peer: { ip: '127.0.0.1' } } },
    })
  })

  imageTest('alerts access to the metadata service', async () => {
    const script = `ip link set lo up && ip addr add 169.254.169.254/32 dev lo && exec python3 -c '
import socket; socket.socket().connect_ex(("169.254.169.254", 80))' from-the-image-test`
    await act('unshare', ['--net', 'sh', '-ec', script])
    const alert = await alerts.first(({ process }) => process?.command_args?.includes('from-the-image-test') === true)
    expect(alert).toMatchObject({
      rule: { id: 'metadata-service-access' },
      destination: { ip: '169.254.169.254', port: 80 },
    })
  })

  imageTest('alerts a server that starts a shell', async () => {
    const server =
      'import socket,subprocess;s=socket.socket();s.bind(("127.0.0.1",0));s.listen();subprocess.run("exit 31",shell=True)'
    await act('python3', ['-c', server])
    const alert = await alerts.first(({ process }) => process?.command_line?.includes('exit 31') === true)
    expect(alert).toMatchObject({ rule: { id: 'unexpected-child-process' }, process: { name: 'dash' } })
  })

  imageTest('lost nothing, and stops in good order', async () => {
    expect(log.all.filter(({ msg }) => msg.includes('gone'))).toEqual([])
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(await log.first(({ msg }) => msg === 'stopping')).toMatchObject({ lost_events: 0 })
  })
})

imageTest('its bpftrace is 0.23', async () => {
  expect(await output(inImage(documented, 'bpftrace', '--version'))).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^bpftrace v0\.23\./),
  })
})

for (const kept of documented)
  imageTest(`with ${kept} alone it can not watch, and says so: both capabilities are needed`, async () => {
    const { code, stderr } = await output(inImage([kept], ...run, '--duration', '30s'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/bpftrace could not be started|not permitted|EPERM|CAP_/)
  })
