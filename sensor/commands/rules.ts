/** `nightjar rules lint|test|list [PATH...]`: checks, proves and lists rules. No path: the packs that are shipped. */
import { Command, CommanderError, Option } from 'commander'
import { lint } from '../../rules/lint.ts'
import { builtinPacks, loadBeside } from '../../rules/load.ts'
import { RuleError } from '../../rules/problem.ts'
import { type Proof, prove } from '../../rules/prove.ts'
import type { Rule, RuleSet } from '../../rules/rule.ts'

interface Output {
  output: 'json' | 'pretty'
}

/** One line for each thing: an object in JSON, or words. stdout is for these alone. */
function print<T>(things: readonly T[], { output }: Output, inWords: (thing: T) => string): void {
  const line = output === 'json' ? (thing: T) => JSON.stringify(thing) : inWords
  for (const thing of things) process.stdout.write(`${line(thing)}\n`)
}

const pathsOrShipped = (paths: readonly string[]): readonly string[] => (paths.length > 0 ? paths : [builtinPacks()])

/** The rules; undefined if they can't be used: stderr then says why, and the exit code is 2. */
async function rulesOf(paths: readonly string[]): Promise<RuleSet | undefined> {
  try {
    return await loadBeside(pathsOrShipped(paths))
  } catch (error) {
    if (!(error instanceof RuleError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 2
    return undefined
  }
}

async function runLint(paths: string[], options: Output): Promise<void> {
  const findings = await lint(pathsOrShipped(paths))
  print(findings, options, (finding) => `${finding.severity}: ${finding.message}`)
  if (findings.length > 0) process.exitCode = findings.some((finding) => finding.severity === 'error') ? 2 : 1
}

const failure = ({ file, path, rule, test, expected, got, error }: Proof): string => {
  const why = error === undefined ? '' : ` (the rule gave up: ${error})`
  return `${file}: ${path}: rule ${rule}, test ${JSON.stringify(test)}: found ${got} alerts, expected ${expected}${why}`
}

async function runTest(paths: string[], options: Output): Promise<void> {
  const ruleSet = await rulesOf(paths)
  if (ruleSet === undefined) return
  const proofs = prove(ruleSet)
  const failed = proofs.filter((proof) => !proof.ok)
  print(options.output === 'json' ? proofs : failed, options, failure)
  if (options.output === 'pretty') {
    const passed = proofs.length - failed.length
    process.stdout.write(`${ruleSet.rules.length} rules: ${passed} tests passed, ${failed.length} failed\n`)
  }
  if (failed.length > 0) process.exitCode = 1
}

async function runList(paths: string[], options: Output): Promise<void> {
  const ruleSet = await rulesOf(paths)
  if (ruleSet === undefined) return
  const summaries = ruleSet.rules.map(({ id, name, severity, on, enabled, tags, pack, version, file }: Rule) => {
    return { id, name, severity, on, enabled, tags, pack, version, file }
  })
  const width = Math.max(0, ...summaries.map(({ id }) => id.length))
  print(summaries, options, ({ id, name, severity, on, enabled, pack, version }) => {
    const state = enabled ? '' : ' (not enabled)'
    return `${id.padEnd(width)}  ${severity.padEnd('critical'.length)}  ${name}, on ${on.join(', ')}, ${pack} ${version}${state}`
  })
}

const subcommands: readonly [string, string, (paths: string[], options: Output) => Promise<void>][] = [
  ['lint', 'check rule packs; exit 1 with warnings, 2 with errors', runLint],
  ['test', 'run the tests that the rules carry; exit 1 if one fails', runTest],
  ['list', 'list the rules', runList],
]

/** The command, to be added to the program's. Bad usage throws a CommanderError with exit code 2, help one with 0. */
export function rulesCommand(): Command {
  const command = new Command('rules').description('check, test and list rules').exitOverride((error) => {
    throw error.exitCode === 0 ? error : new CommanderError(2, error.code, error.message)
  })
  for (const [name, description, run] of subcommands) {
    command
      .command(name)
      .description(description)
      .argument('[path...]', 'rule packs (*.json) or folders of them; none: the packs that are shipped')
      .addOption(
        new Option('--output <format>', 'one JSON object a line, or words')
          .choices(['json', 'pretty'])
          .default('pretty'),
      )
      .action(run)
  }
  return command
}
