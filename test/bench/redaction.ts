/**
 * What redaction costs an alert, beside writing it as JSON: npm run bench:redaction
 *
 * Ordinary command lines, each with eight parents; then texts that are all beginnings of secrets, in growing sizes: the
 * time must grow as they do.
 */
import { redactor } from '../../exporters/redaction.ts'
import { ordinaryCommands } from '../exporters/ordinary-commands.ts'
import { sampleAlert } from '../exporters/sample.ts'

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

for (const warm of [true, false]) {
  const writing = cost(3000, (round) => JSON.stringify(alert(round)))
  const redacting = cost(3000, (round) => redact(alert(round) ?? sampleAlert()))
  if (warm) continue
  console.log(
    `an alert with eight parents: ${redacting.toFixed(0)} µs to redact, ${writing.toFixed(0)} µs to write as JSON`,
  )
}

const sizes = [65_536, 262_144, 1_048_576]
console.log(`texts of ${sizes.map((size) => `${size / 1024} KiB`).join(', ')}:`)
for (const piece of [
  'password',
  'eyJ',
  '://a:',
  'authorization: ',
  '"password":"',
  'bearer ',
  'mysql -p',
  "'",
  'a:a@',
]) {
  const costs = sizes.map((size) => {
    const message = piece.repeat(size / piece.length)
    return cost(3, () => redact(sampleAlert({ message }))) / 1000
  })
  console.log(`  ${JSON.stringify(piece).padEnd(18)} ${costs.map((ms) => `${ms.toFixed(1)} ms`.padStart(10)).join('')}`)
}
