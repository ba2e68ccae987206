/**
 * `nightjar rules lint|test|list [PATH...]`, `explain ID [PATH...]`, `fields`: checks, proves, lists and explains rules.
 * No path: the packs that are shipped.
 */
import { Command, CommanderError, Option } from 'commander'
import { explain, fieldsOf, interestOf } from '../../rules/explain.ts'
import { fields } from '../../rules/fields.ts'
import { inJson, sentForRule } from '../../rules/kernel.ts'
import { lint } from '../../rules/lint.ts'
import { builtinPacks, loadBeside } from '../../rules/load.ts'
import { operatorsFor } from '../../rules/operators.ts'
import { phaseInWords } from '../../rules/phase.ts'
import { nearest, RuleError } from '../../rules/problem.ts'
import { type Proof, prove } from '../../rules/prove.ts'
import type { Rule, RuleSet } from '../../rules/rule.ts'
import { inWords, typesInWords, valuesBeside } from '../../rules/words.ts'

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

interface ListOutput extends Output {
  tags?: true
  tag?: string
}

/** A technique stands for its sub-techniques too: T1059 for T1059.004. */
const hasTag = ({ tags }: Rule, tag: string): boolean =>
  Object.values(tags)
    .flat()
    .some((one) => one.toLowerCase() === tag.toLowerCase() || one.toLowerCase().startsWith(`${tag.toLowerCase()}.`))

async function runList(paths: string[], options: ListOutput): Promise<void> {
  const ruleSet = await rulesOf(paths)
  if (ruleSet === undefined) return
  const wanted = ruleSet.rules.filter((rule) => options.tag === undefined || hasTag(rule, options.tag))
  const summaries = wanted.map(({ id, name, severity, on, enabled, tags, pack, version, file }: Rule) => {
    return { id, name, severity, on, enabled, tags, pack, version, file }
  })
  const width = Math.max(0, ...summaries.map(({ id }) => id.length))
  print(summaries, options, ({ id, name, severity, on, enabled, tags, pack, version }) => {
    const state = enabled ? '' : ' (not enabled)'
    const tagged = options.tags ? `  [${Object.values(tags).flat().join(', ')}]` : ''
    return `${id.padEnd(width)}  ${severity.padEnd('critical'.length)}  ${name}, on ${on.join(', ')}, ${pack} ${version}${state}${tagged}`
  })
}

async function runExplain(id: string, paths: string[], options: Output): Promise<void> {
  const ruleSet = await rulesOf(paths)
  if (ruleSet === undefined) return
  const rule = ruleSet.rules.find((one) => one.id === id || `${one.pack}/${one.id}` === id)
  if (rule === undefined) {
    const ids = ruleSet.rules.map((one) => one.id)
    const near = nearest(id, ids)
    const hint = near === undefined ? 'nightjar rules list shows them' : `did you mean ${near}?`
    process.stderr.write(`found no rule ${JSON.stringify(id)}, expected the id of a rule (${hint})\n`)
    process.exitCode = 2
    return
  }
  const asked = fieldsOf(rule).map(({ name, type, description }) => ({ name, type, description }))
  const facts = {
    id: rule.id,
    name: rule.name,
    pack: rule.pack,
    severity: rule.severity,
    enabled: rule.enabled,
    on: rule.on,
    condition: inWords(rule.when).join('\n'),
    fields: asked,
    interest: interestOf(rule),
    ...(rule.phase && { phase: phaseInWords(rule.phase) }),
    kernel: sentForRule(rule).map(inJson),
    changed_by: rule.changedBy,
  }
  print([facts], options, () => explain(rule))
}

function runFields(options: Output): void {
  const rows = [...fields.values()].map((field) => {
    const { name, type, multiple, description, values, eventTypes } = field
    const asked = operatorsFor(field).map((operator) => operator.name)
    return { name, type, multiple, description, ...(values && { values }), event_types: eventTypes, operators: asked }
  })
  const width = Math.max(...rows.map(({ name }) => name.length))
  print(rows, options, ({ name, type, multiple, description, values, event_types }) => {
    const kind = `${type}${multiple ? '*' : ''}`.padEnd('boolean* '.length)
    const choice = valuesBeside({ description, values })
    const told = choice.length > 0 ? ` One of ${choice.join(', ')}.` : ''
    return `${name.padEnd(width)}  ${kind} ${typesInWords(event_types).padEnd('every event but gap, posture'.length)}  ${description}${told}`
  })
  if (options.output === 'pretty') process.stdout.write('* several values: any of them will do\n')
}

const subcommands: readonly [string, string, (paths: string[], options: Output) => Promise<void>][] = [
  ['lint', 'check rule packs; exit 1 with warnings, 2 with errors', runLint],
  ['test', 'run the tests that the rules carry; exit 1 if one fails', runTest],
  ['list', 'list the rules', runList],
]

const outputOption = () =>
  new Option('--output <format>', 'one JSON object a line, or words').choices(['json', 'pretty']).default('pretty')
const paths = ['[path...]', 'rule packs (*.json) or folders of them; none: the packs that are shipped'] as const

/** The command, to be added to the program's. Bad usage throws a CommanderError with exit code 2, help one with 0. */
export function rulesCommand(): Command {
  const command = new Command('rules').description('check, test, list and explain rules').exitOverride((error) => {
    throw error.exitCode === 0 ? error : new CommanderError(2, error.code, error.message)
  })
  // A reader that has seen enough (`| head`) is no failure.
  command.hook('preAction', () => {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit()
    })
  })
  for (const [name, description, run] of subcommands) {
    const one = command
      .command(name)
      .description(description)
      .argument(...paths)
      .addOption(outputOption())
      .action(run)
    if (run !== runList) continue
    one.option('--tags', 'show the tags of each rule')
    one.option('--tag <tag>', 'only rules with this tag, such as T1059 or NHI5:2025')
  }
  command
    .command('explain')
    .description('a rule in words: what it looks for, its fields, what the sensor has to see for it, its cost')
    .argument('<id>', 'the id of the rule, or <pack>/<id>')
    .argument(...paths)
    .addOption(outputOption())
    .action(runExplain)
  command
    .command('fields')
    .description('the fields that a rule may name: type, event types that carry them, meaning')
    .addOption(outputOption())
    .action(runFields)
  return command
}
