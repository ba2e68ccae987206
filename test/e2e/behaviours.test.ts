import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import type { Alert } from '../../sensor/alert.ts'
import { act, kernelTest, type Sensor, settled, startSensor } from './sensor.ts'

let sensor: Sensor
const directory = mkdtempSync(join(tmpdir(), 'nightjar-behaviours-'))
beforeAll(async () => {
  sensor = await startSensor()
})
afterAll(async () => {
  await sensor?.stop()
  rmSync(directory, { recursive: true })
})

/** In a network namespace of its own, which owns the address itself: nothing leaves the machine. */
const connectInNamespace = (ip: string, how: string, marker: string) => {
  const family = ip.includes(':') ? '-6' : '-4'
  const prefix = ip.includes(':') ? 128 : 32
  const script = `ip link set lo up && ip ${family} addr add ${ip}/${prefix} dev lo && python3 -c "$1" "$2" "$3"`
  return act('unshare', ['--net', 'sh', '-ec', script, 'sh', how, ip, marker])
}
const connects: Record<string, string> = {
  'a plain connect':
    'import socket,sys;socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET).connect_ex((sys.argv[1],80))',
  'a non-blocking connect':
    'import socket,sys;s=socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET);s.setblocking(False);s.connect_ex((sys.argv[1],80))',
}

describe('metadata-service access', () => {
  for (const ip of [
    '169.254.169.254',
    'fd00:ec2::254',
    '169.254.170.2',
    '100.100.100.200',
    '168.63.129.16',
    'fd20:ce::254',
  ])
    for (const [how, script] of Object.entries(connects))
      kernelTest(`${ip} by ${how} raises one alert with the address that the kernel used`, async () => {
        const marker = `${ip} ${how}`
        await connectInNamespace(ip, script, marker)
        const mine = ({ rule, process }: Alert) =>
          rule.id === 'metadata-service-access' && process?.command_args?.at(-1) === marker
        // The same program and address within the window are one alert: the first way of connecting tells.
        if (how === 'a plain connect') {
          const alert = await sensor.alerts.first(mine)
          expect(alert.destination).toEqual({ ip, port: 80 })
          expect(alert.process?.name).toMatch(/^python3/)
        }
        await settled(sensor)
        expect(sensor.alerts.all.filter(({ destination }) => destination?.ip === ip)).toHaveLength(1)
      })

  kernelTest('an IPv4 address in an IPv6 socket is still the same address', async () => {
    const script = 'import socket,sys;socket.socket(socket.AF_INET6).connect_ex(("::ffff:169.254.42.42",80))'
    await connectInNamespace('169.254.42.42', script, 'mapped')
    const alert = await sensor.alerts.first(({ process }) => process?.command_args?.at(-1) === 'mapped')
    expect(alert.destination?.ip).toBe('169.254.42.42')
  })
})

describe('unexpected child process', () => {
  const server = (child: string) =>
    `import socket,subprocess;s=socket.socket();s.bind(("127.0.0.1",0));s.listen();subprocess.run(${child})`

  kernelTest('a listening Python program that starts a shell', async () => {
    await act('python3', ['-c', server('"exit 21",shell=True')])
    const alert = await sensor.alerts.first(({ process }) => process?.command_line?.includes('exit 21') === true)
    expect(alert.rule.id).toBe('unexpected-child-process')
    expect(alert.process?.name).toBe('dash')
    expect(alert.process?.ancestors?.[0]?.listening?.port).toBeGreaterThan(0)
  })

  kernelTest('a listening Node program that starts a downloader', async () => {
    const script =
      'require("net").createServer().listen(0,"127.0.0.1",()=>{require("child_process").spawnSync("wget",["--version"]);process.exit()})'
    await act('node', ['-e', script])
    const alert = await sensor.alerts.first(({ process }) => process?.name === 'wget')
    expect(alert.rule.id).toBe('unexpected-child-process')
    expect(alert.process?.ancestors?.[0]?.name).toMatch(/^node/)
  })

  kernelTest('the same program without a listening socket is a tool, and may start a shell', async () => {
    await act('python3', ['-c', 'import subprocess;subprocess.run("exit 22",shell=True)'])
    await settled(sensor)
    expect(sensor.alerts.all.filter(({ process }) => process?.command_line?.includes('exit 22'))).toEqual([])
  })

  kernelTest('is named by the file that runs, not by what it calls itself', async () => {
    const script =
      'import socket,os;s=socket.socket();s.bind(("127.0.0.1",0));s.listen();p=os.fork();p or os.execv("/bin/bash",["harmless","-c","exit 23"]);os.wait()'
    await act('python3', ['-c', script])
    const alert = await sensor.alerts.first(({ process }) => process?.command_line === 'harmless -c exit 23')
    expect(alert.process?.name).toBe('bash')
    expect(alert.process?.executable?.path).toBe('/usr/bin/bash')
  })
})

describe('ordinary network programs raise nothing', () => {
  kernelTest('a shell pipeline with a network client in it, and a script fed to a shell', async () => {
    writeFileSync(join(directory, 'script'), 'true\n')
    const before = sensor.alerts.all.length
    await act('sh', ['-c', `sh < ${directory}/script | cat > ${directory}/out`])
    await act('sh', ['-c', `printf 'true\\n' | sh | cat`])
    await act('bash', ['-c', 'exec 3<>/dev/null; cat <&3 >&3'])
    await settled(sensor)
    expect(sensor.alerts.all.slice(before)).toEqual([])
  })
})
