#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_MMAP_THRESHOLD_=65536 NODE_COMPILE_CACHE=/var/cache/nightjar/compiled node --disable-sigusr1 --expose-gc --no-maglev --max-semi-space-size=4 --heap-growing-percent=30
/**
 * The command line. Exit codes: 0 all well, 1 the check found something or the run failed, 2 bad usage or input.
 *
 * The first line says how memory is had, docs/sizing.md what that saves. Of the C library (mallopt(3); bpftrace inherits
 * it): one arena for all threads, and what is freed goes back to the system. Of Node: where root keeps code without its
 * types, so that the next start needs no compiler of TypeScript. Of V8: a small young generation, an old one that grows in
 * small steps, no second optimizing compiler.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { program as kernelProgram } from '../bpf/program.ts'
import { stdoutFormats } from '../exporters/stdout.ts'
import { interests } from '../rules/interests.ts'
import { loadRules, packPaths } from '../rules/load.ts'
import { RuleError } from '../rules/problem.ts'
import { addressForm, addressPattern } from './address.ts'
import { rulesCommand } from './commands/rules.ts'
import { parseDuration } from './duration.ts'
import { eventTypes } from './event.ts'
import { createLog } from './log.ts'
import { refuseDebugger } from './signals.ts'
import { UsageError } from './usage.ts'
import { version } from './version.ts'

const log = createLog()
refuseDebugger(() => log.warn({ signal: 'SIGUSR1' }, 'a debugger was asked for, and is not opened'))

const duration = (text: string): number => {
  const milliseconds = parseDuration(text)
  if (milliseconds === undefined) throw new InvalidArgumentError('expected a duration such as 500ms, 10s or 1m.')
  return milliseconds
}
const address = (text: string): string => {
  if (!new RegExp(addressPattern).test(text)) throw new InvalidArgumentError(`expected ${addressForm}.`)
  return text
}
const types = (text: string) =>
  text.split(',').map((name) => {
    const type = eventTypes.find((type) => type === name)
    if (!type) throw new InvalidArgumentError(`expected a list of ${eventTypes.join(', ')}.`)
    return type
  })
const several = (value: string, before: string[]) => [...before, value]

const rulesOption = () =>
  new Option('--rules <path>', 'a rule pack, or a folder of them, added to the shipped ones (repeatable)')
    .default([], 'none')
    .argParser(several)
const noBuiltinRules = () => new Option('--no-builtin-rules', 'do not load the shipped rule packs')
const outputOption = () =>
  new Option('--output <format>', 'alerts on stdout (default: pretty on a terminal, json otherwise)').choices(
    stdoutFormats,
  )
const configOption = () => new Option('--config <file>', 'the configuration, YAML or JSON')
const durationOption = () => new Option('--duration <time>', 'stop after this time, such as 10s').argParser(duration)

// Commands that need much (Kubernetes, HTTP) are imported when they are asked for: the others start in a third of the time.
const nightjar = new Command('nightjar')
  .description('A runtime sensor for Kubernetes nodes: what the kernel did, and which identity did it.')
  .version(version)
  .exitOverride()

nightjar
  .command('run')
  .description('the daemon: watch the kernel, judge, alert')
  .addOption(configOption())
  .addOption(rulesOption())
  .addOption(noBuiltinRules())
  .addOption(outputOption())
  .addOption(
    new Option('--metrics <address:port>', 'where /metrics, /healthz and /readyz are served').argParser(address),
  )
  .option('--record <file>', 'write the enriched event stream as a capture, too')
  .addOption(durationOption())
  .action(async (options) => (await import('./commands/run.ts')).run(options, log))

nightjar
  .command('record <file>')
  .description('write the enriched event stream as a capture')
  .addOption(configOption())
  .addOption(durationOption())
  .action(async (file, options) => (await import('./commands/events.ts')).record(file, options, log))

nightjar
  .command('replay <file>')
  .description('judge a capture; needs no privileges')
  .addOption(rulesOption())
  .addOption(noBuiltinRules())
  .addOption(outputOption())
  .option('--summary', 'in place of the alerts: for each rule how many matches, alerts, folded and excepted')
  .action(async (file, options) => (await import('./commands/replay.ts')).replay(file, options, log))

nightjar
  .command('events')
  .description('print live events as JSON lines')
  .addOption(configOption())
  .addOption(new Option('--type <types>', `a list of ${eventTypes.join(', ')}`).argParser(types))
  .addOption(durationOption())
  .action(async (options) => (await import('./commands/events.ts')).events(options, log))

nightjar.addCommand(rulesCommand())

nightjar
  .command('probe')
  .description('the kernel side')
  .command('print')
  .description('the bpftrace program for the loaded rules')
  .addOption(rulesOption())
  .addOption(noBuiltinRules())
  .action(async (options) => {
    const rules = await loadRules(packPaths(options.builtinRules, options.rules))
    process.stdout.write(kernelProgram(interests(rules.rules)))
  })

nightjar
  .command('identity [subject]')
  .description('how far a service account (NAMESPACE/NAME) reaches: rights, node, data stores; --all ranks them')
  .option('--all', 'every account, the farthest-reaching first')
  .addOption(new Option('--output <format>').choices(['json', 'pretty', 'dot', 'mermaid']).default('pretty'))
  .option('--kubeconfig <file>', 'the cluster (default: KUBECONFIG, then the service account of this pod)')
  .option('--from <path>', 'a folder or file of manifests (JSON, YAML) in place of a cluster')
  .action(async (subject, options) => (await import('./commands/identity.ts')).identity(subject, options, log))

nightjar
  .command('export')
  .description('who is told')
  .command('test')
  .description('send one sample alert to each receiver, and say what came back')
  .addOption(configOption())
  .action(async (options) => (await import('./commands/export.ts')).exportTest(options))

nightjar
  .command('doctor')
  .description('what this machine allows, and the remedy for what it does not')
  .addOption(new Option('--output <format>').choices(['json', 'pretty']).default('pretty'))
  .action(async (options) => (await import('./commands/doctor.ts')).doctor(options.output))

/** A subcommand inherits neither exitOverride nor the exit codes. */
function override(command: Command): void {
  command.exitOverride()
  for (const sub of command.commands) override(sub)
}
override(nightjar)

try {
  await nightjar.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.stderr.write(`nightjar: ${error instanceof Error ? error.message : error}\n`)
    process.exitCode = error instanceof UsageError || error instanceof RuleError ? 2 : 1
  }
}
