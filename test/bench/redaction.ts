/**
 * What redaction costs an alert, beside writing it as JSON: `npm run bench:redaction`, `--quick`, `--json FILE`.
 *
 * Ordinary command lines, each with eight parents; then texts that are all beginnings of secrets, and processes whose
 * arguments are all different secrets, in growing sizes: the time must grow as they do.
 */
import { redactor } from '../../exporters/redaction.ts'
import { ordinaryCommands } from '../exporters/ordinary-commands.ts'
import { sampleAlert } from '../exporters/sample.ts'
import { type Figure, options, tell } from './figures.ts'

const redact = redactor({}, () => {})
const process = (line: string) => ({
  pid: 1,
  name: 'app',
  executable: { path: '/usr/bin/app' },
  command_args: line.split(' '),
  command_line: line,
})
const alerts = ordinaryCommands.map((message, at) => {
  const ancestors = Array.from({ length: 8 }, (_, up) => process(ordinaryCommands.at(at - up) ?? message))
  return sampleAlert({ message, process: { ...process(message), ancestors } })
})

/** Microseconds of one call. */
function cost(times: number, work: (round: number) => unknown): number {
  const began = performance.now()
  for (let round = 0; round < times; round++) work(round)
  return ((performance.now() - began) * 1000) / times
}
const alert = (round: number) => alerts[round % alerts.length]

const { quick, json } = options()
const times = quick ? 300 : 3000
const figures: Figure[] = []

for (const warm of [true, false]) {
  const writing = cost(times, (round) => JSON.stringify(alert(round)))
  const redacting = cost(times, (round) => redact(alert(round) ?? sampleAlert()))
  if (warm) continue
  figures.push({
    what: 'redact an alert with eight parents',
    figure: 'us',
    value: redacting,
    baseline: { what: 'writing it as JSON', value: writing },
    target: '<= 1,000',
  })
}

const [small, large] = [65_536, quick ? 262_144 : 1_048_576]
const beginnings = ['password', 'eyJ', '://a:', 'authorization: ', '"password":"', 'bearer ', 'mysql -p', "'", 'a:a@']
const [slowest] = beginnings
  .map((piece) => {
    const [ofSmall = 0, ofLarge = 0] = [small, large].map((size) => {
      const message = piece.repeat(size / piece.length)
      return cost(3, () => redact(sampleAlert({ message }))) / 1000
    })
    return { piece, ofLarge, ifLinear: (ofSmall * large) / small }
  })
  .toSorted((one, other) => other.ofLarge - one.ofLarge)
if (slowest) {
  const { piece, ofLarge, ifLinear } = slowest
  figures.push({
    what: `redact ${large / 1024} KiB of beginnings of secrets, the slowest of ${beginnings.length} (${JSON.stringify(piece)})`,
    figure: 'ms',
    value: ofLarge,
    baseline: { what: `what ${small / 1024} KiB promise`, value: ifLinear },
    target: '<= 2,000',
  })
}

/** Seventeen processes with so many bytes of arguments each, no two of which are the same; called this they are secrets. */
function manyArguments(name: string, bytes: number) {
  const all = Array.from({ length: 17 }, (_, at) => {
    const words = Array.from({ length: bytes / 10 }, (_, word) => `${name}=${100_000 + at * 1000 + word}`)
    return process(words.join(' '))
  })
  return sampleAlert({ process: { ...all[0], ancestors: all.slice(1) } })
}
const [few, many] = [1024, 4096]
const rounds = quick ? 3 : 15
const manyCost = (name: string, bytes: number) => {
  const alert = manyArguments(name, bytes)
  redact(alert)
  return cost(rounds, () => redact(alert)) / 1000
}
const [ofFew, ofMany, ofOrdinary] = [manyCost('pw', few), manyCost('pw', many), manyCost('aa', many)]
const what = `redact ${17 * Math.floor(many / 10)} different secrets, the arguments of 17 processes`
figures.push(
  {
    what,
    figure: 'ms',
    value: ofMany,
    baseline: { what: 'what a quarter of them promise', value: (ofFew * many) / few },
    target: '<= 200',
  },
  { what, figure: 'ms', value: ofMany, baseline: { what: 'as many arguments that are no secrets', value: ofOrdinary } },
)
tell(figures, json)
