import { expect, test } from 'vitest'
import { parts, records } from '../../bpf/records.ts'

const table = Object.entries(records)

test('every record has a tag of its own, one letter', () => {
  const tags = table.map(([, { tag }]) => tag)
  expect(new Set(tags).size).toBe(tags.length)
  for (const tag of tags) expect(tag).toMatch(/^[A-Za-z]$/)
})

test('bytes stand last in a record, so that spaces between them end no field', () => {
  for (const [name, { fields }] of table) {
    const kinds = Object.values<string>(fields)
    expect(kinds.slice(0, -1), name).not.toContain('bytes')
  }
})

test('a part carries the time and the thread of its head, a head how many parts it has', () => {
  for (const name of parts) expect(Object.keys(records[name].fields).slice(0, 2), name).toEqual(['time', 'tid'])
  for (const name of ['exec', 'connect', 'stdio', 'cgroup'] as const)
    expect(Object.keys(records[name].fields).slice(0, 3), name).toEqual(['time', 'tid', 'parts'])
})

test('every record begins with its time', () => {
  for (const [name, { fields }] of table) expect(Object.entries<string>(fields)[0], name).toEqual(['time', 'number'])
})

test('two numbers that are printed as one stand side by side', () => {
  for (const [name, { fields }] of table) {
    const kinds = Object.values<string>(fields)
    for (const [at, kind] of kinds.entries()) {
      if (kind === 'upper') expect(kinds[at + 1], name).toBe('lower')
      if (kind === 'lower') expect(kinds[at - 1], name).toBe('upper')
    }
  }
})
