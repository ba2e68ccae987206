import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { aligned, beyond, cells, holds, median } from './figures.ts'

test.each([
  [1.35, '<= 1.35', true],
  [1.36, '<= 1.35', false],
  [500_000, '>= 500,000', true],
  [499_999, '>= 500,000', false],
  [0, '0', true],
  [1, '0', false],
  [Number.NaN, '<= 10', false],
])('%d is %s: %s', (value, target, expected) => {
  expect(holds(value, target)).toBe(expected)
})

test('a target that can’t be read is a mistake, not a target that is met', () => {
  expect(() => holds(1, 'fast')).toThrow('found the target "fast"')
})

test('a figure says what it is compared with, and whether its target is met', () => {
  const figure = { what: 'open', figure: 'us', value: 3, baseline: { what: 'bare', value: 2 }, target: '<= 2' }
  expect(cells(figure)).toEqual(['us', '3', '1.50x bare (2)', '<= 2', 'missed'])
})

test('a bound that is exceeded is told apart from a target that is missed', () => {
  const [missed, broken] = [
    { what: 'memory', figure: 'MiB', value: 200, target: '<= 120', bound: '<= 512' },
    { what: 'memory', figure: 'MiB', value: 600, target: '<= 120', bound: '<= 512' },
  ]
  expect(cells(missed).at(-1)).toBe('missed')
  expect(cells(broken).at(-1)).toBe('BOUND EXCEEDED (<= 512)')
  expect(beyond([missed, broken])).toEqual([broken])
})

test('a benchmark whose bound is exceeded ends with exit code 1, one that only misses a target with 0', () => {
  const script = (bound: string) => `
    import { keep } from ${JSON.stringify(join(import.meta.dirname, 'figures.ts'))}
    keep([{ what: 'memory', figure: 'MiB', value: 600, target: '<= 120', bound: '${bound}' }], undefined)`
  const status = (bound: string) => spawnSync(process.execPath, ['--input-type=module', '-e', script(bound)]).status
  expect(status('<= 512')).toBe(1)
  expect(status('<= 1,024')).toBe(0)
})

test('the median of rounds is one of them', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([])).toBeNaN()
})

test('columns are as wide as their widest cell', () => {
  expect(
    aligned([
      ['a', 'b'],
      ['long', 'b'],
    ]),
  ).toBe('a     b\nlong  b')
})

test('all benchmarks in one go: a table on stdout; machine, versions, figures and ratios in the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nightjar-bench-'))
  try {
    const json = join(folder, 'bench.json')
    const { stdout, status } = spawnSync(process.execPath, [
      join(import.meta.dirname, 'all.ts'),
      ...['--quick', '--only', 'redaction', '--json', json],
    ])
    expect(status).toBe(0)
    expect(stdout.toString()).toMatch(/^bench +what +figure +value +against +target\n(redaction +.*\n)+/)
    const written = JSON.parse(readFileSync(json, 'utf8'))
    expect(written.machine).toMatchObject({
      cpu: expect.any(String),
      cores: expect.any(Number),
      kernel: expect.any(String),
    })
    expect(written.versions).toMatchObject({ nightjar: '0.1.0', node: process.version })
    expect(written.figures.length).toBeGreaterThan(1)
    expect(written.ratios[0]).toMatchObject({ bench: 'redaction', ratio: expect.any(Number) })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
