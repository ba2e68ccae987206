/** What the kernel keeps back of opens no rule matches: rules, most of them random, and real opens, which are also seen without a filter. */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { createEngine } from '../../rules/engine.ts'
import { readCapture } from '../../sensor/capture.ts'
import type { Event } from '../../sensor/event.ts'
import { conditionAbout, names, type Open, open } from '../rules/opens.ts'
import { rulesOn } from '../rules/rules-on.ts'
import { act, type EventStream, kernelTest, type Sensor, startSensor, watchEvents } from './sensor.ts'

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'nightjar-files-')))
const at = (name: string) => join(directory, name)

/** Of all lengths at which the kernel keeps a name in another way, some with the same beginning and the same end. */
const lengths = [7, 8, 9, 31, 32, 33, 39, 40, 41, 254, 255]
const ofLengths = lengths.flatMap((length) => [`${'x'.repeat(length - 1)}y`, 'x'.repeat(length)])
const leaves = [...names, ...ofLengths]
const seed = 20_261_122
const opens: Open[] = fc
  .sample(
    fc.record({
      one: open,
      above: fc.constantFrom('', ...ofLengths),
      leaf: fc.constantFrom(...leaves),
      relative: fc.boolean(),
    }),
    { seed, numRuns: 150 },
  )
  .map(({ one, above, leaf, relative }) => {
    const path = join(directory, above, dirname(one.path), one.failed ? 'none' : leaf)
    return { ...one, path, requested: relative ? path.slice(directory.length + 1) : path, inContainer: false }
  })

const flags = { write: 'os.O_WRONLY', create: 'os.O_CREAT', truncate: 'os.O_TRUNC', append: 'os.O_APPEND' }
const flagsOf = ({ access, failed }: Open) =>
  [
    '0',
    ...Object.entries(flags).flatMap(([name, flag]) =>
      access.includes(name) && !(failed && name === 'create') ? [flag] : [],
    ),
  ].join('|')
/** Opens all of them, one after the other, slowly enough for two sensors; what can't be opened is an open that failed. */
const opening = `
import os, time
os.chdir("${directory}")
for name, flags in [${opens.map((one) => `(${JSON.stringify(one.requested)}, ${flagsOf(one)})`).join()}]:
    try: os.close(os.open(name, flags))
    except OSError: pass
    time.sleep(0.002)
`

const asked = [
  ...fc.sample(fc.array(conditionAbout(opens), { minLength: 2, maxLength: 3 }), { seed, numRuns: 6 }),
  [{ 'file.name': { in: ofLengths } }],
  ofLengths.map((name) => ({ 'file.path': { startsWith: `${at(name)}/` } })),
]
const last = { name: 'The last', on: ['exec'], severity: 'low', message: 'm' }
const tries = [1, 2, 3, 4, 5]
/** Milliseconds for an exec's alert: execs are never dropped, but may wait. */
const patience = 30_000

/** What of an event a rule of these can look at, and the kernel tells. */
const shown = ({ file, error }: Event) => JSON.stringify([file?.path, file?.requested_path, file?.access, error?.code])

/** Runs it on one processor: see connect-filter.test.ts. */
const run = (command: string, ...args: string[]) => act('taskset', ['--cpu-list', '0', command, ...args])

/** How many events it has lost, as it says itself. */
const lost = (sensor: Sensor) => sensor.metric('nightjar_events_lost_total')

let unfiltered: EventStream
beforeAll(async () => {
  for (const { path } of opens) mkdirSync(dirname(path), { recursive: true })
  // Some of them are directories now, which can be opened, too.
  for (const { path, failed } of opens) if (!failed && !existsSync(path)) writeFileSync(path, '')
  writeFileSync(at('opening.py'), opening)
  unfiltered = watchEvents(['open', 'exit', 'gap'])
  await unfiltered.attached
}, 60_000)
afterAll(async () => {
  await unfiltered?.stop()
  rmSync(directory, { recursive: true })
})

/** The opens that a sensor with these rules was told of by the kernel, and all that there were. */
async function seen(index: number, conditions: unknown[]): Promise<{ told: string[]; all: Event[] }> {
  const [rules, capture] = [at(`rules-${index}.json`), at(`capture-${index}`)]
  const pack = { pack: 'files', version: '1.0.0' }
  const own = conditions.map((when, at) => ({ ...last, id: `rule-${at}`, on: ['open'], when }))
  const ends = tries.map((one) => ({
    ...last,
    id: `the-last-${one}`,
    when: { 'process.command_line': `true the-last ${one}` },
  }))
  writeFileSync(rules, JSON.stringify({ ...pack, rules: [...own, ...ends] }))
  const sensor = await startSensor({ packs: [], args: ['--no-builtin-rules', '--rules', rules, '--record', capture] })
  let pid = 0
  let complete = false
  const isOwn = ({ type, process }: Event) => type === 'open' && process?.pid === pid
  try {
    // Where one of the two dropped some, which a sensor does that has just started on a busy machine, they are opened again.
    for (const one of tries) {
      const before = await lost(sensor)
      pid = await run('/usr/bin/python3', '-IS', at('opening.py'))
      await unfiltered.events.first(({ type, process }) => type === 'exit' && process?.pid === pid, patience)
      await run('true', 'the-last', String(one))
      await sensor.alerts.first(({ rule }) => rule.id === `the-last-${one}`, patience)
      complete = (await lost(sensor)) === before && unfiltered.events.all.filter(isOwn).length >= opens.length
      if (complete) break
    }
  } finally {
    await sensor.stop()
  }
  expect(complete, 'neither of the two dropped an open').toBe(true)
  const told: string[] = []
  await readCapture(capture, (event: Event) => {
    if (isOwn(event)) told.push(shown(event))
  })
  return { told, all: unfiltered.events.all.filter(isOwn) }
}

describe('the kernel keeps back no open that a rule matches', () => {
  let [kept, matched] = [0, 0]
  for (const [index, conditions] of asked.entries())
    kernelTest(
      `rules ${index}`,
      async () => {
        const { told, all } = await seen(index, conditions)
        const engine = createEngine(rulesOn('open', conditions), { onError() {}, onSuppressed() {} })
        const wanted = all.filter((event) => engine.judge(event).length > 0).map(shown)
        expect(wanted.filter((one) => !told.includes(one))).toEqual([])
        matched += wanted.length
        kept += all.length - told.length
      },
      240_000,
    )

  // Otherwise it would prove little.
  kernelTest('and it keeps many back, and many are matched', () => {
    expect(kept).toBeGreaterThan(opens.length)
    expect(matched).toBeGreaterThan(opens.length)
  })
})
