import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type ChangedFiles, filesNamed, watchFiles } from '../../sensor/changed-files.ts'

const every = 1000
let folder: string
let files: ChangedFiles | undefined
beforeEach(() => {
  vi.useFakeTimers()
  folder = mkdtempSync(join(tmpdir(), 'nightjar-changed-'))
})
afterEach(() => {
  files?.close()
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
const looks = (count: number) => vi.advanceTimersByTime(count * every)
const watch = (...names: string[]) => {
  const changed = vi.fn()
  files = watchFiles({ paths: () => names.map((name) => join(folder, name)), changed, every })
  return changed
}

test('a file that is written anew is a change, once; one that is left alone is none', () => {
  write('config.yaml', 'a')
  const changed = watch('config.yaml')
  looks(5)
  expect(changed).not.toHaveBeenCalled()
  write('config.yaml', 'bb')
  looks(5)
  expect(changed).toHaveBeenCalledOnce()
})

test('it waits until nobody writes any more', () => {
  write('rules.json', '')
  const changed = watch('rules.json')
  for (const text of ['1', '12', '123']) {
    write('rules.json', text)
    looks(1)
    expect(changed).not.toHaveBeenCalled()
  }
  looks(1)
  expect(changed).toHaveBeenCalledOnce()
})

test("a ConfigMap's files change by the symlink above them, as the kubelet exchanges it", () => {
  const put = (version: string) => {
    mkdirSync(join(folder, version))
    write(join(version, 'team.json'), '{}')
    symlinkSync(version, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
  }
  put('..1')
  symlinkSync('..data/team.json', join(folder, 'team.json'))
  const changed = watch('.')
  put('..2')
  looks(2)
  expect(changed).toHaveBeenCalledOnce()
})

test('in a folder of rules a new pack is a change, and so is one that is gone; what is no JSON is none', () => {
  const changed = watch('.')
  write('a.json', '{}')
  looks(2)
  write('notes.txt', '')
  looks(2)
  expect(changed).toHaveBeenCalledOnce()
  rmSync(join(folder, 'a.json'))
  looks(2)
  expect(changed).toHaveBeenCalledTimes(2)
})

test('a folder of rules that leads into itself is looked at once', () => {
  write('a.json', '{}')
  for (const name of ['loop.json', 'round.json']) symlinkSync('.', join(folder, name))
  const changed = watch('.')
  write('a.json', '{ }')
  looks(2)
  expect(changed).toHaveBeenCalledOnce()
})

test('what was read for another reason meanwhile is no change', () => {
  write('config.yaml', 'a')
  const changed = watch('config.yaml')
  write('config.yaml', 'bb')
  files?.known()
  looks(5)
  expect(changed).not.toHaveBeenCalled()
})

test('a file that appears where there was none is a change', () => {
  const changed = watch('soc.key')
  looks(2)
  write('soc.key', 'secret')
  looks(2)
  expect(changed).toHaveBeenCalledOnce()
})

test('watched are the configuration, the rules that are not shipped, and the files of all receivers', () => {
  const config = {
    rules: ['./team'],
    exporters: {
      webhooks: [
        { name: 'soc', url: 'https://soc.example', secretFile: '/etc/nightjar/soc.key', headersFile: null },
        {
          name: 'siem',
          url: `https://siem.example/${'$'}{file:/etc/nightjar/path}`,
          headers: { Authorization: `Bearer ${'$'}{file:/etc/nightjar/token}`, 'X-Node': `${'$'}{env:NODE}` },
          tls: { caFile: '/etc/nightjar/ca.pem' },
        },
      ],
    },
  }
  const options = { config: '/etc/nightjar-config/config.yaml', rules: ['/etc/nightjar-rules'] }
  expect(filesNamed(config, options).sort()).toEqual([
    './team',
    '/etc/nightjar-config/config.yaml',
    '/etc/nightjar-rules',
    '/etc/nightjar/ca.pem',
    '/etc/nightjar/path',
    '/etc/nightjar/soc.key',
    '/etc/nightjar/token',
  ])
})
